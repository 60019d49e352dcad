"""Make hostile text fit to show: names of sites, words of servers, contents of the state file.

Any tenant's app can name a folder, and any server can answer anything. What a terminal, a log or a
browser would obey instead of show (control characters, changes of direction, characters without
width, undecodable bytes) is written as an escape here, once, for every output.
"""

from __future__ import annotations

# Cc control, Cf format (bidi, zero width), Cs surrogate (undecodable byte), Cn unassigned,
# Co private use, Zl and Zp line and paragraph separators, Zs spaces other than the ordinary one.
_ESCAPED_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Zs"))
# Letters, marks and symbols that are drawn as nothing: fillers of Hangul, variation selectors, blank Braille.
_INVISIBLE = frozenset(
	{0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}.union(
		range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
	)
)


def sanitize(text: str, limit: int = 0) -> str:
	"""Return `text` with everything that is not plainly visible escaped, much as Python would write it.

	An x escape is ASCII or a byte that is no UTF-8, u and U escapes are other characters, and a backslash
	is doubled: two different texts never look alike. With `limit` above 0, at most that many characters
	are returned, the last one an ellipsis where something was cut.
	"""
	if not (text.isascii() and text.isprintable() and "\\" not in text):
		text = "".join(_visible(character) for character in text)
	if limit and len(text) > limit:
		text = text[: limit - 1] + "…"
	return text


def is_sanitized(text: str) -> bool:
	"""Tell whether `text` can be shown as it is; its backslashes may be those of an escape."""
	return sanitize(text).replace("\\\\", "\\") == text


def spreadsheet_cell(text: str) -> str:
	"""Return `text` so that no spreadsheet takes it for a formula: any app can name a folder."""
	return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def _visible(character: str) -> str:
	if character == "\\":
		return "\\\\"
	import unicodedata  # most runs show nothing but ASCII

	code = ord(character)
	if character == " " or not (unicodedata.category(character) in _ESCAPED_CATEGORIES or code in _INVISIBLE):
		return character
	if 0xDC80 <= code <= 0xDCFF:
		# How Python carries a byte that is not valid UTF-8 (PEP 383): show the byte itself.
		return f"\\x{code - 0xDC00:02x}"
	if code < 0x80:
		return f"\\x{code:02x}"
	return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
