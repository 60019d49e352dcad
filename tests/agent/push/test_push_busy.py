"""A lock that is held for longer than a push may last: recorded, alerted of once, and over with the next push."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import ENVIRON, folder_of, push_now, scheduled, state_of

from prego_metrics.agent.alerts.receipts import take_unsent
from prego_metrics.agent.base.alert_codes import LOCK_STUCK, RECOVERED, STALE
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.busy import busy, lock_wait_seconds
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.lock_contention import held_lock, note_busy, stuck_push
from prego_metrics.agent.state.model import Push, Tick
from prego_metrics.agent.state.status import judge_status
from prego_metrics.sandbox.server import LocalControlPlane


@pytest.fixture
def lock(bench: Path) -> Iterator[PushLock]:
	"""The lock, held by another for as long as it is not released."""
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		yield lock


def tick(bench: Path, trigger: str = "cron") -> Result:
	return push_now(bench, scheduled(trigger))


def later(bench: Path, seconds: float) -> None:
	"""Let the run that found the lock busy first be `seconds` further in the past."""
	held = held_lock(folder_of(bench))
	assert held is not None
	assert folder_of(bench).rename(held.file_name, held._replace(at=held.at - seconds).file_name)


def stick(bench: Path) -> Result:
	"""Let the lock be stuck, and return how the run ended that found it so."""
	assert tick(bench).outcome == "busy"
	later(bench, 600)
	return tick(bench)


def sent(bench: Path, channel: str = "test") -> list[AlertEvent]:
	return take_unsent(folder_of(bench), channel, load_config(open_bench(str(bench)), {}))


def kinds(events: list[AlertEvent]) -> list[str]:
	return [event.kind for event in events]


def marks(bench: Path) -> list[str]:
	return [name for name in folder_of(bench).names() if name.startswith(("busy-", "stuck-"))]


def test_a_lock_that_is_held_for_longer_than_a_push_may_last_is_an_outcome(
	bench: Path, lock: PushLock
) -> None:
	assert [(tick(bench).outcome, tick(bench).exit_code) for _ in range(2)] == [("busy", 0)] * 2
	# A push with this interval may last 4 s, and 15 s beyond that for its files.
	later(bench, 17)
	assert tick(bench).outcome == "busy"
	later(bench, 3)
	result = tick(bench)
	assert (result.outcome, result.error_code, result.exit_code) == ("not_sent", "lock_stuck", 2)
	assert result.error and result.error.params["holder"].params["pid"] == os.getpid()
	assert folder_of(bench).ticks()[0].outcome == "not_sent"
	(line,) = folder_of(bench).history()
	assert (line.outcome, line.trigger, line.error) == ("not_sent", "cron", result.error)


@pytest.mark.parametrize(
	("began_ago", "ended_ago", "age"), [(None, None, 3), (40, None, 40), (40, 40, 3), (40, 50, 40)]
)
def test_a_push_that_waits_in_vain_says_since_when_the_other_one_runs(
	bench: Path, lock: PushLock, began_ago: int | None, ended_ago: int | None, age: int
) -> None:
	now = time.time()
	last = None
	if ended_ago:
		last = Push("0" * 16, now - ended_ago, "cron", "failed", None, None, 1, 0, None)
	began_at = now - began_ago if began_ago else None
	folder_of(bench).write(state_of(bench)._replace(last=last, last_attempt_at=began_at))
	result = busy(load_config(open_bench(str(bench)), {}), folder_of(bench), Request(), 2.6)
	assert (result.outcome, result.error_code, result.exit_code) == ("busy", "push_running", 1)
	assert (result.duration_ms, result.at) == (2600, pytest.approx(now, abs=1))
	assert result.error and result.error.params == {"age": age, "waited": 3}


@pytest.mark.parametrize(
	("interval", "if_due", "within", "seconds"),
	[
		(60, True, None, 0.2),
		(60, False, None, 53),
		(3600, False, None, 125),
		(60, False, 10, 5),
		(60, False, 200, 53),
		(60, True, 10, 0.2),
		(60, True, 0.2, 0.1),
	],
)
def test_a_push_waits_for_the_lock_as_long_as_another_may_last_and_half_of_its_own_time_at_most(
	bench: Path, interval: int, if_due: bool, within: float | None, seconds: float
) -> None:
	config = load_config(open_bench(str(bench)), {}).replaced(push_interval=interval)
	request = Request(if_due=if_due, within_seconds=within)
	assert lock_wait_seconds(config, request) == pytest.approx(seconds)


def test_one_stuck_lock_is_one_line_and_one_alert_of_each_channel_whoever_found_it(
	bench: Path, lock: PushLock
) -> None:
	stick(bench)
	assert [tick(bench, trigger).error_code for trigger in ("timer", "cron")] == ["lock_stuck"] * 2
	(line,) = folder_of(bench).history()
	(event,) = sent(bench)
	assert (event.kind, event.id, event.error) == (LOCK_STUCK, line.id, line.error)
	assert sent(bench) == [] and kinds(sent(bench, "other")) == [LOCK_STUCK]


def test_the_next_delivered_push_is_the_recovery(
	bench: Path, control_plane: LocalControlPlane, lock: PushLock
) -> None:
	stick(bench)
	sent(bench)
	lock.release()
	assert tick(bench).outcome == "delivered"
	assert marks(bench) == []
	(recovered,) = sent(bench)
	assert (recovered.kind, recovered.failures) == (RECOVERED, 1)
	assert recovered.since and abs(time.time() - recovered.since - 600) < 30
	assert [line.outcome for line in folder_of(bench).history()] == ["not_sent", "delivered"]
	assert state_of(bench).totals == {"not_sent": 1, "delivered": 1}


def test_the_next_failed_push_is_not_alerted_of_again(bench: Path, lock: PushLock) -> None:
	stick(bench)
	sent(bench)
	lock.release()
	for _ in range(3):
		assert push_now(bench, INTERNAL_API_KEY="").outcome == "not_sent"
	assert sent(bench) == [] and state_of(bench).alerted
	assert state_of(bench).failures_in_a_row == 4


def test_what_no_channel_has_sent_needs_no_recovery(bench: Path, lock: PushLock) -> None:
	stick(bench)
	lock.release()
	assert tick(bench).outcome == "delivered"
	assert sent(bench) == []


def test_a_push_that_got_the_lock_in_between_begins_anew(bench: Path, lock: PushLock) -> None:
	assert tick(bench).outcome == "busy"
	later(bench, 600)
	lock.release()
	assert push_now(bench).outcome == "delivered"
	assert marks(bench) == []
	with PushLock(str(bench / "sites")) as other:
		assert other.acquire()
		assert push_now(bench, Request("cron", if_due=True)).outcome == "not_due"


@pytest.mark.parametrize(
	("interval", "of_timer", "seconds"), [(5, 5, 19), (5, 60, 63), (60, 5, 63), (3600, 60, 135)]
)
def test_a_lock_is_stuck_once_the_longest_push_and_its_files_would_be_over(
	bench: Path, interval: float, of_timer: float, seconds: float
) -> None:
	folder = folder_of(bench)
	folder.write_tick(Tick("timer", 1e9, of_timer, "node-1", "delivered"))
	assert note_busy(folder, "cron", 1e9, interval) == held_lock(folder)
	assert not note_busy(folder, "frappe", 1e9 + seconds, interval).stuck
	stuck = note_busy(folder, "frappe", 1e9 + seconds + 0.1, interval)
	assert stuck == held_lock(folder) and stuck.stuck and (stuck.at, stuck.trigger) == (1e9, "cron")
	assert note_busy(folder, "timer", 1e9 + seconds + 60, interval) == stuck
	(line,) = folder.history()
	assert line[:9] == (stuck.id, 1e9, "cron", "not_sent", None, None, 0, 0, line.error)
	assert note_busy(folder, "timer", 1e9 - 1, interval).at == 1e9 - 1


def test_of_several_marks_the_one_that_says_stuck_counts_and_then_the_oldest(bench: Path) -> None:
	folder = folder_of(bench)
	for number, name in enumerate(
		["busy-cron-30.5", "busy-timer-20.0", "stuck-frappe-40.0", "stuck-cron-50.0"]
	):
		folder.make_mark(f"{name}-{number:016x}")
	found = []
	while held := held_lock(folder):
		found.append((held.at, held.trigger, held.stuck))
		folder.remove(held.file_name)
	assert found == [(40, "frappe", True), (50, "cron", True), (20, "timer", False), (30.5, "cron", False)]


def test_a_trigger_with_a_longer_interval_may_hold_the_lock_for_longer(bench: Path, lock: PushLock) -> None:
	folder_of(bench).write_tick(Tick("timer", time.time(), 300.0, "node-1", "delivered"))
	assert tick(bench).outcome == "busy"
	later(bench, 130)
	assert tick(bench).outcome == "busy"
	later(bench, 10)
	assert tick(bench).error_code == "lock_stuck"


def test_a_clock_that_went_back_begins_anew(bench: Path, lock: PushLock) -> None:
	assert tick(bench).outcome == "busy"
	later(bench, -3600)
	assert tick(bench).outcome == "busy"
	held = held_lock(folder_of(bench))
	assert held and held.at <= time.time() and len(marks(bench)) == 1


def test_a_manual_push_says_so_too(bench: Path, lock: PushLock) -> None:
	stick(bench)
	result = push(open_bench(str(bench)), Request(within_seconds=0.4), ENVIRON)
	assert (result.outcome, result.error_code) == ("not_sent", "lock_stuck")


def test_one_outage_is_not_told_as_stale_as_well(
	bench: Path, control_plane: LocalControlPlane, lock: PushLock
) -> None:
	lock.release()
	assert push_now(bench).outcome == "delivered"
	state = state_of(bench)
	config = load_config(open_bench(str(bench)), {})
	now = time.time() + 900
	with PushLock(str(bench / "sites")) as other:
		assert other.acquire()
		folder_of(bench).make_mark(f"stuck-cron-{now - 60!r}-0123456789abcdef")
		events = take_unsent(folder_of(bench), "test", config, clock=lambda: now)
	assert kinds(events) == [LOCK_STUCK]
	folder_of(bench).remove(marks(bench)[0])
	assert kinds(take_unsent(folder_of(bench), "test", config, clock=lambda: now)) == [STALE]
	assert state_of(bench) == state


def test_status_names_it(bench: Path, lock: PushLock) -> None:
	stick(bench)
	folder = folder_of(bench)
	config = load_config(open_bench(str(bench)), {})
	status = judge_status(state_of(bench), config, time.time(), folder=folder)
	assert status.exit_code == 3
	assert status.last and status.last.error and status.last.error.code == "lock_stuck"
	assert status.last.error in status.sentence


@pytest.mark.parametrize(
	"name", ["busy-cron-1e5-0123456789abcdef", "stuck-me-1.0-0123456789abcdef", "stuck-cron-1.0-x"]
)
def test_a_name_that_is_not_ours_is_no_mark(name: str, bench: Path) -> None:
	folder_of(bench).make_mark(name)
	assert held_lock(folder_of(bench)) is None


def test_a_stuck_lock_without_its_line_is_still_known(bench: Path) -> None:
	folder_of(bench).make_mark("stuck-timer-17.5-0123456789abcdef")
	found = stuck_push(folder_of(bench))
	assert found and (found.id, found.at, found.trigger) == ("0123456789abcdef", 17.5, "timer")
	assert found.error and found.error.params["holder"].code == "lock_holder_unknown"
