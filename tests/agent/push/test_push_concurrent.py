"""Many pushes at once are one, and one that is killed blocks nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_server import Exchange, HostileServer
from push_processes import ROUTE, finish, rewind, start, wait_until
from pushing import (
	ENVIRON,
	aim,
	folder_of,
	leaked,
	push_now,
	scheduled,
	state_of,
)

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.sandbox.server import LocalControlPlane

# --- many at once ----------------------------------------------------------------------------------


def test_twenty_processes_at_once_send_one_push(bench: Path, control_plane: LocalControlPlane) -> None:
	aim(bench, control_plane.url, push_interval=60)
	processes = [start(bench, "--if-due") for _ in range(20)]
	result = [finish(process) for process in processes]
	assert control_plane.pushes == [f"POST {ROUTE} 200"]
	assert result == [(0, "", "")] * 20
	assert len(folder_of(bench).history()) == 1


def test_timer_cron_and_frappe_together_send_one_push(bench: Path, control_plane: LocalControlPlane) -> None:
	aim(bench, control_plane.url, push_interval=60)
	frappe = (
		"import sys\n"
		"from prego_metrics.agent.bench.locate import open_bench\n"
		"from prego_metrics.agent.push.push import Request, push\n"
		"sys.exit(push(open_bench(sys.argv[1]), Request(trigger='frappe', if_due=True)).exit_code)\n"
	)
	processes = [
		start(bench, "--if-due", INVOCATION_ID="0123456789abcdef"),
		start(bench, "--if-due"),
		*(
			subprocess.Popen([sys.executable, "-c", frappe, str(bench)], env={**os.environ, **ENVIRON})
			for _ in range(3)
		),
	]
	assert [process.wait(30) for process in processes] == [0] * 5
	for process in processes[:2]:
		process.communicate()
	assert control_plane.pushes == [f"POST {ROUTE} 200"]
	assert [tick.trigger for tick in folder_of(bench).ticks()] == ["frappe", "timer", "cron"]


def test_a_scheduled_push_beside_another_has_nothing_to_do(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		started = time.monotonic()
		result = push_now(bench, scheduled())
	assert (result.outcome, result.exit_code) == ("busy", 0)
	assert time.monotonic() - started < 3
	assert control_plane.answers == []


def test_a_push_by_hand_waits_for_the_one_that_runs(bench: Path, control_plane: LocalControlPlane) -> None:
	with HostileServer(Exchange.wait) as server:
		aim(bench, server.url, timeout=1)
		running = start(bench, "--if-due")
		wait_until(lambda: server.requests)
		aim(bench, control_plane.url)
		result = push(open_bench(str(bench)), Request(), ENVIRON)
		finish(running)
	assert result.outcome == "delivered"
	assert [entry.outcome for entry in folder_of(bench).history()] == ["failed", "delivered"]


def test_a_push_by_hand_that_waited_in_vain_says_busy(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr("prego_metrics.agent.push.busy.LOCK_GRACE_SECONDS", -3.5)
	state = state_of(bench)
	folder_of(bench).write(state._replace(last_attempt_at=time.time() - 42))
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		started = time.monotonic()
		result = push(open_bench(str(bench)), Request(), ENVIRON)
	assert (result.outcome, result.exit_code) == ("busy", 1)
	assert 0.4 <= time.monotonic() - started < 1.5
	assert result.error.code == "push_running"
	assert 42 <= result.error.params["age"] <= 44 and result.error.params["waited"] <= 1
	assert control_plane.answers == []
	assert folder_of(bench).history() == []


# --- death ----------------------------------------------------------------------------------------


def test_a_process_killed_while_it_sends_blocks_nothing(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(Exchange.wait) as server:
		aim(bench, server.url, timeout=4)
		process = start(bench, "--if-due")
		wait_until(lambda: server.requests)
		assert push_now(bench, scheduled()).outcome == "not_due"
		process.send_signal(signal.SIGKILL)
		finish(process)
	assert state_of(bench).unfinished
	aim(bench, control_plane.url)
	assert push_now(bench, scheduled()).outcome == "not_due"
	rewind(bench, 4)
	assert push_now(bench, scheduled()).outcome == "delivered"


def test_a_process_killed_while_it_asks_for_a_snapshot_has_asked_for_it(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(Exchange.wait) as server:
		aim(bench, server.url, timeout=4, snapshot_interval=3600)
		process = start(bench)
		wait_until(lambda: server.requests)
		process.send_signal(signal.SIGKILL)
		finish(process)
	aim(bench, control_plane.url, snapshot_interval=3600)
	result = push_now(bench)
	assert result.outcome == "delivered" and "save_snapshot" not in result.payload


def test_a_process_killed_while_it_holds_the_lock_blocks_nothing(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	holder = (
		"import sys, time\n"
		"from prego_metrics.agent.state.lock import PushLock\n"
		"lock = PushLock(sys.argv[1]); lock.acquire(); print('held', flush=True); time.sleep(60)\n"
	)
	process = subprocess.Popen(
		[sys.executable, "-c", holder, str(bench / "sites")], stdout=subprocess.PIPE, text=True
	)
	assert process.stdout.readline() == "held\n"
	assert push_now(bench, scheduled()).outcome == "busy"
	process.kill()
	process.communicate()
	assert push_now(bench, scheduled()).outcome == "delivered"


def test_a_process_killed_at_any_moment_leaves_a_state_that_can_be_read(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	for step in range(8):
		process = start(bench)
		time.sleep(0.15 + step * 0.05)
		process.send_signal(signal.SIGKILL)
		finish(process)
		_, warnings = folder_of(bench).read()
		assert warnings == []
	assert push_now(bench).outcome == "delivered"
	assert not any("set-aside" in name for name in os.listdir(bench / "sites/.prego-metrics"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [(), ("--if-due",)], ids=["by hand", "scheduled"])
def test_a_process_that_is_told_to_stop_stops_at_once_without_the_key(
	options: tuple[str, ...], number: signal.Signals, bench: Path
) -> None:
	with HostileServer(Exchange.wait) as server:
		aim(bench, server.url, timeout=4)
		process = start(bench, *options)
		wait_until(lambda: server.requests)
		told = time.monotonic()
		process.send_signal(number)
		code, out, err = finish(process)
		assert time.monotonic() - told < 1.5
	assert code != 0
	assert not leaked(out + err)
	assert state_of(bench).unfinished
