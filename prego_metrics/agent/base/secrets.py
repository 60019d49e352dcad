"""Take a secret out of a text that may echo it: in any usual notation, whole or cut off at the end."""

from __future__ import annotations

from functools import lru_cache

REDACTED = "[key]"
# A shorter beginning of the secret at the end of a text that was cut is no secret, and may be a plain word.
_MIN_PARTIAL = 4


def redacted(text: str, secret: str) -> str:
	"""Return `text` with MASK in place of each echo of `secret`, in clear or in base64.

	Each character may be written in its own way: as it is, or escaped as in JSON, HTML, URLs or Python.
	"""
	import base64

	text = _without(text, secret)
	if len(secret) >= _MIN_PARTIAL:
		coded = base64.b64encode(secret.encode()).decode("ascii")
		for form in (coded, coded.translate({0x2B: "-", 0x2F: "_"})):
			text = _without(_without(text, form), form.rstrip("="))
		# In the base64 of a longer text, such as a header, its bytes may begin at two other places.
		for before in (1, 2):
			longer = base64.b64encode(bytes(before) + secret.encode()).decode("ascii").rstrip("=")
			# The first and the last character may hold bits of what stands around the secret.
			inner = longer[before + 1 : len(longer) - ((before + len(secret)) % 3 > 0)]
			for form in (inner, inner.translate({0x2B: "-", 0x2F: "_"})):
				if len(form) >= _MIN_PARTIAL:
					text = _without(text, form)
	return text


def _without(text: str, secret: str) -> str:
	notations = [_notations(character) for character in secret]
	pieces, kept, position = [], 0, 0
	while position < len(text):
		end = _end_of_echo(text, position, notations) if text.startswith(notations[0], position) else None
		if end is None:
			position += 1
		else:
			pieces += [text[kept:position], REDACTED]
			kept = position = end
	return "".join(pieces) + text[kept:]


def _end_of_echo(text: str, start: int, notations: list[tuple[str, ...]]) -> int | None:
	"""Return where the echo that begins at `start` ends, or None if there is none.

	One text can be read in several ways (a backslash may escape or be one), so all of them are followed.
	"""
	ends = {start}
	for number, of_character in enumerate(notations):
		if number >= _MIN_PARTIAL and any(_is_cut(text, end, of_character) for end in ends):
			return len(text)
		ends = {
			end + len(notation) for end in ends for notation in of_character if text.startswith(notation, end)
		}
		if not ends:
			return None
	return max(ends)


def _is_cut(text: str, end: int, of_character: tuple[str, ...]) -> bool:
	"""Tell whether the text ends here, or within a notation of the next character."""
	return len(text) - end < 8 and any(notation.startswith(text[end:]) for notation in of_character)


@lru_cache(maxsize=256)
def _notations(character: str) -> tuple[str, ...]:
	from html.entities import codepoint2name

	code = ord(character)
	found = {
		character,
		f"\\u{code:04x}",
		f"\\u{code:04X}",
		f"\\x{code:02x}",
		f"\\x{code:02X}",
		f"%{code:02x}",
		f"%{code:02X}",
		f"&#{code};",
		f"&#{code:03};",
		f"&#x{code:x};",
		f"&#x{code:X};",
		f"&{codepoint2name.get(code, 'apos' if character == chr(39) else f'#{code}')};",
	}
	if not character.isalnum():
		found.add("\\" + character)
	return tuple(found)


class Secret:
	"""A text that shows itself only when asked by name. source says where it came from."""

	__slots__ = ("_text", "source")

	def __init__(self, text: str, source: str) -> None:
		self._text = text
		self.source = source

	def __repr__(self) -> str:
		return f"<secret from {self.source}>"

	def __reduce__(self) -> str:
		raise TypeError("a secret is not pickled")

	def reveal(self) -> str:
		return self._text

	def redact(self, text: str) -> str:
		"""Return `text` without the secret, in whatever notation an answer may echo it."""
		shown = redacted(text, self._text)
		return text if shown == text else shown
