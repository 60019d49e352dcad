"""Files that hold a secret: who may own them, who may read them, and where they may lie.

The rule is the design's: 0600 or 0400 of the user that runs the push, or of root with 0640 or 0440 for
that user's group; never under a bench's sites/, where any site could serve or back it up. Under
/run/secrets the container engine decides.
"""

from __future__ import annotations

import os
import stat

from prego_metrics.agent.base.files import UnfitFile, open_regular, read_descriptor
from prego_metrics.agent.base.messages import message, message_of
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
		descriptor = open_regular(path)
		try:
			if checked and not os.path.normpath(path).startswith(ENGINE_FOLDER):
				_check_access(shown, os.fstat(descriptor))
				check_place(shown, path)
			return read_descriptor(descriptor, _MAX_BYTES).decode("latin-1").removesuffix("\n")
		finally:
			os.close(descriptor)
	except OSError as error:
		raise ValueError(
			message(
				"{file} cannot be read by {user}: {reason}", file=shown, user=_user(), reason=error.strerror
			)
		) from None
	except UnfitFile as error:
		raise ValueError(message("{file} {problem}", file=shown, problem=message_of(error))) from None


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
