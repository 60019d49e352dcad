"""Secrets, and what is shown of a text that may echo one: nothing, if it holds part of it in any notation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize

WITHHELD = coded("withheld")
# Fewer characters of a secret in a row may be a plain word, and open nothing.
PART_CHARACTERS = 8
EXCERPT_CHARACTERS = 300
_LOOKED_AT = 4096
# Each text of a template in a string of a document is escaped once; more is nobody's habit.
_ESCAPED_TIMES = 3
# Compiled when it is used: that takes longer than all else of this module.
_BACKSLASH = r"(?i)\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]{1,5})\}|u([0-9a-f]{8})|([^0-9a-z]))"
_SHOWN_CHARACTERS = 3
_NAME = r"[A-Za-z]{1,15}(?:[_-][A-Za-z]{1,15}){0,7}"
_BASE64 = r"[A-Za-z0-9+/_-]+"
_HEX = r"[0-9a-f]{2,}"
# What a page or a terminal does not show of itself.
_MARKUP = r"<[^<>]*>|\x1b\[[0-9;]*[A-Za-z]"


def shown_name(name: str) -> str:
	"""Return what is shown of a name in the place of a setting's: all of one that is words, else its beginning.

	Somebody may have written the key there.
	"""
	return name if re.fullmatch(_NAME, name) else sanitize(name[:_SHOWN_CHARACTERS]) + "…"


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

	def excerpt(self, text: str, limit: int = EXCERPT_CHARACTERS) -> str:
		"""Return the beginning of somebody else's text, escaped, fit to show; WITHHELD if it holds part of this.

		Part of it are PART_CHARACTERS of it in a row or, if it is shorter, all of it: as they are, escaped as in
		JSON, HTML, URLs or Python, in base64 or hex, in other cases, backwards, or with other signs between them.
		"""
		# What is cut off here is not shown; what is left shows too little of what the cut went through.
		text = text[:_LOOKED_AT].strip()
		return sanitize(WITHHELD if self.is_in(text) else text, limit)

	def is_in(self, text: str) -> bool:
		"""Tell whether a text holds part of this, as `excerpt` means it."""
		length = min(PART_CHARACTERS, len(self._text))
		if not length:
			return False
		parts, letters = _parts(self._text, length), _letters(self._text)
		folded = _parts(letters, length) | _parts(letters[::-1], length)
		return not all(
			parts.isdisjoint(_parts(reading, length)) and folded.isdisjoint(_parts(_letters(reading), length))
			for reading in _readings(text)
		)


def _parts(text: str, length: int) -> set[str]:
	return {text[start : start + length] for start in range(len(text) - length + 1)}


def _letters(text: str) -> str:
	"""Return what is left of a text where case and signs are ignored: a key in hex is the same in any case."""
	return "".join(letter for letter in text.casefold() if letter.isalnum())


def _readings(text: str) -> Iterator[str]:
	"""Yield all that a text may mean: as it is, unescaped, without markup, its lines joined, out of base64 and hex."""
	import html
	from urllib.parse import unquote

	readings = {text}
	for _ in range(_ESCAPED_TIMES):
		readings |= {read(known) for known in readings for read in (html.unescape, unquote, _unescaped)}
	readings |= {re.sub(_MARKUP, "", reading) for reading in readings}
	readings |= {"".join(reading.split()) for reading in readings}
	yield from readings
	for reading in readings:
		for coded_bytes in re.findall(_BASE64, reading):
			# In the base64 of a longer text, such as a header, the secret may begin anywhere.
			yield from (_decoded(coded_bytes[start:]) for start in range(4))
		for digits in re.findall(_HEX, _letters(reading)):
			for start in range(2):
				pairs = digits[start : start + (len(digits) - start) // 2 * 2]
				yield bytes.fromhex(pairs).decode("utf-8", "replace")


def _unescaped(text: str) -> str:
	def character(escape: re.Match[str]) -> str:
		*codes, itself = escape.groups()
		code = next((code for code in codes if code), None)
		return itself if code is None else chr(min(int(code, 16), 0x10FFFF))

	return re.sub(_BACKSLASH, character, text)


def _decoded(coded_bytes: str) -> str:
	import base64

	return base64.urlsafe_b64decode(
		coded_bytes.replace("+", "-").replace("/", "_") + "A" * (-len(coded_bytes) % 4)
	).decode("utf-8", "replace")


class HiddenEnvironment(Mapping[str, str]):
	"""An environment, which may hold a secret, with a repr that shows nothing: tracebacks show local variables."""

	def __init__(self, environ: Mapping[str, str]) -> None:
		self._values = environ

	def __getitem__(self, name: str) -> str:
		return self._values[name]

	def __iter__(self) -> Iterator[str]:
		return iter(self._values)

	def __len__(self) -> int:
		return len(self._values)

	def __repr__(self) -> str:
		return "<environment>"
