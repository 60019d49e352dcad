"""Read files that anybody may have put there, and replace files so that no reader ever sees half of one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from prego_metrics.agent.base.messages import coded

_SMALL_BYTES = 1 << 12
# O_NONBLOCK: a FIFO in place of the file must not hold up its reader.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class UnfitFile(ValueError):
	"""A file that is not read since it is not a regular one, or too large; the message goes behind its name."""


class opened_folder:
	"""A folder's descriptor for the time of a `with` block; without `follow`, a symlink in its place is refused."""

	def __init__(self, path: str, *, follow: bool = True) -> None:
		self._path = path
		self._flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)

	def __enter__(self) -> int:
		self._descriptor = os.open(self._path, self._flags)
		return self._descriptor

	def __exit__(self, *_: object) -> None:
		os.close(self._descriptor)


def open_regular(path: str) -> int:
	"""Open a regular file to read and return its descriptor. Raises OSError; UnfitFile for any other kind of file."""
	descriptor = os.open(path, _READ)
	try:
		_require_regular(descriptor)
	except UnfitFile:
		os.close(descriptor)
		raise
	return descriptor


def read_limited(path: str, limit_bytes: int, *, follow: bool = True, dir_fd: int | None = None) -> bytes:
	"""Return what a regular file holds. Raises OSError; UnfitFile if it is none, or larger than the limit."""
	descriptor = os.open(path, _READ if follow else _READ | os.O_NOFOLLOW, dir_fd=dir_fd)
	try:
		# One call does for nearly every file: pipes, terminals and folders refuse it, devices return nothing or
		# fill the buffer, and only then is it worth asking what it is.
		try:
			content = os.pread(descriptor, _SMALL_BYTES, 0)
			if 0 < len(content) < _SMALL_BYTES and len(content) <= limit_bytes:
				return content
		except OSError:
			pass
		_require_regular(descriptor)
		return read_descriptor(descriptor, limit_bytes)
	finally:
		os.close(descriptor)


def read_descriptor(descriptor: int, limit_bytes: int) -> bytes:
	"""Return what an open file holds from where it is read next. Raises OSError; UnfitFile if that is too much."""
	with open(descriptor, "rb", closefd=False) as file:
		content = file.read(limit_bytes + 1)
	if len(content) > limit_bytes:
		raise UnfitFile(coded("file_too_large", bytes=limit_bytes))
	return content


def replace_atomically(
	path: str,
	content: bytes,
	*,
	mode: int = 0o600,
	like: os.stat_result | None = None,
	dir_fd: int | None = None,
	durable: bool = True,
	alone: bool = False,
	unchanged: Callable[[], bool] = lambda: True,
) -> bool:
	"""Write `content` beside `path` and rename it into its place; a symlink there is replaced, not followed.

	With `like`, the new file has the mode of that one, and its owner and group as far as permitted. With
	`durable`, the content is on the disk before the name changes. `alone` says that nobody else writes this
	file now: what a process leaves behind that is killed meanwhile is then removed by the next. `unchanged`
	is asked last; if it denies, nothing is replaced and False returned. Raises OSError.
	"""
	folder, name = os.path.split(path)
	temporary = os.path.join(folder, f".{name}.tmp" if alone else f".{name}.{os.urandom(6).hex()}")
	if alone:
		_remove(temporary, dir_fd)
	flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
	descriptor = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
	try:
		with open(descriptor, "wb") as file:
			file.write(content)
			file.flush()
			if like:
				mode = stat.S_IMODE(like.st_mode)
				for uid, gid in ((-1, like.st_gid), (like.st_uid, -1)):
					try:
						os.fchown(descriptor, uid, gid)
					except PermissionError:
						pass
			os.fchmod(descriptor, mode)
			if durable:
				os.fsync(descriptor)
		if not unchanged():
			_remove(temporary, dir_fd)
			return False
		os.replace(temporary, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
	except BaseException:
		_remove(temporary, dir_fd)
		raise
	return True


def _require_regular(descriptor: int) -> None:
	if not stat.S_ISREG(os.fstat(descriptor).st_mode):
		raise UnfitFile(coded("file_irregular"))


def _remove(path: str, dir_fd: int | None) -> None:
	try:
		os.unlink(path, dir_fd=dir_fd)
	except FileNotFoundError:
		pass
