"""Workers of a bench are seen by their processes, whether Redis knows them or not."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.desk.adapters.jobs import worker_processes


@contextlib.contextmanager
def running(folder: Path, *arguments: str) -> Iterator[None]:
	"""Run a process in a folder whose command line ends so."""
	command = [sys.executable, "-c", "print(flush=True); input()", *arguments]
	with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
		assert process.stdout and process.stdin
		process.stdout.readline()
		yield
		process.stdin.close()


@pytest.mark.parametrize(
	("arguments", "of_default", "of_long"),
	[
		(["frappe", "worker"], 1, 1),
		(["frappe", "worker", "--queue", "short,default"], 1, 0),
		(["frappe", "worker", "--queue=long"], 0, 1),
		(["frappe", "worker-pool", "--queue", "default"], 1, 0),
		(["frappe", "schedule"], 0, 0),
		(["frappe", "serve", "--port", "8000"], 0, 0),
	],
)
def test_a_worker_is_known_by_its_command(
	bench_folder: Path, arguments: list[str], of_default: int, of_long: int
) -> None:
	bench = open_bench(str(bench_folder))
	with running(bench_folder / "sites", *arguments):
		assert worker_processes("default", bench) == of_default
		assert worker_processes("long", bench) == of_long
	assert worker_processes("default", bench) == 0


def test_a_worker_of_another_bench_is_none_of_this_one(bench_folder: Path, tmp_path: Path) -> None:
	with running(tmp_path, "frappe", "worker"):
		assert worker_processes("default", open_bench(str(bench_folder))) == 0


@pytest.mark.parametrize(
	("title", "count"),
	[
		("rq:worker:f00: Listening on bench:short, bench:default", 1),
		("rq:worker:f00: Listening on bench:short", 0),
		("rq:worker:f00: Forked 7 at 8", 1),
	],
)
def test_a_worker_is_known_by_the_title_that_rq_gives_it(bench_folder: Path, title: str, count: int) -> None:
	"""With setproctitle, as Frappe 16 has it, rq replaces the command line."""
	with subprocess.Popen(
		[title, "-c", "print(flush=True); input()"],
		executable=sys.executable,
		cwd=bench_folder / "sites",
		stdin=subprocess.PIPE,
		stdout=subprocess.PIPE,
	) as process:
		assert process.stdout and process.stdin
		process.stdout.readline()
		assert worker_processes("default", open_bench(str(bench_folder))) == count
		process.stdin.close()
