"""Marks in the state folder: empty files whose names say what there is to say. They need no lock and no fsync.

- begun-TRIGGER-TIME-ID is there while a push is under way (see begun_push.py).
- busy-TRIGGER-TIME-ID, or stuck-…, is there while the lock is held by another (see lock_contention.py).
- sent-CHANNEL-KIND-ID is the receipt of an alert: the process that creates the file sends it. Its time is that of the
  alert; -rN after it is the one of the Nth reminder.
- alerts-pending lets runs that are not due look for alerts to post (see alerts/webhook.py).
"""

from __future__ import annotations

import os
import stat
import time

from prego_metrics.agent.base.files import opened_folder
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import TYPE_CHECKING

if TYPE_CHECKING:
	from prego_metrics.agent.state.begun_push import BegunPush

RECEIPT_PREFIX = "sent-"
PENDING_NAME = "alerts-pending"
# Each killed push leaves one to the next; more are not ours.
_MAX_BEGUN = 5


class MarkFolder:
	"""A folder of marks. What cannot be read is not there; what cannot be written is returned as a message."""

	def __init__(self, path: str) -> None:
		self.path = path

	def opened(self) -> OpenedFolder:
		"""Return the folder for a `with` block, which makes it if it is not there, and may raise OSError."""
		return OpenedFolder(self.path)

	def names(self) -> list[str]:
		try:
			return os.listdir(self.path)
		except OSError:
			return []

	def rename(self, mark: str, to: str) -> bool:
		"""Rename a mark, and tell whether this process did it."""
		try:
			with self.opened() as folder:
				os.rename(mark, to, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
		except OSError:
			return False
		return True

	def remove(self, name: str) -> Message | None:
		"""Remove a file, if it is there; return what went wrong, or None."""
		try:
			with self.opened() as folder:
				remove_file(name, folder.descriptor)
		except OSError as error:
			return self.unwritten(error)
		return None

	def unwritten(self, error: OSError) -> Message:
		return coded("state_not_writable", folder=sanitize(self.path), reason=error.strerror or error)

	def make_mark(self, name: str) -> Message | None:
		"""Make a mark; return what went wrong, or None."""
		try:
			self.make_file(name)
		except OSError as error:
			return self.unwritten(error)
		return None

	def begun(self) -> list[BegunPush]:
		"""Return the pushes that began and did not end, oldest first. Who holds the lock knows that they are gone."""
		from prego_metrics.agent.state.begun_push import begun_push_of

		return sorted(begun for name in self.names() if (begun := begun_push_of(name)))[-_MAX_BEGUN:]

	def create_receipt(self, name: str, at: float | None = None) -> bool:
		"""Create a receipt of an alert sent at `at`, or now, and tell whether this process did it. Raises OSError."""
		try:
			with self.opened() as folder:
				descriptor = folder.create(RECEIPT_PREFIX + name, os.O_WRONLY | os.O_EXCL)
				try:
					os.utime(descriptor, None if at is None else (at, at))
				finally:
					os.close(descriptor)
		except FileExistsError:
			return False
		return True

	def receipt_at(self, name: str) -> float | None:
		"""Return when the alert of a receipt was sent, None if there is no such receipt."""
		try:
			return os.stat(os.path.join(self.path, RECEIPT_PREFIX + name), follow_symlinks=False).st_mtime
		except OSError:
			return None

	def receipts(self) -> list[str]:
		names = self.names()
		return [name.removeprefix(RECEIPT_PREFIX) for name in names if name.startswith(RECEIPT_PREFIX)]

	def remove_receipt(self, name: str) -> None:
		"""Remove a receipt. One that cannot be removed stands: no alert is better than one every minute."""
		self.remove(RECEIPT_PREFIX + name)

	def remove_old_receipts(self, older_than_seconds: float) -> None:
		oldest = time.time() - older_than_seconds
		try:
			with self.opened() as folder:
				for name in os.listdir(folder.descriptor):
					if name.startswith(RECEIPT_PREFIX):
						receipt = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
						if receipt.st_mtime < oldest:
							remove_file(name, folder.descriptor)
		except OSError:
			pass

	def mark_pending(self, is_pending: bool) -> None:
		"""Note whether alerts may have to be posted by a run that pushes nothing."""
		if is_pending and not self.is_pending():
			self.make_mark(PENDING_NAME)
		elif not is_pending and self.is_pending():
			self.remove(PENDING_NAME)

	def is_pending(self) -> bool:
		"""Tell whether that is noted."""
		return os.path.lexists(os.path.join(self.path, PENDING_NAME))

	def make_file(self, name: str) -> None:
		"""Make an empty file with the folder's own modes, if it is not there. Raises OSError."""
		with self.opened() as folder:
			os.close(folder.create(name, os.O_RDWR))


class OpenedFolder:
	"""A folder of ours, made if it is not there and open for the time of a `with` block."""

	def __init__(self, path: str) -> None:
		self._path = path
		# A symlink in place of the folder would let its owner choose what we overwrite.
		self._opened = opened_folder(path, follow=False)

	def __enter__(self) -> OpenedFolder:
		try:
			os.mkdir(self._path, 0o700)
		except FileExistsError:
			pass
		self.descriptor = self._opened.__enter__()
		return self

	def __exit__(self, *_: object) -> None:
		self._opened.__exit__(None, None, None)

	def create(self, name: str, flags: int) -> int:
		"""Open a file in it for writing, made with the mode that this folder asks for, and return its descriptor."""
		# With O_RDWR, or O_EXCL, nobody waits for the other end of a FIFO.
		flags |= os.O_CREAT | os.O_NOFOLLOW
		descriptor = os.open(name, flags, 0o600, dir_fd=self.descriptor)
		# A file that was there already may have any mode.
		if os.fstat(descriptor).st_uid == os.geteuid():
			os.fchmod(descriptor, self.file_mode())
		return descriptor

	def file_mode(self) -> int:
		"""Return the mode that files in it have."""
		mode = os.fstat(self.descriptor).st_mode
		# The hardened mode makes the folder 2770: the bench's workers read what another user's push wrote.
		return 0o660 if mode & stat.S_ISGID and mode & stat.S_IWGRP else 0o600


def remove_file(name: str, folder: int) -> None:
	try:
		os.unlink(name, dir_fd=folder)
	except FileNotFoundError:
		pass
