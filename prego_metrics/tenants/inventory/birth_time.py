"""When a file or folder was made, where the kernel and its file system know it: statx(2)."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Any

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800


class _Statx(ctypes.Structure):
	"""The beginning of `struct statx`, up to the birth time; the kernel fills in 256 bytes."""

	_fields_ = (
		("stx_mask", ctypes.c_uint32),
		("_before", ctypes.c_uint8 * 76),  # blksize to atime
		("btime_seconds", ctypes.c_int64),
		("btime_nanoseconds", ctypes.c_uint32),
		("_after", ctypes.c_uint8 * 164),
	)


@lru_cache(maxsize=1)
def _statx() -> Any:
	# Not in Python's own os before 3.15. A libc without it (glibc before 2.28) knows no birth time.
	return getattr(ctypes.CDLL(None), "statx", None)


def birth_time(path: str) -> float | None:
	"""Return when `path` was made, in Unix seconds, or None where that is not known. Never raises OSError.

	A copied or restored folder was made when it was copied.
	"""
	statx = _statx()
	if statx is None:
		return None
	found = _Statx()
	if statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, ctypes.byref(found)) != 0:
		return None
	if not found.stx_mask & _STATX_BTIME or found.btime_seconds <= 0:
		return None
	return float(found.btime_seconds) + float(found.btime_nanoseconds) / 1e9
