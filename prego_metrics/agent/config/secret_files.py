"""Files that hold a secret: who may own them, who may read them, where they may lie, and how one is written.

A secret file is 0600 or 0400 of the user that runs the push, or of root with 0640 or 0440 for that user's group;
never under a bench's sites/, where any site could serve or back it up. Under /run/secrets the container engine
decides.
"""

from __future__ import annotations

import contextlib
import os
import stat

from prego_metrics.agent.base.files import UnfitFile, open_regular, read_descriptor, replace_atomically
from prego_metrics.agent.base.kernel import is_unmapped
from prego_metrics.agent.base.messages import Message, coded, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import is_sites_folder

ENGINE_FOLDER = "/run/secrets/"
MAX_SECRET_BYTES = 4096
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_secret_file(path: str, *, checked: bool = True) -> str:
	"""Return the secret in `path`, without a final newline.

	Raises ValueError with what is wrong and how to fix it; never with what the file holds. Without `checked`,
	owner, mode and place are the service manager's affair.
	"""
	try:
		descriptor = open_regular(path)
		try:
			if checked and not os.path.normpath(path).startswith(ENGINE_FOLDER):
				_check_access(path, descriptor)
				_check_place(path)
			return read_descriptor(descriptor, MAX_SECRET_BYTES).decode("latin-1").removesuffix("\n")
		finally:
			os.close(descriptor)
	except OSError as error:
		problem = coded("file_unreadable_by", user=_user(), reason=error.strerror)
		raise _file_error(path, problem) from None
	except UnfitFile as error:
		raise _file_error(path, message_of(error)) from None


def write_secret_file(path: str, secret: str) -> None:
	"""Replace the file at `path` with `secret`, 0600, atomically; missing folders are made, 0700.

	Raises ValueError, without a part of the secret in it, where the file must not or cannot be: below a bench's
	sites/, behind a link, in a folder that everybody can write.
	"""
	path = os.path.normpath(path)
	_check_place(path)
	try:
		folder = _open_folder(os.path.dirname(path))
		try:
			name = os.path.basename(path)
			with contextlib.suppress(FileNotFoundError):
				if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
					raise OSError(0, "something of that name is not a regular file")
			replace_atomically(name, secret.encode("ascii") + b"\n", dir_fd=folder)
			os.fsync(folder)
		finally:
			os.close(folder)
	except OSError as error:
		raise _file_error(path, coded("file_unwritable", reason=error.strerror or str(error))) from None


def _check_access(path: str, descriptor: int) -> None:
	status = os.fstat(descriptor)
	mode = stat.S_IMODE(status.st_mode)
	own = status.st_uid == os.geteuid() and mode in (0o600, 0o400)
	groups = {os.getegid(), *os.getgroups()}
	of_root = status.st_uid == 0 and mode in (0o640, 0o440) and status.st_gid in groups
	if not (own or of_root):
		raise ValueError(
			coded(
				"secret_exposed",
				file=sanitize(path),
				mode=f"{mode:04o}",
				owner=status.st_uid,
				user=_user(),
				uid=os.geteuid(),
				remedy=_remedy(path, descriptor, status.st_uid),
			)
		)


def _remedy(path: str, descriptor: int, owner: int) -> Message:
	"""Return how the file gets the right owner and mode, from here."""
	if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
		return coded("remedy_read_only")
	if owner == os.geteuid():
		return coded("remedy_mode", file=sanitize(path))
	if is_unmapped(owner):
		return coded("remedy_unmapped")
	return coded("remedy_owner", file=sanitize(path), uid=os.geteuid())


def _check_place(path: str) -> None:
	"""Raise ValueError if `path` lies below a bench's sites/, by whatever links."""
	folder = os.path.dirname(os.path.realpath(path))
	while True:
		if is_sites_folder(folder):
			raise _file_error(path, coded("secret_in_sites", folder=sanitize(folder)))
		if folder == os.path.dirname(folder):
			return
		folder = os.path.dirname(folder)


def _open_folder(path: str) -> int:
	"""Open a folder step by step from the root, so that no step is a link; make what is missing."""
	folder = os.open("/", _FOLDER_FLAGS)
	for part in path.split("/"):
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
			is_link = os.path.islink(f"/proc/self/fd/{above}/{part}")
			reason = "a link: give the path without it" if is_link else error.strerror
			raise OSError(0, f"{sanitize(part)} in its path: {reason}") from None
		finally:
			os.close(above)
	if os.fstat(folder).st_mode & stat.S_IWOTH:
		os.close(folder)
		raise OSError(0, "everybody can write its folder")
	return folder


def _file_error(path: str, problem: str) -> ValueError:
	return ValueError(coded("file_problem", file=sanitize(path), problem=problem))


def _user() -> str:
	import pwd

	try:
		return pwd.getpwuid(os.geteuid()).pw_name
	except KeyError:
		return f"uid {os.geteuid()}"
