"""An exchange that ends by a deadline, whatever it waits for."""

from __future__ import annotations

from collections.abc import Callable

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.time_limits import Limited, ThreadsExhausted
from prego_metrics.agent.light_typing import TypeVar

Result = TypeVar("Result")


def within_deadline(
	work: Callable[[], Result], abandon: Callable[[], None], deadline_seconds: float
) -> Result | Message | None:
	"""Run `work` in a daemon thread and return its result, or None if it has none by the deadline.

	An exception inside `work` comes back as a message that names its type: its traceback may hold the key.
	"""
	try:
		exchange = Limited(work)
		answered = exchange.ends_within(deadline_seconds)
	except ThreadsExhausted:
		return coded("no_threads")
	except BaseException as interruption:  # noqa: BLE001 - it is passed on, only without its traceback
		abandon()
		interruption.__context__ = None
		raise interruption.with_traceback(None) from None
	if not answered:
		abandon()
		return None
	if isinstance(exchange.error, ThreadsExhausted):
		return coded("no_threads")
	if exchange.error:
		return coded("unexpected", error=type(exchange.error).__name__)
	return exchange.result()
