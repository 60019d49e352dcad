"""CPU, memory and disk agree with what the machine's own tools say, and unknown is None."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prego_metrics.agent.collectors.host import (
	CpuReading,
	cpu_percent,
	disk_percents,
	read_cpu_counters,
	read_memory,
	sample_host,
)

FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")


def reading(seconds: float = 1000.0, boot_id: str = "boot-a", cpus: int = 2, **times: float) -> CpuReading:
	return CpuReading(boot_id, seconds, cpus, {name: times.get(name, 500.0) for name in FIELDS})


def later(seconds: float = 60.0, boot_id: str = "boot-a", cpus: int = 2, **more: float) -> CpuReading:
	"""A reading some seconds after `reading()`, each of the named counters having grown by that much."""
	return reading(1000.0 + seconds, boot_id, cpus, **{name: 500.0 + more.get(name, 0.0) for name in FIELDS})


# --- the arithmetic --------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("second", "expected"),
	[
		(later(user=30, idle=90), 25.0),
		(later(idle=120), 0.0),
		(later(user=120), 100.0),
		(later(user=10, nice=10, system=10, irq=10, softirq=10, idle=70), 41.7),
		(later(user=30, idle=30, iowait=60), 25.0),
		(later(iowait=120), 0.0),
		(later(steal=60, idle=60), 50.0),
		(later(steal=120), 100.0),
		(later(user=60, guest=60, idle=60), 50.0),
		(later(user=20, nice=40, guest=20, guest_nice=40, idle=60), 50.0),
		(later(user=30, idle=90, iowait=-2), 25.0),
		(later(user=30, idle=-1, iowait=90), 25.0),
		(later(seconds=1.0, user=1, idle=1), 50.0),
		(later(seconds=900.0, user=900, idle=900), 50.0),
	],
	ids=[
		"user",
		"idle",
		"full",
		"every kind of busy",
		"iowait is idle",
		"iowait alone is idle",
		"steal is busy",
		"steal alone is full",
		"guest is already in user",
		"guest_nice is already in nice",
		"iowait ran back a little",
		"idle ran back a little",
		"one second",
		"fifteen minutes",
	],
)
def test_the_cpu_is_busy_as_mpstat_has_it(second: CpuReading, expected: float) -> None:
	assert cpu_percent(reading(), second) == expected


@pytest.mark.parametrize(
	("first", "second"),
	[
		(None, later(user=30, idle=90)),
		(reading(), None),
		(reading(), later(boot_id="boot-b", user=30, idle=90)),
		(reading(), later(cpus=4, user=30, idle=90)),
		(reading(), later(seconds=901, user=30, idle=90)),
		(reading(), later(seconds=0.9, user=30, idle=90)),
		(reading(), later(seconds=0, user=30, idle=90)),
		(reading(), later(seconds=-60, user=30, idle=90)),
		(reading(), later(user=-1, idle=90)),
		(reading(), later(steal=-1, user=30, idle=90)),
		(reading(), later(seconds=600, user=0.1, idle=0.2)),
		(reading(), later()),
		(reading()._replace(times={"user": 1.0, "idle": 1.0}), later(user=30, idle=90)),
		(reading()._replace(times={}), later()._replace(times={})),
	],
	ids=[
		"no earlier reading",
		"no reading",
		"reboot",
		"a CPU was plugged in",
		"a long gap",
		"too short a gap",
		"no gap",
		"backwards in time",
		"a busy counter ran back",
		"steal ran back",
		"suspended nearly all the time",
		"nothing was counted",
		"other counters",
		"no counters at all",
	],
)
def test_readings_that_cannot_be_compared_give_none(
	first: CpuReading | None, second: CpuReading | None
) -> None:
	assert cpu_percent(first, second) is None


numbers = st.floats(min_value=0, max_value=1e11)
any_reading = st.builds(
	CpuReading,
	boot_id=st.sampled_from(("a", "b")),
	boot_seconds=st.floats(0, 2000),
	cpus=st.integers(1, 2),
	times=st.fixed_dictionaries({name: numbers for name in FIELDS}),
)


@given(any_reading, any_reading)
def test_whatever_was_read_the_percentage_is_none_or_one(first: CpuReading, second: CpuReading) -> None:
	percent = cpu_percent(first, second)
	assert percent is None or 0 <= percent <= 100


# --- this machine ----------------------------------------------------------------------------------


def proc_stat() -> tuple[float, float]:
	"""Busy and all CPU time in ticks, by the arithmetic of mpstat: no guests, idle is idle and iowait."""
	with open("/proc/stat") as file:
		user, nice, system, idle, iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
	busy = user + nice + system + irq + softirq + steal
	return busy, busy + idle + iowait


def test_the_cpu_agrees_with_the_kernels_own_counters() -> None:
	load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
	try:
		busy, total = proc_stat()
		first = read_cpu_counters()
		time.sleep(1.5)
		second = read_cpu_counters()
		busy_after, total_after = proc_stat()
	finally:
		load.kill()
		load.wait()
	expected = 100 * (busy_after - busy) / (total_after - total)
	assert cpu_percent(first, second) == pytest.approx(expected, abs=3)
	assert cpu_percent(first, second) > 20
	assert first.boot_id == second.boot_id and len(first.boot_id) == 36
	assert first.cpus == os.cpu_count()


@pytest.mark.skipif(not shutil.which("mpstat"), reason="mpstat is not installed")
def test_the_cpu_agrees_with_mpstat() -> None:
	first = read_cpu_counters()
	mpstat = subprocess.run(
		["mpstat", "2", "1"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True
	)
	second = read_cpu_counters()
	rows = [line.split() for line in mpstat.stdout.splitlines() if " all " in line or "%idle" in line]
	values = dict(zip(rows[0][-10:], rows[1][-10:], strict=True))
	expected = 100 - float(values["%idle"]) - float(values["%iowait"])
	assert cpu_percent(first, second) == pytest.approx(expected, abs=5)


@pytest.mark.skipif(not shutil.which("free"), reason="free is not installed")
def test_memory_agrees_with_free() -> None:
	free = subprocess.run(["free", "-b"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True)
	line = next(line for line in free.stdout.splitlines() if line.startswith("Mem:")).split()
	total, available = int(line[1]), int(line[-1])
	assert read_memory().host == pytest.approx(100 * (total - available) / total, abs=2)


def test_memory_agrees_with_the_kernels_own_memavailable() -> None:
	with open("/proc/meminfo") as file:
		figures = {line.split(":")[0]: int(line.split()[1]) for line in file}
	expected = 100 * (figures["MemTotal"] - figures["MemAvailable"]) / figures["MemTotal"]
	assert read_memory().host == pytest.approx(expected, abs=2)


@pytest.mark.skipif(not shutil.which("df"), reason="df is not installed")
@pytest.mark.parametrize("path", ["/", "/tmp", "/dev/shm"])
def test_each_disk_agrees_with_df(path: str) -> None:
	if not os.path.isdir(path):
		pytest.skip(f"there is no {path} here")
	df = subprocess.run(["df", "-P", path], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True)
	shown = int(df.stdout.splitlines()[1].split()[4].rstrip("%"))
	disks, problems = disk_percents([path])
	# df rounds up.
	assert problems == []
	assert shown - 1.2 <= disks[path] <= shown + 0.2


def test_a_sample_of_this_machine_is_whole() -> None:
	sample = sample_host(None, ["/"])
	assert sample.warnings == ()
	for percent in (sample.cpu_pct, sample.memory_pct, sample.disk_pct):
		assert 0 <= percent <= 100
		assert percent == round(percent, 1)


# --- what cannot be read ---------------------------------------------------------------------------


def test_cpu_counters_that_cannot_be_read_are_none_and_said() -> None:
	slept: list[float] = []
	sample = sample_host(later(), ["/"], read_cpu=lambda: None, sleep=slept.append)
	assert sample.cpu_pct is None and sample.cpu is None
	assert any("cpu_pct is left out" in warning for warning in sample.warnings)
	assert slept == []
	assert sample.memory_pct is not None


def test_counters_that_stand_still_are_unknown_and_not_zero() -> None:
	slept: list[float] = []
	sample = sample_host(None, ["/"], read_cpu=reading, sleep=slept.append)
	assert sample.cpu_pct is None
	assert slept == [1.0]
	assert sample.cpu == reading()


def test_the_second_reading_of_a_second_is_the_one_that_is_kept() -> None:
	readings = iter([later(), later(61, user=1, idle=1)])
	sample = sample_host(None, ["/"], read_cpu=lambda: next(readings), sleep=lambda _: None)
	assert sample.cpu_pct == 50.0
	assert sample.cpu.boot_seconds == 1061.0


def test_a_reading_that_can_be_compared_needs_no_wait() -> None:
	slept: list[float] = []
	sample = sample_host(reading(), ["/"], read_cpu=lambda: later(user=30, idle=90), sleep=slept.append)
	assert (sample.cpu_pct, slept) == (25.0, [])


@pytest.mark.parametrize(
	"files",
	[
		{},
		{"stat": "", "meminfo": ""},
		{"stat": "cpu\n", "meminfo": "MemTotal: 0 kB\n"},
		{"stat": "cpu a b c\n", "meminfo": "MemTotal: many kB\n"},
		{"stat": "\x00\xff", "meminfo": "\x00"},
		{"stat": "intr 5\n", "meminfo": "MemFree: 5 kB\n"},
	],
	ids=["absent", "empty", "cut", "garbage", "bytes", "other"],
)
def test_a_proc_that_cannot_be_read_gives_none_and_no_traceback(
	files: Mapping[str, str], tmp_path: Path
) -> None:
	for name, content in files.items():
		(tmp_path / name).write_text(content)
	script = (
		"import psutil, sys\n"
		"psutil.PROCFS_PATH = sys.argv[1]\n"
		"from prego_metrics.agent.collectors.host import sample_host\n"
		"sample = sample_host(None, ['/'])\n"
		"print(sample.cpu_pct, sample.memory_pct, sample.disk_pct is not None, len(sample.warnings))\n"
	)
	done = subprocess.run(
		[sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=30
	)
	assert done.stdout == "None None True 2\n", done.stderr


# --- disks -----------------------------------------------------------------------------------------


@pytest.fixture
def file_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
	"""Folders that are file systems of their own: `full` of 1 MiB with 3/4 used, `empty`, and `twin` of full."""
	folders = {name: tmp_path / name for name in ("full", "empty", "twin")}
	mounted: list[Path] = []
	try:
		for name, folder in folders.items():
			folder.mkdir()
			command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
			if name == "twin":
				(folders["full"] / "ballast").write_bytes(b"x" * (3 << 18))
				command = ["mount", "--bind", str(folders["full"]), str(folder)]
			try:
				done = subprocess.run(command, capture_output=True).returncode == 0
			except OSError:
				done = False
			if not done:
				pytest.skip("this machine does not let us mount a small tmpfs")
			mounted.append(folder)
		yield folders
	finally:
		for folder in reversed(mounted):
			subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_fullest_file_system_is_reported_and_each_device_once(file_systems: dict[str, Path]) -> None:
	paths = [str(file_systems[name]) for name in ("empty", "full", "twin", "full")]
	disks, problems = disk_percents(paths)
	assert (disks, problems) == ({paths[0]: 0.0, paths[1]: 75.0}, [])
	assert sample_host(None, paths, read_cpu=lambda: None).disk_pct == 75.0


def test_one_device_under_several_paths_is_one() -> None:
	disks, problems = disk_percents(["/tmp", "/tmp/.", "/tmp/../tmp"])
	assert len(disks) == 1 and problems == []


@pytest.mark.parametrize(
	("path", "says"),
	[
		("/nowhere/at/all", "No such file or directory"),
		("/proc", "reports no size"),
		("/etc/passwd/x", "Not a directory"),
		("/bad\ud800name", "not a valid path"),
		("/bad\x00name", "not a valid path"),
	],
)
def test_one_disk_that_cannot_be_read_makes_the_figure_unknown(
	path: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
	sample = sample_host(None, ["/", path], read_cpu=lambda: None)
	assert sample.disk_pct is None
	assert list(sample.disks) == ["/"]
	(warning,) = [warning for warning in sample.warnings if warning.startswith("disk_pct is left out")]
	assert says in warning and warning.isprintable()
	assert capfd.readouterr() == ("", "")


DEAD_MOUNTS = """
import os, sys, threading, time
statvfs = os.statvfs
def hanging(path):
	if str(path).startswith("/tmp"):
		time.sleep(60)
	return statvfs(path)
os.statvfs = hanging
import psutil
from prego_metrics.agent.collectors import host
started = time.monotonic()
disks, problems = host.disk_percents(["/tmp", "/", "/tmp/."], 0.5)
print(list(disks), len(problems), time.monotonic() - started < 10, sep="|")
print(problems[0])
"""


def test_dead_mounts_are_left_alone_within_one_limit_and_the_process_ends() -> None:
	started = time.monotonic()
	done = subprocess.run([sys.executable, "-c", DEAD_MOUNTS], capture_output=True, text=True, timeout=30)
	figures, problem = done.stdout.splitlines()
	assert figures == "['/']|2|True", done.stderr
	assert problem == "the file system of /tmp did not answer within 0.5 s"
	assert time.monotonic() - started < 25
	assert done.stderr == ""


def test_reserved_blocks_count_as_neither_used_nor_free(monkeypatch: pytest.MonkeyPatch) -> None:
	statvfs = os.statvfs("/")
	values = list(statvfs[:10])
	# 1000 blocks, 200 free, of which 100 are reserved for root: 800 used of 900, as df has it.
	values[1:5] = [4096, 1000, 200, 100]
	monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))
	assert disk_percents(["/"])[0] == {"/": 88.9}
