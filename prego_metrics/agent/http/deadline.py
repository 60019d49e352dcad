"""Work that ends by a deadline, whatever it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from prego_metrics.agent.base.messages import Message, coded

Result = TypeVar("Result")


class ThreadsExhausted(Exception):
	"""No thread can be started, as where a limit of processes is reached."""


def within_deadline(
	work: Callable[[], Result], abandon: Callable[[], None], deadline_seconds: float
) -> Result | Message | None:
	"""Run `work` in a daemon thread and return its result, or None if it has none by the deadline.

	An exception inside `work` comes back as a message that names its type: its traceback may hold the key.
	"""
	results: list[Result | Message] = []
	done = threading.Event()

	def run() -> None:
		try:
			results.append(work())
		except ThreadsExhausted:
			results.append(coded("no_threads"))
		except BaseException as error:  # noqa: BLE001 - nobody waits for a thread's exception
			results.append(coded("unexpected", error=type(error).__name__))
		finally:
			done.set()

	try:
		threading.Thread(target=run, name="prego-metrics-exchange", daemon=True).start()
		done.wait(max(0.0, deadline_seconds))
	except RuntimeError:
		return coded("no_threads")
	except BaseException as interruption:  # noqa: BLE001 - it is passed on, only without its traceback
		abandon()
		interruption.__context__ = None
		raise interruption.with_traceback(None) from None
	if not results:
		abandon()
	return results[0] if results else None
