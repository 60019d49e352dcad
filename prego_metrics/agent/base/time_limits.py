"""Work in a daemon thread, waited for no longer than it may take.

What hangs in the kernel (a file system, a resolver) cannot be interrupted, only left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from prego_metrics.agent.base.errors import TooLate
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import Generic, TypeVar

# How long a file may take to be read or written, where nothing else limits it.
FILE_SECONDS = 5.0

Result = TypeVar("Result")


class ThreadsExhausted(Exception):
	"""No thread can be started, as where a limit of processes is reached."""


class Limited(Generic[Result]):
	"""`work`, begun in a thread of its own. Raises ThreadsExhausted."""

	def __init__(self, work: Callable[[], Result]) -> None:
		self._work = work
		self._results: list[Result] = []
		self._over = threading.Event()
		# What it raised. Who looks at it here is spared its traceback, which may hold a secret.
		self.error: BaseException | None = None
		try:
			threading.Thread(target=self._run, name="prego-metrics-limited", daemon=True).start()
		except RuntimeError:
			raise ThreadsExhausted from None

	def _run(self) -> None:
		try:
			self._results.append(self._work())
		except BaseException as error:  # noqa: BLE001 - it is for the thread that waits
			self.error = error
		finally:
			self._over.set()

	def ends_within(self, seconds: float) -> bool:
		"""Wait for it, and tell whether it ended."""
		return self._over.wait(max(0.0, seconds))

	def result(self) -> Result:
		"""Return what it returned, or raise what it raised, once it has ended."""
		if self.error:
			raise self.error
		return self._results[0]


def in_time(step: Callable[[], Result], seconds: float, late: Message) -> Result:
	"""Return what `step` returns, and raise what it raises; TooLate with `late` if it takes longer than `seconds`.

	Where no thread can be started, it runs without a limit: that nothing can be sent must still be recorded.
	"""
	try:
		limited = Limited(step)
	except ThreadsExhausted:
		return step()
	if not limited.ends_within(seconds):
		raise TooLate(late)
	return limited.result()


def folder_in_time(step: Callable[[], Result], folder: str, seconds: float | None = None) -> Result:
	"""Do a step with files in `folder`, by default in FILE_SECONDS. Raises TooLate, and what `step` raises."""
	seconds = FILE_SECONDS if seconds is None else seconds
	return in_time(step, seconds, coded("state_late", folder=sanitize(folder), seconds=f"{seconds:.3g}"))
