"""Many sites walked by a few processes: the same figures, and no process or silence left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from terminals import on_a_terminal

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory import parallel as site_readers
from prego_metrics.tenants.inventory.site_folder import LocatedSite, locate_sites

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = [f"t{number}.example" for number in range(12)]

# The command line on a machine with two CPUs, where a walk takes as long as SECONDS says.
ON_TWO_CPUS = """
import os, sys, time
from prego_metrics.tenants.inventory import parallel as site_readers
os.sched_getaffinity = lambda pid: {0, 1}
genuine = site_readers.read_site
def slow(located, *, sizes):
	time.sleep(float(os.environ["SECONDS"]))
	return genuine(located, sizes=sizes)
site_readers.read_site = slow
from prego_metrics.cli.__main__ import main
main()
"""


@pytest.fixture
def bench(tmp_path: Path, make_bench: Callable[..., Path]) -> Path:
	"""Twelve sites, each with other sizes of files and backups."""
	folder = make_bench(tmp_path / "twelve", *NAMES)
	for number, name in enumerate(NAMES):
		for tree in ("public/files", "private/files", "private/backups"):
			(folder / "sites" / name / tree).mkdir(parents=True)
			(folder / "sites" / name / tree / "data").write_bytes(b"x" * 5000 * number)
	return folder


def sites_of(bench_folder: Path) -> list[LocatedSite]:
	config = load_config(open_bench(str(bench_folder)), {})
	return locate_sites(config, count_tenants(config))


def children_of(pid: int) -> list[int]:
	return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def readers_now() -> Callable[[], int]:
	"""How many processes were started since the test began; others of the tests' own may be there."""
	before = set(children_of(os.getpid()))
	return lambda: len(set(children_of(os.getpid())) - before)


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
	deadline = time.monotonic() + seconds
	while not true():
		assert time.monotonic() < deadline, "it did not happen in time"
		time.sleep(0.02)


def is_alive(pid: int) -> bool:
	try:
		state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
	except (FileNotFoundError, ProcessLookupError):
		return False
	return state != "Z"


class Slow:
	"""`tenants --sizes --json` on two CPUs, at work on walks that take `seconds`."""

	def __init__(self, bench_folder: Path, seconds: float) -> None:
		command = ["tenants", "--sizes", "--json", "--bench", str(bench_folder)]
		self.process = subprocess.Popen(
			[sys.executable, "-c", ON_TWO_CPUS, *command],
			env={**os.environ, "SECONDS": str(seconds), "INTERNAL_API_KEY": "the-key-of-all"},
			stdout=subprocess.PIPE,
			stderr=subprocess.PIPE,
			text=True,
		)
		wait_until(lambda: self.process.poll() is not None or len(children_of(self.process.pid)) == 2)
		self.readers = children_of(self.process.pid)

	def __enter__(self) -> Slow:
		return self

	def __exit__(self, *_: object) -> None:
		for pid in filter(is_alive, (self.process.pid, *self.readers)):
			os.kill(pid, signal.SIGKILL)
		self.process.communicate()


def test_several_processes_find_what_one_finds_and_du_says(
	bench: Path, monkeypatch: pytest.MonkeyPatch, readers_now: Callable[[], int]
) -> None:
	monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
	alone = {located.folder: disk for located, disk in site_readers.read_sites(sites_of(bench), sizes=True)}
	monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
	assert not readers_now()
	reading = site_readers.read_sites(sites_of(bench), sizes=True)
	first, disk = next(reading)
	assert readers_now() == 3
	assert {first.folder: disk, **{located.folder: disk for located, disk in reading}} == alone
	assert not readers_now()
	for folder, disk in alone.items():
		du = subprocess.run(
			["du", "-s", "--block-size=1", f"{folder}/public/files"],
			capture_output=True,
			text=True,
			check=True,
		)
		assert disk.public_files_bytes == int(du.stdout.split()[0])


