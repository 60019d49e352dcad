"""One push, start to end: what it counts, sends, records and says, also as a dry run and when it fails."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_server import HostileServer, answer
from push_processes import finish, rewind, start
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

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors import host
from prego_metrics.agent.push.push import dry_run, push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.state.model import State
from prego_metrics.sandbox.server import LocalControlPlane

# --- the story -------------------------------------------------------------------------------------


def test_a_push_counts_samples_sends_and_records(bench: Path, control_plane: LocalControlPlane) -> None:
	before = time.time()
	result = push_now(bench)
	assert (result.outcome, result.status_code, result.attempts, result.error) == ("delivered", 200, 1, None)
	assert result.exit_code == 0
	row = control_plane.store.server_metrics("node-1")
	assert row["tenant_count"] == 3 and row["source"] == "node_push"
	for name in ("cpu_pct", "memory_pct", "disk_pct"):
		assert 0 <= row[name] <= 100
		assert row[name] == result.payload[name]
	assert list(result.payload) == ["node_id", "cpu_pct", "memory_pct", "disk_pct", "tenant_count", "source"]

	state = state_of(bench)
	assert before <= state.last_attempt_at <= time.time()
	assert state.last == state.last_delivered
	assert state.last.payload == result.payload
	assert (state.last.trigger, state.last.at) == ("manual", result.at)
	assert state.totals == {"delivered": 1}
	assert state.failures_in_a_row == 0 and not state.unfinished
	assert folder_of(bench).history() == [state.last]
	assert folder_of(bench).ticks() == []


def test_the_result_is_the_same_json_everywhere(bench: Path) -> None:
	result = push_now(bench)
	assert set(json.loads(json.dumps(result.as_dict()))) == {
		"outcome",
		"payload",
		"status_code",
		"attempts",
		"duration_ms",
		"error",
		"error_code",
		"at",
	}


def test_the_cpu_is_the_mean_since_the_last_push(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	# Whoever watches the CPU instead does not end within the deadline.
	monkeypatch.setattr(host, "MIN_SAMPLE_SECONDS", 60.0)
	reading = earlier_reading()
	# Idle counters may run backwards, and then count as 0. No counter is below 0: the machine may be just up.
	waited = {name: reading.times[name] + 1000 for name in ("idle", "iowait") if name in reading.times}
	busy = {**reading.times, **waited, "user": max(0.0, reading.times["user"] - 30)}
	folder_of(bench).write(State(cpu=reading._replace(times=busy)))
	result = push(open_bench(str(bench)), Request(), ENVIRON)
	assert (result.outcome, result.payload["cpu_pct"]) == ("delivered", 100.0)
	assert state_of(bench).cpu.boot_seconds > reading.boot_seconds


def test_without_an_earlier_reading_the_cpu_is_watched_for_a_second(bench: Path) -> None:
	folder_of(bench).write(State())
	started = time.monotonic()
	result = push(open_bench(str(bench)), Request(), ENVIRON)
	assert 0 <= result.payload["cpu_pct"] <= 100
	assert time.monotonic() - started >= 1.0


@pytest.mark.parametrize(
	("settings", "environ", "code"),
	[
		({"node_id": None}, {}, "setting_invalid"),
		({"control_plane_url": "http://plane.example"}, {}, "setting_invalid"),
		({"benches": ["/nowhere"]}, {}, "not_a_bench"),
		({"api_key": "x"}, {}, "key_misplaced"),
		({}, {"INTERNAL_API_KEY": ""}, "key_missing"),
		({"scheduler_pushes": False}, {"INTERNAL_API_KEY": ""}, "key_with_timer_only"),
		({}, {"INTERNAL_API_KEY": "two words"}, "key_invalid"),
	],
	ids=[
		"no node_id",
		"clear text",
		"no bench",
		"key in the file",
		"no key",
		"the key with the timer",
		"bad key",
	],
)
def test_without_count_key_or_settings_nothing_is_sent_and_no_attempt_stamped(
	settings: dict[str, Any],
	environ: dict[str, str],
	code: str,
	bench: Path,
	control_plane: LocalControlPlane,
) -> None:
	aim(bench, control_plane.url, **settings)
	result = push_now(bench, **environ)
	assert (result.outcome, result.exit_code, result.attempts) == ("not_sent", 2, 0)
	assert result.error_code == code and "two words" not in result.error
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
	assert len(control_plane.pushes) == 3


def test_another_benches_state_is_left_alone(
	bench: Path, make_bench: Callable[..., Path], tmp_path: Path, control_plane: LocalControlPlane
) -> None:
	other = make_bench(tmp_path / "other-bench", "a.example", "b.example")
	aim(bench, control_plane.url, benches=[str(bench), str(other)])
	before = sorted(os.listdir(other / "sites"))
	assert push_now(bench).payload["tenant_count"] == 5
	assert sorted(os.listdir(other / "sites")) == before


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
	aim(bench_folder, control_plane.url, snapshot_interval=0)
	if state != "none":
		spare_the_sample(bench_folder)
	if state == "corrupt":
		(bench_folder / "sites/.prego-metrics/state.json").write_text("{")
	before = whole_tree(bench_folder)
	result = dry_run(open_bench(str(bench_folder)), {})
	assert (result.outcome, result.exit_code, result.payload["tenant_count"]) == ("dry_run", 0, 3)
	assert "save_snapshot" not in result.payload
	assert whole_tree(bench_folder) == before
	assert control_plane.answers == []


def test_a_dry_run_of_a_broken_bench_says_so(bench: Path) -> None:
	aim(bench, "ftp://plane.example")
	result = dry_run(open_bench(str(bench)), {})
	assert (result.outcome, result.exit_code) == ("not_sent", 2)
	assert result.error_code == "setting_invalid" and result.error.params["setting"] == "control_plane_url"


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
