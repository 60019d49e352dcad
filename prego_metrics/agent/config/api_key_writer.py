"""Put the bearer key into a file that its owner alone can read, without ever following a link."""

from __future__ import annotations

import contextlib
import os
import stat

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.files import replace_atomically
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.api_key import checked_key
from prego_metrics.agent.config.secret_files import check_place

MAX_KEY_BYTES = 4096
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_key(path: str, text: str) -> None:
	"""Replace the file at `path` with the key in `text`, 0600, atomically; missing folders are made, 0700.

	Raises ConfigurationError, without a part of the key in it, for what is no key and where the file must
	not or cannot be: below a bench's sites/, behind a link, in a folder that others can write.
	"""
	key = checked_key(text.removesuffix("\n").removesuffix("\r"), "standard input").reveal()
	shown = sanitize(path)
	path = os.path.normpath(path)
	name = os.path.basename(path)
	if not os.path.isabs(path) or not name:
		raise _refused(f"{shown} must be an absolute path of a file")
	try:
		check_place(shown, path)
	except ValueError as error:
		raise _refused(str(error)) from None
	try:
		folder = _open_folder(os.path.dirname(path))
		try:
			_write(folder, name, key.encode("ascii") + b"\n")
		finally:
			os.close(folder)
	except OSError as error:
		raise _refused(f"{shown} cannot be written: {error.strerror or error}") from None


def _open_folder(path: str) -> int:
	"""Open a folder step by step from the root, so that no step is a link; make what is missing."""
	folder = os.open("/", _FOLDER_FLAGS)
	for part in path.strip("/").split("/"):
		if not part:
			continue
		above = folder
		try:
			try:
				folder = os.open(part, _FOLDER_FLAGS, dir_fd=above)
			except FileNotFoundError:
				with contextlib.suppress(FileExistsError):
					os.mkdir(part, 0o700, dir_fd=above)
				folder = os.open(part, _FOLDER_FLAGS, dir_fd=above)
		except OSError as error:
			if os.path.islink(f"/proc/self/fd/{above}/{part}"):
				raise OSError(
					0, f"{sanitize(part)} in its path is a link: give the path without it"
				) from None
			raise OSError(0, f"{sanitize(part)} in its path: {error.strerror}") from None
		finally:
			os.close(above)
	mode = os.fstat(folder).st_mode
	if mode & stat.S_IWOTH:
		os.close(folder)
		raise OSError(0, "everybody can write its folder")
	return folder


def _write(folder: int, name: str, content: bytes) -> None:
	with contextlib.suppress(FileNotFoundError):
		found = os.stat(name, dir_fd=folder, follow_symlinks=False)
		if not stat.S_ISREG(found.st_mode):
			raise OSError(0, "there is something of that name that is no regular file")
	replace_atomically(name, content, dir_fd=folder)
	os.fsync(folder)


def _refused(text: str) -> ConfigurationError:
	return ConfigurationError([Problem("api_key_file", text)])
