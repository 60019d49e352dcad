"""Where receipts are kept while the state folder cannot be written: a folder in TMPDIR or /tmp, of this user alone.

Without it an alert that pushes cannot be recorded would be sent each minute, or never.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from prego_metrics.agent.base.messages import code_of
from prego_metrics.agent.state.marks import OpenedFolder
from prego_metrics.agent.state.store import StateFolder


class FallbackFolder(StateFolder):
	"""The fallback of the state folder at a path. It holds receipts and nothing else."""

	def __init__(self, path: str) -> None:
		super().__init__(os.path.dirname(path))
		place = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
		self.path = os.path.join(
			os.environ.get("TMPDIR") or "/tmp",
			f"prego-metrics-{os.geteuid()}-{place}",
		)

	def opened(self) -> OpenedFolder:
		with contextlib.suppress(FileExistsError):
			os.mkdir(self.path, 0o700)
		if not self._is_ours():
			raise PermissionError(f"{self.path} is somebody else's")
		return super().opened()

	def names(self) -> list[str]:
		return super().names() if self._is_ours() else []

	def move_to(self, folder: StateFolder) -> None:
		"""Move all receipts to a folder that can be written again. What cannot be moved stays."""
		receipts = self.receipts()
		with contextlib.suppress(OSError):
			for name in receipts:
				folder.create_receipt(name, self.receipt_at(name))
				self.remove_receipt(name)
			if receipts:
				os.rmdir(self.path)

	def _is_ours(self) -> bool:
		"""Tell whether it is a folder that nobody else can write. A sticky bit above it keeps others from replacing it."""
		try:
			status = os.lstat(self.path)
		except OSError:
			return False
		return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077

	def _read(self, name: str, limit_bytes: int = 0) -> None:
		return None


def fallback_of(folder: StateFolder) -> FallbackFolder:
	return folder if isinstance(folder, FallbackFolder) else FallbackFolder(folder.path)


def folder_to_read(folder: StateFolder, not_written: str | None) -> StateFolder:
	"""Return the state folder; its fallback where it hangs, which is what `not_written` says of it."""
	return fallback_of(folder) if code_of(not_written) == "state_late" else folder
