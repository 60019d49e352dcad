"""Steps of a push that end in time, whatever the file systems do that they read and write.

A file system that hangs cannot be interrupted, only left behind: each step runs in a daemon thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize

# The settings tell how long a push may take; reading them, and writing beside a push, may take this long.
FILE_SECONDS = 5.0
# What is left for sending when a push was counted at the last moment: less is not worth a request.
SEND_SECONDS = 1.0

Step = TypeVar("Step")


class TooLate(NotSent):
	"""A step had not ended when its time was over."""


def in_time(step: Callable[[], Step], give_up_at: float, late: Message) -> Step:
	"""Return what `step` returns, and raise what it raises; TooLate with `late` from `give_up_at` on (monotonic).

	Where no thread can be started, it runs without a limit: that a push cannot be sent must still be recorded.
	"""
	results: list[Step] = []
	errors: list[BaseException] = []
	done = threading.Event()

	def run() -> None:
		try:
			results.append(step())
		except BaseException as error:  # noqa: BLE001 - it is raised where the step is waited for
			errors.append(error)
		finally:
			done.set()

	try:
		threading.Thread(target=run, name="prego-metrics-step", daemon=True).start()
	except RuntimeError:
		run()
	done.wait(max(0.0, give_up_at - time.monotonic()))
	if errors:
		raise errors[0]
	if not results:
		raise TooLate(late)
	return results[0]


def folder_late(folder: str, seconds: float = FILE_SECONDS) -> Message:
	"""Return that the files of a push in `folder` did not answer in time."""
	return coded("state_late", folder=sanitize(folder), seconds=f"{seconds:.3g}")


def soon(give_up_at: float = float("inf")) -> float:
	"""Return when a file must have answered, of the monotonic clock; time to send is left before `give_up_at`."""
	now = time.monotonic()
	return min(now + FILE_SECONDS, max(now + SEND_SECONDS / 2, give_up_at - SEND_SECONDS))
