"""When a push is due, whoever asks for it, and when it asks for a snapshot."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hostile_server import Exchange, HostileServer, answer
from push_processes import rewind
from pushing import (
	aim,
	folder_of,
	push_now,
	scheduled,
	state_of,
)

from prego_metrics.agent.push.request import Request
from prego_metrics.agent.state import schedule as due
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.model import State
from prego_metrics.sandbox.server import LocalControlPlane

# --- when it is due --------------------------------------------------------------------------------


def test_a_scheduled_push_waits_for_its_interval(bench: Path, control_plane: LocalControlPlane) -> None:
	assert push_now(bench, scheduled()).outcome == "delivered"
	result = push_now(bench, scheduled())
	assert (result.outcome, result.exit_code, result.payload) == ("not_due", 0, None)
	rewind(bench, 3.0)
	assert push_now(bench, scheduled()).outcome == "not_due"
	rewind(bench, 0.9)
	assert push_now(bench, scheduled()).outcome == "delivered"
	assert len(control_plane.pushes) == 2


@pytest.mark.parametrize("if_due", [True, False])
def test_frappes_scheduler_alone_does_not_push_where_it_is_not_to(
	bench: Path, control_plane: LocalControlPlane, if_due: bool
) -> None:
	aim(bench, control_plane.url, scheduler_pushes=False)
	assert push_now(bench, Request(trigger="frappe", if_due=if_due)).outcome == "not_due"
	assert push_now(bench, Request(trigger="cron", if_due=if_due)).outcome == "delivered"
	aim(bench, control_plane.url, scheduler_pushes=True)
	rewind(bench, 60)
	assert push_now(bench, Request(trigger="frappe", if_due=if_due)).outcome == "delivered"
	assert len(control_plane.pushes) == 2


def test_a_push_by_hand_is_always_due(bench: Path, control_plane: LocalControlPlane) -> None:
	for _ in range(3):
		assert push_now(bench).outcome == "delivered"
	assert len(control_plane.pushes) == 3


def test_a_clock_that_went_back_makes_a_push_due(bench: Path) -> None:
	push_now(bench, scheduled())
	rewind(bench, -3600)
	assert push_now(bench, scheduled()).outcome == "delivered"
	assert push_now(bench, scheduled()).outcome == "not_due"


def test_after_one_failure_a_long_interval_counts_as_a_minute(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(400)) as server:
		aim(bench, server.url, push_interval=3600)
		assert push_now(bench, scheduled()).outcome == "refused"
	aim(bench, control_plane.url, push_interval=3600)
	rewind(bench, 44)
	assert push_now(bench, scheduled()).outcome == "not_due"
	rewind(bench, 2)
	assert push_now(bench, scheduled()).outcome == "delivered"
	rewind(bench, 44)
	assert push_now(bench, scheduled()).outcome == "not_due"


def test_after_a_failed_push_a_trigger_tries_once_until_something_is_delivered(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(503)) as server:
		aim(bench, server.url)
		assert push_now(bench, scheduled()).attempts == 3
		for _ in range(2):
			rewind(bench, 10)
			assert push_now(bench, scheduled()).attempts == 1
		assert push_now(bench).attempts == 3  # a person is waiting for it
		aim(bench, control_plane.url)
		assert push_now(bench).outcome == "delivered"
		rewind(bench, 10)
		aim(bench, server.url)
		assert push_now(bench, scheduled()).attempts == 3


def test_an_attempt_is_stamped_before_it_is_sent(bench: Path) -> None:
	seen: list[State] = []

	def look(exchange: Exchange) -> None:
		seen.append(state_of(bench))
		answer(200)(exchange)

	with HostileServer(look) as server:
		push_now(aim(bench, server.url), scheduled())
	assert seen[0].unfinished and seen[0].last_attempt_at is not None
	assert due.seconds_until_due(time.time(), seen[0].pace, 60, "node-1") > 0


def test_each_tick_leaves_its_driver_s_mark_even_when_nothing_is_due(bench: Path) -> None:
	push_now(bench, scheduled("timer"))
	before = time.time()
	push_now(bench, scheduled("frappe"))
	push_now(bench, scheduled("cron"), PREGO_METRICS_PUSH_INTERVAL="7", PREGO_METRICS_NODE_ID="other")
	ticks = {tick.trigger: tick for tick in folder_of(bench).ticks()}
	assert {name: tick.outcome for name, tick in ticks.items()} == {
		"frappe": "not_due",
		"timer": "delivered",
		"cron": "not_due",
	}
	assert ticks["frappe"].at >= before
	assert (ticks["cron"].push_interval, ticks["cron"].node_id) == (7.0, "other")


def test_a_snapshot_is_asked_for_when_it_is_due(bench: Path, control_plane: LocalControlPlane) -> None:
	aim(bench, control_plane.url, snapshot_interval=3600)
	assert push_now(bench).payload["save_snapshot"] is True
	assert "save_snapshot" not in push_now(bench).payload
	state = state_of(bench)
	folder_of(bench).write(state._replace(last_snapshot_at=state.last_snapshot_at - 3590))
	assert push_now(bench).payload["save_snapshot"] is True
	assert push_now(bench, Request(save_snapshot=True)).payload["save_snapshot"] is True
	assert len(control_plane.store.snapshots("node-1")) == 3


def test_no_snapshot_is_asked_for_where_the_interval_is_zero(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	assert "save_snapshot" not in push_now(bench).payload
	assert push_now(bench, Request(save_snapshot=True)).payload["save_snapshot"] is True
	assert len(control_plane.store.snapshots("node-1")) == 1


def test_a_snapshot_that_may_have_been_stored_is_not_asked_for_again(bench: Path) -> None:
	with HostileServer(answer(503)) as server:
		push_now(aim(bench, server.url, snapshot_interval=3600))
		assert [b"save_snapshot" in body for body in server.bodies] == [True, False, False]
		assert "save_snapshot" not in push_now(bench).payload


def test_a_snapshot_that_was_refused_is_asked_for_again(bench: Path) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, snapshot_interval=3600))
		assert push_now(bench).payload["save_snapshot"] is True


# --- the spread -----------------------------------------------------------------------------------


def test_cron_waits_its_share_before_the_lock_and_only_when_due(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	aim(bench, control_plane.url, spread=30, push_interval=60)
	slept: list[float] = []

	def sleep(seconds: float) -> None:
		slept.append(seconds)
		with PushLock(str(bench / "sites")) as lock:
			assert lock.acquire(), "the lock is held while the push only waits its share"

	spreading = scheduled()._replace(spread=True)
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", sleep)
		assert push_now(bench, spreading).outcome == "delivered"
		assert push_now(bench, spreading).outcome == "not_due"
	assert slept == [due.spread_share_seconds("node-1", 30.0)]


def test_a_run_waits_though_a_push_is_due_only_after_its_share(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	"""With a share of 50 s the last push was 10 s ago when cron starts the next run."""
	aim(bench, control_plane.url, spread=55, push_interval=60)
	share = due.spread_share_seconds("node-1", 55.0)
	push_now(bench)
	slept: list[float] = []

	def sleep(seconds: float) -> None:
		slept.append(seconds)
		rewind(bench, seconds)

	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", sleep)
		rewind(bench, 44 - share)
		assert push_now(bench, scheduled()._replace(spread=True)).outcome == "not_due"
		rewind(bench, 2)
		assert push_now(bench, scheduled()._replace(spread=True)).outcome == "delivered"
	assert slept == [share]


def test_what_became_undue_while_waiting_is_not_sent(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	aim(bench, control_plane.url, spread=30)
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", lambda _: push_now(bench))
		result = push_now(bench, scheduled()._replace(spread=True))
	assert result.outcome == "not_due"
	assert len(control_plane.pushes) == 1
