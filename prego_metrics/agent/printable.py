"""Make hostile text fit to show: names of sites, words of servers, contents of the state file.

Any tenant's app can name a folder, and any server can answer anything. What a terminal, a log or a
browser would obey instead of show (control characters, changes of direction, characters without
width, undecodable bytes) is written as an escape here, once, for every output.
"""

from __future__ import annotations

import unicodedata

# Cc control, Cf format (bidi, zero width), Cs surrogate (undecodable byte), Cn unassigned,
# Co private use, Zl and Zp line and paragraph separators, Zs spaces other than the ordinary one.
_ESCAPED_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Zs"))


def printable(text: str, limit: int = 0) -> str:
	"""Return `text` with everything that is not plainly visible escaped as Python would write it.

	A backslash is doubled, so that two different texts never look alike. With `limit` above 0, at most
	that many characters are returned, the last one an ellipsis where something was cut.
	"""
	if not (text.isascii() and text.isprintable() and "\\" not in text):
		text = "".join(map(_visible, text))
	if limit and len(text) > limit:
		text = text[: limit - 1] + "…"
	return text


def _visible(character: str) -> str:
	if character == "\\":
		return "\\\\"
	if character == " " or unicodedata.category(character) not in _ESCAPED_CATEGORIES:
		return character
	code = ord(character)
	if 0xDC80 <= code <= 0xDCFF:
		# How Python carries a byte that is not valid UTF-8 (PEP 383): show the byte itself.
		return f"\\x{code - 0xDC00:02x}"
	if code < 0x100:
		return f"\\x{code:02x}"
	return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
