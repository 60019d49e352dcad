"""One push, start to end, and one push per interval whoever asks for it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hostile_server import Exchange, HostileServer, answer
from pushing import (
	ENVIRON,
	KEY,
	aim,
	earlier_reading,
	folder_of,
	kept,
	leaked,
	push_now,
	scheduled,
	spare_the_sample,
	state_of,
)

from prego_metrics.agent import due
from prego_metrics.agent.bench import open_bench
from prego_metrics.agent.lock import PushLock
from prego_metrics.agent.push import Request, dry_run, push
from prego_metrics.agent.state import State
from prego_metrics.local_control_plane.server import LocalControlPlane

ROUTE = "/internal/server-metrics"
NOBODY = 65534


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr("prego_metrics.agent.control_plane.BACKOFF_BASE_SECONDS", 0.02)


@pytest.fixture
def control_plane() -> Iterator[LocalControlPlane]:
	"""A control plane with the key of these tests, which knows node-1 and keeps what it answered."""
	answers: list[str] = []
	with LocalControlPlane(KEY, on_request=answers.append) as plane:
		plane.store.register_node("node-1", "sg", "10.0.0.1")
		plane.answers = answers
		yield plane


@pytest.fixture
def bench(bench_folder: Path, control_plane: LocalControlPlane) -> Path:
	spare_the_sample(bench_folder)
	return aim(bench_folder, control_plane.url)


def command(bench_folder: Path, *options: str) -> list[str]:
	return [sys.executable, "-m", "prego_metrics.agent", "push", *options, "--bench", str(bench_folder)]


def start(bench_folder: Path, *options: str, **environ: str) -> subprocess.Popen[str]:
	return subprocess.Popen(
		command(bench_folder, *options),
		env={**os.environ, **ENVIRON, **environ},
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
	out, err = process.communicate(timeout=30)
	return process.returncode, out, err


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
	give_up_at = time.monotonic() + seconds
	while not condition():
		assert time.monotonic() < give_up_at, "it did not come to pass"
		time.sleep(0.01)


def rewind(bench_folder: Path, seconds: float) -> None:
	"""Let the last attempt, and its result, be `seconds` further in the past."""
	state = state_of(bench_folder)
	last = replace(state.last, at=state.last.at - seconds) if state.last else None
	folder_of(bench_folder).write(replace(state, last_attempt_at=state.last_attempt_at - seconds, last=last))


# --- the story -------------------------------------------------------------------------------------


def test_a_push_counts_samples_sends_and_records(bench: Path, control_plane: LocalControlPlane) -> None:
	before = time.time()
	ended = push_now(bench)
	assert (ended.outcome, ended.status_code, ended.attempts, ended.error) == ("delivered", 200, 1, None)
	assert ended.exit_code == 0
	row = control_plane.store.server_metrics("node-1")
	assert row["tenant_count"] == 3 and row["source"] == "node_push"
	for name in ("cpu_pct", "memory_pct", "disk_pct"):
		assert 0 <= row[name] <= 100
		assert row[name] == ended.payload[name]
	assert list(ended.payload) == ["node_id", "cpu_pct", "memory_pct", "disk_pct", "tenant_count", "source"]

	state = state_of(bench)
	assert before <= state.last_attempt_at <= time.time()
	assert state.last == state.last_delivered
	assert state.last.payload == ended.payload
	assert (state.last.driver, state.last.at) == ("manual", ended.at)
	assert state.totals == {"delivered": 1}
	assert state.failures_in_a_row == 0 and not state.unfinished
	assert folder_of(bench).history() == [state.last]
	assert folder_of(bench).ticks() == []


def test_the_result_is_the_same_json_everywhere(bench: Path) -> None:
	ended = push_now(bench)
	assert set(json.loads(json.dumps(ended.as_dict()))) == {
		"outcome",
		"payload",
		"status_code",
		"attempts",
		"duration_ms",
		"error",
		"at",
	}


def test_the_cpu_is_the_mean_since_the_last_push(bench: Path) -> None:
	reading = earlier_reading(30)
	busy = {**reading.times, "user": reading.times["user"] - 30.0 * reading.cpus}
	idle = {**busy, "idle": reading.times["idle"] + 30 * reading.cpus}
	folder_of(bench).write(State(cpu=replace(reading, times=idle)))
	started = time.monotonic()
	ended = push(open_bench(str(bench)), Request(), ENVIRON)
	assert ended.payload["cpu_pct"] > 95
	assert time.monotonic() - started < 0.9
	assert state_of(bench).cpu.boot_seconds > reading.boot_seconds


def test_without_an_earlier_reading_the_cpu_is_watched_for_a_second(bench: Path) -> None:
	folder_of(bench).write(State())
	started = time.monotonic()
	ended = push(open_bench(str(bench)), Request(), ENVIRON)
	assert 0 <= ended.payload["cpu_pct"] <= 100
	assert time.monotonic() - started >= 1.0


@pytest.mark.parametrize(
	("settings", "environ", "says"),
	[
		({"node_id": None}, {}, "node_id"),
		({"control_plane_url": "http://plane.example"}, {}, "control_plane_url"),
		({"benches": ["/nowhere"]}, {}, "/nowhere"),
		({"api_key": "x"}, {}, "api_key"),
		({}, {"INTERNAL_API_KEY": ""}, "there is no key"),
		({}, {"INTERNAL_API_KEY": "two words"}, "printable ASCII"),
	],
	ids=["no node_id", "clear text", "no bench", "key in the file", "no key", "bad key"],
)
def test_without_count_key_or_settings_nothing_is_sent_and_no_attempt_stamped(
	settings: dict[str, Any],
	environ: dict[str, str],
	says: str,
	bench: Path,
	control_plane: LocalControlPlane,
) -> None:
	aim(bench, control_plane.url, **settings)
	ended = push_now(bench, **environ)
	assert (ended.outcome, ended.exit_code, ended.attempts) == ("not_sent", 2, 0)
	assert says in ended.error and "two words" not in ended.error
	assert control_plane.answers == []
	state = state_of(bench)
	assert state.last_attempt_at is None and state.last.outcome == "not_sent"
	assert state.failures_in_a_row == 1


def test_a_driver_without_the_key_does_not_starve_one_that_has_it(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	for _ in range(3):
		assert push_now(bench, scheduled("frappe"), INTERNAL_API_KEY="").outcome == "not_sent"
		assert push_now(bench, scheduled("timer")).outcome == "delivered"
		rewind(bench, 5)
	assert len(control_plane.answers) == 3


def test_another_benches_state_is_left_alone(
	bench: Path, make_bench: Callable[..., Path], tmp_path: Path, control_plane: LocalControlPlane
) -> None:
	other = make_bench(tmp_path / "other-bench", "a.example", "b.example")
	aim(bench, control_plane.url, benches=[str(bench), str(other)])
	before = sorted(os.listdir(other / "sites"))
	assert push_now(bench).payload["tenant_count"] == 5
	assert sorted(os.listdir(other / "sites")) == before


# --- when it is due --------------------------------------------------------------------------------


def test_a_scheduled_push_waits_for_its_interval(bench: Path, control_plane: LocalControlPlane) -> None:
	assert push_now(bench, scheduled()).outcome == "delivered"
	ended = push_now(bench, scheduled())
	assert (ended.outcome, ended.exit_code, ended.payload) == ("not_due", 0, None)
	rewind(bench, 3.6)
	assert push_now(bench, scheduled()).outcome == "not_due"
	rewind(bench, 0.3)
	assert push_now(bench, scheduled()).outcome == "delivered"
	assert len(control_plane.answers) == 2


def test_a_push_by_hand_is_always_due(bench: Path, control_plane: LocalControlPlane) -> None:
	for _ in range(3):
		assert push_now(bench).outcome == "delivered"
	assert len(control_plane.answers) == 3


def test_a_clock_that_went_back_makes_a_push_due(bench: Path) -> None:
	push_now(bench, scheduled())
	rewind(bench, -3600)
	assert push_now(bench, scheduled()).outcome == "delivered"
	assert push_now(bench, scheduled()).outcome == "not_due"


def test_after_a_failure_a_long_interval_counts_as_a_minute(
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
	rewind(bench, 3500)
	assert push_now(bench, scheduled()).outcome == "not_due"


def test_an_attempt_is_stamped_before_it_is_sent(bench: Path) -> None:
	seen: list[State] = []

	def look(exchange: Exchange) -> None:
		seen.append(state_of(bench))
		answer(200)(exchange)

	with HostileServer(look) as server:
		push_now(aim(bench, server.url), scheduled())
	assert seen[0].unfinished and seen[0].last_attempt_at is not None
	assert not due.is_due(time.time(), seen[0].last_attempt_at, 60)


def test_each_tick_leaves_its_driver_s_mark_even_when_nothing_is_due(bench: Path) -> None:
	push_now(bench, scheduled("timer"))
	before = time.time()
	push_now(bench, scheduled("frappe"))
	push_now(bench, scheduled("cron"), PREGO_METRICS_PUSH_INTERVAL="7", PREGO_METRICS_NODE_ID="other")
	ticks = {tick.driver: tick for tick in folder_of(bench).ticks()}
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
	folder_of(bench).write(replace(state, last_snapshot_at=state.last_snapshot_at - 3590))
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


# --- the dry run -----------------------------------------------------------------------------------


def whole_tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
	found = {}
	for path in [folder, *folder.rglob("*")]:
		status = path.lstat()
		content = path.read_bytes() if path.is_file() else b""
		found[str(path)] = (status.st_mtime_ns, status.st_ino, content)
	return found


@pytest.mark.parametrize("state", ["none", "good", "corrupt"])
def test_a_dry_run_sends_nothing_and_records_nothing(
	state: str, bench_folder: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench_folder, control_plane.url)
	if state != "none":
		spare_the_sample(bench_folder)
	if state == "corrupt":
		(bench_folder / "sites/.prego-metrics/state.json").write_text("{")
	before = whole_tree(bench_folder)
	ended = dry_run(open_bench(str(bench_folder)), {})
	assert (ended.outcome, ended.exit_code, ended.payload["tenant_count"]) == ("dry_run", 0, 3)
	assert whole_tree(bench_folder) == before
	assert control_plane.answers == []


def test_a_dry_run_of_a_broken_bench_says_so(bench: Path) -> None:
	aim(bench, "ftp://plane.example")
	ended = dry_run(open_bench(str(bench)), {})
	assert (ended.outcome, ended.exit_code) == ("not_sent", 2)
	assert "control_plane_url" in ended.error


# --- many at once ----------------------------------------------------------------------------------


def test_twenty_processes_at_once_send_one_push(bench: Path, control_plane: LocalControlPlane) -> None:
	aim(bench, control_plane.url, push_interval=60)
	processes = [start(bench, "--if-due") for _ in range(20)]
	ended = [finish(process) for process in processes]
	assert control_plane.answers == [f"POST {ROUTE} 200"]
	assert ended == [(0, "", "")] * 20
	assert len(folder_of(bench).history()) == 1


def test_timer_cron_and_frappe_together_send_one_push(bench: Path, control_plane: LocalControlPlane) -> None:
	aim(bench, control_plane.url, push_interval=60)
	frappe = (
		"import sys\n"
		"from prego_metrics.agent.bench import open_bench\n"
		"from prego_metrics.agent.push import Request, push\n"
		"sys.exit(push(open_bench(sys.argv[1]), Request(driver='frappe', if_due=True)).exit_code)\n"
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
	assert control_plane.answers == [f"POST {ROUTE} 200"]
	assert [tick.driver for tick in folder_of(bench).ticks()] == ["frappe", "timer", "cron"]


def test_a_scheduled_push_beside_another_has_nothing_to_do(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		started = time.monotonic()
		ended = push_now(bench, scheduled())
	assert (ended.outcome, ended.exit_code) == ("busy", 0)
	assert time.monotonic() - started < 0.5
	assert control_plane.answers == []


def test_a_push_by_hand_waits_for_the_one_that_runs(bench: Path, control_plane: LocalControlPlane) -> None:
	with HostileServer(Exchange.wait) as server:
		aim(bench, server.url, timeout=1)
		running = start(bench, "--if-due")
		wait_until(lambda: server.requests)
		aim(bench, control_plane.url)
		ended = push(open_bench(str(bench)), Request(), ENVIRON)
		finish(running)
	assert ended.outcome == "delivered"
	assert [entry.outcome for entry in folder_of(bench).history()] == ["failed", "delivered"]


def test_a_push_by_hand_that_waited_in_vain_says_busy(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr("prego_metrics.agent.push.LOCK_GRACE_SECONDS", -3.5)
	state = state_of(bench)
	folder_of(bench).write(replace(state, last_attempt_at=time.time() - 42))
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		started = time.monotonic()
		ended = push(open_bench(str(bench)), Request(), ENVIRON)
	assert (ended.outcome, ended.exit_code) == ("busy", 1)
	assert 0.4 <= time.monotonic() - started < 1.5
	assert re.match("another push is running since 4[234] s; waited [01] s for it", ended.error)
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
	ended = push_now(bench)
	assert ended.outcome == "delivered" and "save_snapshot" not in ended.payload


def test_a_process_killed_while_it_holds_the_lock_blocks_nothing(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	holder = (
		"import sys, time\n"
		"from prego_metrics.agent.lock import PushLock\n"
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


# --- a state that cannot be kept -------------------------------------------------------------------


def test_a_corrupt_state_is_set_aside_and_said_by_the_push_that_comes_next(bench: Path) -> None:
	state_file = bench / "sites/.prego-metrics/state.json"
	state_file.write_text("not ours")
	ended = push(open_bench(str(bench)), scheduled(), ENVIRON)
	assert ended.outcome == "delivered"
	assert any("set aside as state.json.set-aside" in warning for warning in ended.warnings)
	assert (bench / "sites/.prego-metrics/state.json.set-aside").read_text() == "not ours"
	assert state_of(bench).last.outcome == "delivered"


def test_only_who_holds_the_lock_sets_a_state_aside(bench: Path) -> None:
	state_file = bench / "sites/.prego-metrics/state.json"
	state_file.write_text("not ours")
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		assert push(open_bench(str(bench)), scheduled(), ENVIRON).outcome == "busy"
	assert state_file.read_text() == "not ours"


def test_a_file_in_place_of_the_folder_does_not_stop_the_push(
	bench_folder: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench_folder, control_plane.url)
	(bench_folder / "sites/.prego-metrics").write_text("in the way")
	for number in range(2):
		ended = push(open_bench(str(bench_folder)), scheduled(), ENVIRON)
		assert ended.outcome == "delivered"
		assert len(control_plane.answers) == number + 1
	assert any(
		"cannot be written" in warning and "every tick pushes" in warning for warning in ended.warnings
	)
	assert (bench_folder / "sites/.prego-metrics").read_text() == "in the way"


def test_a_read_only_folder_does_not_stop_the_push(
	shared_folder: Path,
	make_bench: Callable[..., Path],
	control_plane: LocalControlPlane,
	request: pytest.FixtureRequest,
) -> None:
	bench_folder = aim(make_bench(shared_folder / "bench", "a.example"), control_plane.url)
	assert push_now(bench_folder).outcome == "delivered"
	folder = bench_folder / "sites/.prego-metrics"
	before = kept(bench_folder)

	def outcome() -> list[object]:
		ended = push(open_bench(str(bench_folder)), Request(), ENVIRON)
		return [ended.outcome, *ended.warnings]

	folder.chmod(0o500)
	try:
		if os.geteuid() == 0:
			for path in [bench_folder, *bench_folder.rglob("*")]:
				os.chown(path, NOBODY, NOBODY)
			ended, *warnings = request.getfixturevalue("as_user")(NOBODY, outcome)
		else:
			ended, *warnings = outcome()
	finally:
		folder.chmod(0o700)
	assert ended == "delivered"
	assert any("cannot be written: Permission denied" in warning for warning in warnings)
	assert kept(bench_folder) == before
	assert control_plane.answers == [f"POST {ROUTE} 200"] * 2


@pytest.fixture
def full_disk(bench_folder: Path) -> Iterator[Path]:
	"""The bench's state folder on a file system of 64 KiB that is full."""
	folder = bench_folder / "sites/.prego-metrics"
	folder.mkdir(mode=0o700)
	mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(folder)]
	try:
		mounted = subprocess.run(mount, capture_output=True).returncode == 0
	except OSError:
		mounted = False
	if not mounted:
		pytest.skip("this machine does not let us mount a small tmpfs")
	try:
		yield folder
	finally:
		subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
	with contextlib.suppress(OSError), open(folder / "ballast", "ab", buffering=0) as file:
		while True:
			file.write(b"x" * 4096)


