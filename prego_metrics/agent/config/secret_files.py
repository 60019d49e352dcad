"""Files that hold a secret: who may own them, who may read them, and where they may lie.

The rule is the design's: 0600 or 0400 of the user that runs the push, or of root with 0640 or 0440 for
that user's group; never under a bench's sites/, where any site could serve or back it up. Under
/run/secrets the container engine decides.
"""

from __future__ import annotations

import os
import stat

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import is_sites_folder

ENGINE_FOLDER = "/run/secrets/"
_MAX_BYTES = 4096


def read_secret_file(path: str, *, checked: bool = True) -> str:
	"""Return the secret in `path`, without a final newline.

	Raises ValueError with what is wrong and how to mend it; never with what the file holds. Without
	`checked`, owner, mode and place are the service manager's affair.
	"""
	shown = sanitize(path)
	try:
		# O_NONBLOCK: a FIFO planted under that name must not hold up the push.
		descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
	except OSError as error:
		raise ValueError(_unreadable(shown, error)) from None
	try:
		found = os.fstat(descriptor)
		if not stat.S_ISREG(found.st_mode):
			raise ValueError(message("{file} is not a regular file", file=shown))
		if checked and not os.path.normpath(path).startswith(ENGINE_FOLDER):
			_check_access(shown, found)
			check_place(shown, path)
		content = _read(descriptor)
	except OSError as error:
		raise ValueError(_unreadable(shown, error)) from None
	finally:
		os.close(descriptor)
	if content is None:
		raise ValueError(
			message("{file} is larger than {bytes} bytes, which no key is", file=shown, bytes=_MAX_BYTES)
		)
	return content.decode("latin-1").removesuffix("\n")


def _unreadable(shown: str, error: OSError) -> Message:
	return message(
		"{file} cannot be read by {user}: {reason}", file=shown, user=_user(), reason=error.strerror
	)


def _read(descriptor: int) -> bytes | None:
	"""Return all of a file, None if that is too much for a secret."""
	with open(descriptor, "rb", closefd=False) as file:
		content = file.read(_MAX_BYTES + 1)
	return content if len(content) <= _MAX_BYTES else None


def _check_access(shown: str, found: os.stat_result) -> None:
	mode = stat.S_IMODE(found.st_mode)
	own = found.st_uid == os.geteuid() and mode in (0o600, 0o400)
	groups = {os.getegid(), *os.getgroups()}
	of_root = found.st_uid == 0 and mode in (0o640, 0o440) and found.st_gid in groups
	if not (own or of_root):
		raise ValueError(
			message(
				"{file} has mode {mode} and owner {owner}: it must be 0600 or 0400 of {user} (uid {uid}), or of "
				"root with 0640 or 0440 for a group of that user. Run: chown {uid} {file} && chmod 600 {file}",
				file=shown,
				mode=f"{mode:04o}",
				owner=found.st_uid,
				user=_user(),
				uid=os.geteuid(),
			)
		)


def check_place(shown: str, path: str) -> None:
	"""Raise ValueError if `path` lies below a bench's sites/, by whatever links."""
	folder = os.path.dirname(os.path.realpath(path))
	while True:
		if is_sites_folder(folder):
			raise ValueError(
				message(
					"{file} lies under {folder}: move it outside sites/", file=shown, folder=sanitize(folder)
				)
			)
		if folder == os.path.dirname(folder):
			return
		folder = os.path.dirname(folder)


def _user() -> str:
	import pwd

	try:
		return pwd.getpwuid(os.geteuid()).pw_name
	except KeyError:
		return f"uid {os.geteuid()}"
