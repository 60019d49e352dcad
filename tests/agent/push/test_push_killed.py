"""A push whose process was killed leaves a trace: a line in the history, and a failure that counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_server import Exchange, HostileServer
from push_processes import finish, rewind, start, wait_until
from pushing import ENVIRON, aim, folder_of, push_now, scheduled, spare_the_sample, state_of

from prego_metrics.agent.base.alert_codes import FAILING, RECOVERED
from prego_metrics.agent.state.begun_push import BegunPush
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.model import State
from prego_metrics.sandbox.server import LocalControlPlane

# A push that kills itself in the function that is named, as the kernel would when memory runs out.
_KILLED_IN = (
	"import importlib, os, signal, sys\n"
	"from prego_metrics.agent.bench.locate import open_bench\n"
	"from prego_metrics.agent.push.push import preload, push\n"
	"from prego_metrics.agent.push.request import Request\n"
	"preload()\n"
	"module, name = sys.argv[2].split(':')\n"
	"holder = importlib.import_module('prego_metrics.agent.' + module)\n"
	"*path, name = name.split('.')\n"
	"for part in path: holder = getattr(holder, part)\n"
	"def kill(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n"
	"setattr(holder, name, kill)\n"
	"push(open_bench(sys.argv[1]), Request(sys.argv[3], if_due=True))\n"
)
COUNTING = "push.payload:collect_payload"
RECORDING = "push.record:record_push"
HISTORY = "state.store:StateFolder.append_history"
STATE = "state.store:StateFolder.write"


def killed_in(place: str, bench: Path, trigger: str = "cron") -> None:
	command = [sys.executable, "-c", _KILLED_IN, str(bench), place, trigger]
	result = subprocess.run(command, env={**os.environ, **ENVIRON}, check=False, timeout=30)
	assert result.returncode == -signal.SIGKILL


def marks(bench: Path) -> list[str]:
	return [name for name in os.listdir(bench / "sites/.prego-metrics") if name.startswith("begun-")]


def ends(bench: Path) -> list[tuple[str, str, str | None]]:
	return [
		(push.trigger, push.outcome, push.error.code if push.error else None)
		for push in folder_of(bench).history()
	]


@pytest.mark.parametrize("place", [COUNTING, RECORDING])
def test_a_push_that_was_killed_is_recorded_by_the_next(
	place: str, bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url)
	killed_in(place, bench, "frappe")
	assert ends(bench) == [] and len(marks(bench)) == 1
	if place == RECORDING:
		rewind(bench, 5)
	assert push_now(bench, scheduled()).outcome == "delivered"
	assert ends(bench) == [("frappe", "failed", "push_killed"), ("cron", "delivered", None)]
	killed = folder_of(bench).history()[0]
	assert (killed.payload, killed.status_code, killed.attempts, killed.duration_ms) == (None, None, 0, 0)
	assert marks(bench) == []
	assert state_of(bench).totals == {"failed": 1, "delivered": 1}


def test_pushes_that_are_killed_one_after_the_other_raise_an_alert(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url, alert_after=3)
	for _ in range(4):
		killed_in(COUNTING, bench)
	state = state_of(bench)
	assert state.failures_in_a_row == 3
	assert [(event.kind, event.error.code) for event in state.events] == [(FAILING, "push_killed")]
	assert push_now(bench).outcome == "delivered"
	assert [event.kind for event in state_of(bench).events] == [FAILING, RECOVERED]
	assert len(ends(bench)) == 5


@pytest.mark.parametrize("place", [HISTORY, STATE])
def test_who_is_killed_while_it_records_another_s_end_leaves_it_to_the_next(
	place: str, bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url)
	spare_the_sample(bench)
	killed_in(COUNTING, bench)
	killed_in(place, bench)
	assert push_now(bench).outcome == "delivered"
	assert ends(bench) == [("cron", "failed", "push_killed"), ("manual", "delivered", None)]
	assert state_of(bench).totals["failed"] == 1


def test_a_push_that_runs_is_not_taken_for_killed(bench: Path) -> None:
	with HostileServer(Exchange.wait) as server:
		aim(bench, server.url, timeout=1)
		running = start(bench, "--if-due")
		wait_until(lambda: server.requests)
		rewind(bench, 5)
		assert push_now(bench, scheduled("timer")).outcome == "busy"
		finish(running)
	assert [(outcome, code) for _, outcome, code in ends(bench)] == [("failed", "no_answer")]
	assert marks(bench) == []


def test_without_a_lock_nobody_knows_who_was_killed(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	aim(bench, control_plane.url)
	killed_in(COUNTING, bench)

	def refuse(*_: object) -> None:
		raise OSError(38, "Function not implemented")

	monkeypatch.setattr("fcntl.flock", refuse)
	assert push_now(bench).outcome == "delivered"
	assert ends(bench) == [("manual", "delivered", None)] and len(marks(bench)) == 1


def test_a_recorded_push_whose_mark_stayed_counts_once(bench: Path, control_plane: LocalControlPlane) -> None:
	aim(bench, control_plane.url)
	push_now(bench)
	last = state_of(bench).last
	assert folder_of(bench).make_mark(BegunPush(last.at, last.trigger, last.id).file_name) is None
	push_now(bench)
	assert [outcome for _, outcome, _ in ends(bench)] == ["delivered", "delivered"]
	assert marks(bench) == []


def test_where_the_state_cannot_be_written_no_push_counts_as_killed(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url)
	(bench / "sites/.prego-metrics/state.json").unlink()
	(bench / "sites/.prego-metrics/state.json").mkdir()
	assert push_now(bench).outcome == "delivered"
	assert marks(bench) == []


def test_a_run_that_is_not_due_reads_no_marks(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	push_now(bench)

	def forbidden(_: object) -> None:
		raise AssertionError("it was read")

	monkeypatch.setattr("prego_metrics.agent.state.store.StateFolder.begun", forbidden)
	assert push_now(bench, scheduled()).outcome == "not_due"


@pytest.mark.parametrize(
	"name",
	["begun-", "begun-cron-1.5-x", "begun-eve-1.5-0123456789abcdef", "begun-cron-1e9-0123456789abcdef"],
)
def test_names_that_are_not_ours_are_no_attempts(
	name: str, bench: Path, control_plane: LocalControlPlane
) -> None:
	push_now(bench)
	(bench / "sites/.prego-metrics" / name).touch()
	push_now(bench)
	assert [outcome for _, outcome, _ in ends(bench)] == ["delivered", "delivered"]


def test_the_lock_alone_says_that_an_attempt_is_under_way(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url)
	folder = folder_of(bench)
	assert folder.write(State()) is None
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		attempt = BegunPush.of("timer")
		assert folder.make_mark(attempt.file_name) is None and folder.begun() == [attempt]
		assert push_now(bench, scheduled()).outcome == "busy"
	assert folder.history() == [] and folder.begun() == [attempt]
