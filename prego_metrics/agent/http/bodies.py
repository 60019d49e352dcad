"""The body of an answer out of its compression, within a limit: a few bytes may unfold to gigabytes."""

from __future__ import annotations

import zlib

_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_KINDS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}


def codings_of(content_encoding: str | None) -> list[str]:
	"""Return the codings that a Content-Encoding names, in the order in which they were applied."""
	names = [name.strip().lower() for name in (content_encoding or "").split(",")]
	return [name for name in names if name not in ("", "identity")]


def decompressed(content: bytes, codings: list[str], limit_bytes: int) -> bytes | None:
	"""Return the beginning of what was compressed, at most `limit_bytes`; None if it cannot be decompressed.

	What is cut off gives what came until then.
	"""
	if len(codings) > 2:
		return None
	for coding in reversed(codings):
		if not content:
			return b""
		for kind in _KINDS.get(coding, ()):
			try:
				content = zlib.decompressobj(kind).decompress(content, limit_bytes)
				break
			except zlib.error:
				continue
		else:
			return None
	return content