def test_a_full_disk_does_not_stop_the_push(
	full_disk: Path, bench_folder: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench_folder, control_plane.url)
	assert push(open_bench(str(bench_folder)), scheduled(), ENVIRON).outcome == "delivered"
	before = state_of(bench_folder)
	fill(full_disk)
	ended = push_now(bench_folder)
	assert ended.outcome == "delivered"
	assert any("cannot be written: No space left on device" in warning for warning in ended.warnings)
	assert state_of(bench_folder) == before
	os.unlink(full_disk / "ballast")
	assert push_now(bench_folder).warnings == (ended.warnings[0],)
	assert [entry.outcome for entry in folder_of(bench_folder).history()] == ["delivered"] * 2


def test_a_history_that_is_not_ours_does_not_stop_the_push(bench: Path) -> None:
	history = bench / "sites/.prego-metrics/history.jsonl"
	history.write_bytes(b"\xff\xfe" * (2 << 20))
	ended = push_now(bench)
	assert ended.outcome == "delivered"
	assert history.stat().st_size < 2 << 20
	assert [entry.at for entry in folder_of(bench).history()] == [ended.at]


# --- the spread -----------------------------------------------------------------------------------


def test_cron_waits_its_share_before_the_lock_and_only_when_due(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	aim(bench, control_plane.url, spread=30)
	slept: list[float] = []

	def sleep(seconds: float) -> None:
		slept.append(seconds)
		with PushLock(str(bench / "sites")) as lock:
			assert lock.acquire(), "the lock is held while the push only waits its share"

	spreading = replace(scheduled(), spread=True)
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.time.sleep", sleep)
		assert push_now(bench, spreading).outcome == "delivered"
		assert push_now(bench, spreading).outcome == "not_due"
	assert slept == [due.spread_share_seconds("node-1", 30.0)]


def test_what_became_undue_while_waiting_is_not_sent(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	aim(bench, control_plane.url, spread=30)
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.time.sleep", lambda _: push_now(bench))
		ended = push_now(bench, replace(scheduled(), spread=True))
	assert ended.outcome == "not_due"
	assert len(control_plane.answers) == 1


# --- the heartbeat --------------------------------------------------------------------------------

BEAT = "/ping/0aa1-a-secret-path"


def test_a_heartbeat_follows_a_delivered_push_without_the_bearer(bench: Path) -> None:
	free: list[bool] = []

	def look(exchange: Exchange) -> None:
		with PushLock(str(bench / "sites")) as lock:
			free.append(lock.acquire())
		answer(200)(exchange)

	with HostileServer(look) as switch, HostileServer(answer(200)) as server:
		ended = push_now(aim(bench, server.url, heartbeat_url=switch.url + BEAT))
	assert ended.outcome == "delivered"
	(request,) = switch.requests
	assert request.startswith(f"GET {BEAT} HTTP/1.1\r\n".encode())
	assert b"uthorization" not in request and not leaked(request.decode())
	assert free == [True]


@pytest.mark.parametrize("status", [400, 503])
def test_no_heartbeat_follows_a_push_that_was_not_delivered(status: int, bench: Path) -> None:
	with HostileServer(answer(200)) as switch, HostileServer(answer(status)) as server:
		push_now(aim(bench, server.url, heartbeat_url=switch.url + BEAT))
		push_now(bench, INTERNAL_API_KEY="")
		assert switch.connections == 0


def test_a_tick_that_is_not_due_sends_no_heartbeat(bench: Path, control_plane: LocalControlPlane) -> None:
	with HostileServer(answer(200)) as switch:
		aim(bench, control_plane.url, heartbeat_url=switch.url + BEAT)
		push_now(bench, scheduled())
		push_now(bench, scheduled())
		assert switch.connections == 1


def echo_path(exchange: Exchange) -> None:
	exchange.send(b"z" * 180 + exchange.request.split(b" ")[1] + b"\r\n\r\n")


@pytest.mark.parametrize(
	("behaviour", "says"),
	[
		(answer(404, BEAT.encode()), "answers 404"),
		(answer(302, b"", "Location: http://127.0.0.1:1/elsewhere"), "answers 302"),
		(Exchange.reset, "was not reached: no connection"),
		(echo_path, "was not reached: no connection"),
		(Exchange.wait, "was not reached: no answer within 0.3 s"),
	],
	ids=["404", "302", "reset", "echo", "silence"],
)
@pytest.mark.parametrize("place", ["setting", "file"])
def test_a_heartbeat_that_fails_is_a_warning_without_its_url(
	place: str,
	behaviour: Callable[[Exchange], object],
	says: str,
	bench: Path,
	control_plane: LocalControlPlane,
	tmp_path: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setattr("prego_metrics.agent.heartbeat.LIMIT_SECONDS", 0.3)
	with HostileServer(behaviour) as switch:
		url = switch.url + BEAT
		if place == "file":
			secret = tmp_path / "heartbeat"
			secret.write_text(url + "\n")
			secret.chmod(0o600)
			aim(bench, control_plane.url, heartbeat_url_file=str(secret))
		else:
			aim(bench, control_plane.url, heartbeat_url=url)
		ended = push_now(bench)
	assert (ended.outcome, ended.exit_code) == ("delivered", 0)
	assert f"the heartbeat at 127.0.0.1 {says}" in ended.warnings[-1]
	assert not leaked("\n".join([*ended.warnings, kept(bench), repr(ended)]), BEAT)


@pytest.mark.parametrize("suffix", ["", "/", "?id=0aa1", "/a?b=c"])
def test_a_heartbeat_url_is_requested_as_it_was_written(
	suffix: str, bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(200)) as switch:
		aim(bench, control_plane.url, heartbeat_url=switch.url.replace("http", "HTTP") + suffix)
		assert len(push_now(bench).warnings) == 1
	target = suffix if suffix.startswith("/") else "/" + suffix
	assert switch.requests[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())


class JobTimeout(Exception):
	"""What RQ raises from its signal handler."""


def test_an_interrupted_heartbeat_passes_on_without_its_url(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	def raise_it(*_: object) -> None:
		raise JobTimeout

	before = signal.signal(signal.SIGALRM, raise_it)
	try:
		with HostileServer(Exchange.wait) as switch:
			opened = open_bench(str(aim(bench, control_plane.url, heartbeat_url=switch.url + BEAT)))
			signal.setitimer(signal.ITIMER_REAL, 0.4)
			with pytest.raises(JobTimeout) as caught:
				push(opened, Request(), ENVIRON)
			inside = caught.value.with_traceback(caught.tb.tb_next)
			whole = traceback.TracebackException.from_exception(inside, capture_locals=True)
			shown = "".join(whole.format())
	finally:
		signal.setitimer(signal.ITIMER_REAL, 0)
		signal.signal(signal.SIGALRM, before)
	assert "in ping" in shown
	assert not leaked(shown, BEAT) and not leaked(shown)
	assert state_of(bench).last.outcome == "delivered"


# --- failures -------------------------------------------------------------------------------------


def test_failures_of_all_kinds_count_and_a_delivery_forgets_them(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(400), answer(503)) as server:
		aim(bench, server.url)
		assert push_now(bench).outcome == "refused"
		assert push_now(bench).outcome == "failed"
		assert push_now(bench, INTERNAL_API_KEY="").outcome == "not_sent"
	state = state_of(bench)
	assert (state.failures_in_a_row, state.alerted) == (3, True)
	assert state.totals == {"refused": 1, "failed": 1, "not_sent": 1}
	aim(bench, control_plane.url)
	push_now(bench)
	state = state_of(bench)
	assert (state.failures_in_a_row, state.alerted, state.failing_since) == (0, False, None)


# --- the key --------------------------------------------------------------------------------------


def test_the_key_is_in_no_file_and_no_output_of_a_real_push(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	for options in ([], ["--json"], ["--if-due"], ["--dry-run"]):
		code, out, err = finish(start(bench, *options))
		assert code == 0, err
		assert not leaked(out + err)
	assert not leaked(kept(bench))
	assert base64.b64encode(KEY.encode()).decode() not in kept(bench)
