"""An exchange ends by its deadline, with its result, with the type of what it raised, or with nothing."""

from __future__ import annotations

import threading
import time

import pytest

from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.base.time_limits import ThreadsExhausted
from prego_metrics.agent.http.deadline import within_deadline


class Abandoned:
	"""Counts how often an exchange was abandoned."""

	def __init__(self) -> None:
		self.times = 0

	def __call__(self) -> None:
		self.times += 1


def raises(error: BaseException) -> None:
	raise error


def no_thread(thread: threading.Thread) -> None:
	raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("result", [7, None, "", {}], ids=repr)
def test_what_ends_in_time_is_returned_and_not_abandoned(result: object) -> None:
	abandoned = Abandoned()
	assert within_deadline(lambda: result, abandoned, 5.0) == result
	assert abandoned.times == 0


def test_what_does_not_end_is_abandoned_at_the_deadline() -> None:
	abandoned = Abandoned()
	over = threading.Event()
	began = time.monotonic()
	assert within_deadline(lambda: over.wait(20), abandoned, 0.2) is None
	assert 0.2 <= time.monotonic() - began < 10
	assert abandoned.times == 1
	over.set()


def test_an_exception_comes_back_as_its_type_alone() -> None:
	abandoned = Abandoned()
	result = within_deadline(lambda: raises(LookupError("the key")), abandoned, 5.0)
	assert isinstance(result, Message)
	assert (result.code, result.params) == ("unexpected", {"error": "LookupError"})
	assert abandoned.times == 0


def test_a_thread_that_cannot_be_started_is_named_wherever_it_was_needed(
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	within = within_deadline(lambda: raises(ThreadsExhausted()), Abandoned(), 5.0)
	assert isinstance(within, Message) and within.code == "no_threads"
	monkeypatch.setattr(threading.Thread, "start", no_thread)
	itself = within_deadline(lambda: 7, Abandoned(), 5.0)
	assert isinstance(itself, Message) and itself.code == "no_threads"


def test_an_interruption_of_the_wait_abandons_and_passes_without_a_traceback(
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	abandoned = Abandoned()
	monkeypatch.setattr(threading.Event, "wait", lambda *_: raises(KeyboardInterrupt()))
	with pytest.raises(KeyboardInterrupt) as raised:
		within_deadline(lambda: 7, abandoned, 5.0)
	monkeypatch.undo()
	assert abandoned.times == 1
	assert raised.value.__context__ is None
	assert [frame.name for frame in raised.traceback][-1] == "within_deadline"
