"""One push at a time: a lock on the sites folder itself.

`flock` on sites/, opened read-only: no lock file to own or to clean up, shared by every process and every
container of the bench, and gone with its holder, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

from prego_metrics.agent.base.errors import LockUnsupported
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize

_POLL_SECONDS = 0.05


class PushLock:
	"""The lock of one bench. Usable once; leaving the `with` block gives it back."""

	def __init__(self, sites: str) -> None:
		self._sites = sites
		self._descriptor: int | None = None
		# Who waits for it may give up while a file system hangs, and it must not be taken after that.
		self._guard = threading.Lock()
		self._released = False

	def acquire(
		self,
		wait_seconds: float = 0.0,
		*,
		monotonic: Callable[[], float] = time.monotonic,
		sleep: Callable[[float], None] = time.sleep,
	) -> bool:
		"""Take the lock, waiting at most `wait_seconds`, and tell whether it was got.

		Raises LockUnsupported where the file system refuses flock (some NFS).
		"""
		give_up_at = monotonic() + wait_seconds
		descriptor = os.open(self._sites, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
		try:
			while True:
				try:
					fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
				except OSError as error:
					if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
						raise LockUnsupported(
							coded("lock_unsupported", folder=sanitize(self._sites), reason=error.strerror)
						) from None
				else:
					with self._guard:
						if self._released:
							return False  # nobody waits any more: closing gives it back
						self._descriptor, descriptor = descriptor, -1
					return True
				if monotonic() >= give_up_at:
					return False
				sleep(_POLL_SECONDS)
		finally:
			if descriptor >= 0:
				os.close(descriptor)

	def release(self) -> None:
		"""Give the lock back; without it, do nothing."""
		with self._guard:
			self._released = True
		if self._descriptor is not None:
			# Closing alone would leave it to a child that was forked meanwhile and has a copy.
			with contextlib.suppress(OSError):
				fcntl.flock(self._descriptor, fcntl.LOCK_UN)
			os.close(self._descriptor)
			self._descriptor = None

	def __enter__(self) -> PushLock:
		return self

	def __exit__(
		self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
	) -> None:
		self.release()
