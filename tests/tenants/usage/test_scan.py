"""`tenants --scan` as a process of its own: killed half-way it is gone on with, and a push is on time beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watched_control_plane import KEY, WatchedControlPlane

from prego_metrics.tenants.usage.reader import UsageReader
from prego_metrics.tenants.usage.scan import LOCK_NAME

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = [f"t{number}.example" for number in range(8)]

# The command line, with a line for each site that is begun; from the fourth on they take long to read.
SLOWLY = """
import time
from prego_metrics.tenants.usage import scan
genuine = scan.read_site
def slow(located, *, sizes):
	print(located.site.name, flush=True)
	time.sleep(0.2 if located.site.name < "t3" else 6)
	return genuine(located, sizes=sizes)
scan.read_site = slow
from prego_metrics.cli.__main__ import main
main()
"""


@pytest.fixture
def bench(tmp_path: Path, make_bench: Callable[..., Path], settings: Callable[..., Path]) -> Path:
	folder = make_bench(tmp_path / "eight", *NAMES)
	settings(folder, spread=0)
	return folder


@pytest.fixture
def scanning(bench: Path) -> Iterator[subprocess.Popen[str]]:
	"""A scan that has begun its fourth site, of eight."""
	process = subprocess.Popen(
		[sys.executable, "-c", SLOWLY, "tenants", "--scan", "--bench", str(bench)],
		stdout=subprocess.PIPE,
		text=True,
		env=dict(os.environ),
	)
	assert process.stdout
	begun = [process.stdout.readline().strip() for _ in range(4)]
	assert begun == NAMES[:4]
	try:
		yield process
	finally:
		process.kill()
		process.communicate()


def read_at(bench: Path) -> dict[str, float]:
	with UsageReader(str(bench / "sites")) as store:
		return {tenant.site.name: tenant.read_at for tenant in store.latest()}


def test_the_next_scan_goes_on_where_a_killed_one_was(
	bench: Path, scanning: subprocess.Popen[str], run_agent: Run
) -> None:
	os.kill(scanning.pid, signal.SIGKILL)
	assert scanning.wait() == -signal.SIGKILL
	kept = read_at(bench)
	assert list(kept) == NAMES[:3]
	result = run_agent("tenants", "--scan", "--bench", bench)
	assert (result.returncode, result.stderr) == (0, "")
	assert result.stdout == "5 sites scanned, 3 already scanned by the run before.\n"
	after = read_at(bench)
	assert sorted(after) == NAMES and all(after[name] == at for name, at in kept.items())
	with UsageReader(str(bench / "sites")) as store:
		times = store.scan_times()
		assert times and times.ended_at
	again = run_agent("tenants", "--scan", "--bench", bench)
	assert again.stdout == "8 sites scanned, 0 already scanned by the run before.\n"


def test_a_push_in_the_middle_of_a_scan_is_on_time(
	bench: Path,
	scanning: subprocess.Popen[str],
	control_plane: WatchedControlPlane,
	settings: Callable[..., Path],
	run_agent: Run,
) -> None:
	settings(bench, node_id="node-1", control_plane_url=control_plane.url, spread=0)
	pushed = run_agent("push", "--if-due", "--bench", bench, INTERNAL_API_KEY=KEY)
	assert (pushed.returncode, pushed.stderr) == (0, "")
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	assert control_plane.store.server_metrics("node-1")["tenant_count"] == 8
	# The scan is still at it: the push waited neither for its lock nor for its sites.
	assert scanning.poll() is None and len(read_at(bench)) < 8


def test_a_second_scan_says_that_one_is_going_on(
	bench: Path, scanning: subprocess.Popen[str], run_agent: Run
) -> None:
	result = run_agent("tenants", "--scan", "--bench", bench)
	assert result.returncode == 1
	assert result.stderr == "Busy: another usage scan is running\n"


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_lies_in_place_of_the_lock_holds_no_scan_up(
	kind: str, bench: Path, run_agent: Run, tmp_path: Path
) -> None:
	state_folder = bench / "sites" / ".prego-metrics"
	state_folder.mkdir(mode=0o700)
	lock = state_folder / LOCK_NAME
	if kind == "folder":
		lock.mkdir()
	else:
		(tmp_path / "victim").write_text("precious")
		lock.symlink_to(tmp_path / "victim")
	result = run_agent("tenants", "--scan", "--bench", bench)
	assert result.returncode == 2 and str(lock) in result.stderr
	assert "Traceback" not in result.stderr
