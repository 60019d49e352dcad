"""A push goes out though its state cannot be kept; that is an error of its own, and an alert."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from push_processes import NOBODY, ROUTE
from pushing import (
	ENVIRON,
	aim,
	folder_of,
	kept,
	push_now,
	scheduled,
	state_of,
)

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import summary
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.sandbox.server import LocalControlPlane

UNRECORDED = ("delivered", "state_not_writable", 1)

# --- a state that cannot be kept -------------------------------------------------------------------


def test_a_corrupt_state_is_set_aside_and_said_by_the_push_that_comes_next(bench: Path) -> None:
	state_file = bench / "sites/.prego-metrics/state.json"
	state_file.write_text("not ours")
	result = push(open_bench(str(bench)), scheduled(), ENVIRON)
	assert result.outcome == "delivered"
	(warning,) = [warning for warning in result.warnings if warning.code == "state_invalid"]
	assert warning.params["fate"].code == "set_aside"
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
		result = push(open_bench(str(bench_folder)), scheduled(), ENVIRON)
		assert (result.outcome, result.error_code, result.exit_code) == UNRECORDED
		assert len(control_plane.pushes) == number + 1
	assert "not recorded" in summary(result) and result.as_dict()["error_code"] == "state_not_writable"
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
		result = push(open_bench(str(bench_folder)), Request(), ENVIRON)
		return [
			result.outcome,
			result.error_code,
			result.exit_code,
			result.error and result.error.params["reason"],
		]

	folder.chmod(0o500)
	try:
		if os.geteuid() == 0:
			for path in [bench_folder, *bench_folder.rglob("*")]:
				os.chown(path, NOBODY, NOBODY)
			result = request.getfixturevalue("as_user")(NOBODY, outcome)
		else:
			result = outcome()
	finally:
		folder.chmod(0o700)
	assert result == [*UNRECORDED, "Permission denied"]
	assert kept(bench_folder) == before
	assert control_plane.pushes == [f"POST {ROUTE} 200"] * 2


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
	result = push_now(bench_folder)
	assert (result.outcome, result.error_code, result.exit_code) == UNRECORDED
	assert result.error and result.error.params["reason"] == "No space left on device"
	assert state_of(bench_folder) == before
	os.unlink(full_disk / "ballast")
	assert push_now(bench_folder).exit_code == 0
	assert [entry.outcome for entry in folder_of(bench_folder).history()] == ["delivered"] * 2


def test_a_history_that_is_not_ours_does_not_stop_the_push(bench: Path) -> None:
	history = bench / "sites/.prego-metrics/history.jsonl"
	history.write_bytes(b"\xff\xfe" * (2 << 20))
	result = push_now(bench)
	assert result.outcome == "delivered"
	assert history.stat().st_size < 2 << 20
	assert [entry.at for entry in folder_of(bench).history()] == [result.at]