def test_one_cpu_one_site_or_no_walk_starts_no_process(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	sites = sites_of(bench)
	monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was started"))
	monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
	assert len(list(site_readers.read_sites(sites[:1], sizes=True))) == 1
	assert len(list(site_readers.read_sites(sites, sizes=False))) == 12
	monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
	assert len(list(site_readers.read_sites(sites, sizes=True))) == 12


@pytest.mark.parametrize("allowed", [0, 1])
def test_where_no_more_processes_are_allowed_those_that_are_do_it(
	bench: Path, monkeypatch: pytest.MonkeyPatch, readers_now: Callable[[], int], allowed: int
) -> None:
	left = [os.fork] * allowed

	def refused() -> int:
		if left:
			return left.pop()()
		raise BlockingIOError(11, "Resource temporarily unavailable")

	monkeypatch.setattr(os, "fork", refused)
	monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
	found = list(site_readers.read_sites(sites_of(bench), sizes=True))
	assert len(found) == 12 and not readers_now()


def test_whoever_stops_listening_leaves_no_process(
	bench: Path, monkeypatch: pytest.MonkeyPatch, readers_now: Callable[[], int]
) -> None:
	monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
	reading = site_readers.read_sites(sites_of(bench), sizes=True)
	next(reading)
	reading.close()
	assert not readers_now()


def test_a_reader_that_is_killed_is_one_clear_error_and_no_hang(bench: Path) -> None:
	with Slow(bench, seconds=20) as slow:
		os.kill(slow.readers[1], signal.SIGKILL)
		stdout, stderr = slow.process.communicate(timeout=5)
	assert slow.process.returncode == 2
	expected = (
		r"Error: the process that read the files of t\d+\.example was killed by signal 9: .*\. Try again\n"
	)
	assert re.fullmatch(expected, stderr)
	assert json.loads(stdout)["tenant_count"] is None
	assert not any(map(is_alive, slow.readers))


def test_readers_end_by_themselves_when_the_command_is_killed(bench: Path) -> None:
	with Slow(bench, seconds=0.5) as slow:
		slow.process.kill()
		slow.process.communicate(timeout=5)  # they held its stdout too
		wait_until(lambda: not any(map(is_alive, slow.readers)), seconds=5)


def test_no_key_and_no_password_is_in_a_readers_arguments(
	bench: Path, make_site: Callable[..., Path]
) -> None:
	make_site(bench, "secret.example", db_password="hunter2-hunter2")
	with Slow(bench, seconds=20) as slow:
		for reader in slow.readers:
			arguments = Path(f"/proc/{reader}/cmdline").read_bytes()
			assert arguments and b"the-key-of-all" not in arguments and b"hunter2" not in arguments


def test_ctrl_c_ends_it_at_once_with_one_word_and_no_process(bench: Path) -> None:
	began = time.monotonic()
	result = on_a_terminal(
		"tenants",
		"--sizes",
		"--bench",
		bench,
		typed_later=[(3.0, "\x03")],
		program=["-c", ON_TWO_CPUS],
		SECONDS="20",
	)
	# The screen is at its end when the last process that holds it is gone.
	assert time.monotonic() - began < 10
	assert result.code == 1 and "Aborted!" in result.screen and "Traceback" not in result.screen


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_gives_itself_up_before_the_first_reader_begins(
	shared_folder: Path, make_bench: Callable[..., Path]
) -> None:
	folder = make_bench(shared_folder / "bench", *NAMES)
	for found in (folder, *folder.rglob("*")):
		os.chown(found, 65534, 65534)
	with Slow(folder, seconds=20) as slow:
		assert len(slow.readers) == 2
		for reader in slow.readers:
			uids = re.search(r"^Uid:\t(.*)$", Path(f"/proc/{reader}/status").read_text(), re.MULTILINE)
			assert uids and set(uids[1].split()) == {"65534"}


def test_the_bar_is_for_a_terminal_alone(bench: Path, run_agent: Run) -> None:
	for asked in (["--sizes"], ["--scan"]):
		screen = on_a_terminal("tenants", *asked, "--bench", bench).screen
		assert "Reading  [####" in screen and "100%" in screen
		assert run_agent("tenants", *asked, "--bench", bench).stderr == ""


def test_the_readers_take_little_memory(bench: Path) -> None:
	with Slow(bench, seconds=20) as slow:
		held = [
			sum(
				map(int, re.findall(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M))
			)
			for pid in (slow.process.pid, *slow.readers)
		]
	assert sum(held) < 100_000
