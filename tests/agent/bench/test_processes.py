"""The processes of a bench's Frappe, as this machine shows them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import psutil
import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.bench.processes import (
	app_added_at,
	how_to_restart,
	is_scheduler_running,
	scheduler_started_at,
)


def test_the_scheduler_runs_since_the_process_began_that_holds_its_lock(bench_folder: Path) -> None:
	bench = open_bench(str(bench_folder))
	assert not is_scheduler_running(bench) and scheduler_started_at(bench) is None
	(bench_folder / "config").mkdir(exist_ok=True)
	with (bench_folder / "config/scheduler_process").open("w") as lock:
		assert is_scheduler_running(bench) is False
		fcntl.flock(lock, fcntl.LOCK_EX)
		assert is_scheduler_running(bench) is True
		started_at = scheduler_started_at(bench)
	assert started_at == pytest.approx(psutil.Process().create_time(), abs=1)


@pytest.mark.parametrize("runner", ["config/supervisor.conf", "config/systemd/", "Procfile"])
def test_without_the_file_of_its_lock_no_scheduler_runs_where_something_runs_the_bench(
	bench_folder: Path, runner: str
) -> None:
	bench = open_bench(str(bench_folder))
	(bench_folder / "config").mkdir(exist_ok=True)
	source = bench_folder / "apps/frappe/frappe/utils/scheduler.py"
	source.parent.mkdir(parents=True, exist_ok=True)
	source.write_text('lock_path = os.path.join(get_bench_path(), "config", "scheduler_process")')
	assert is_scheduler_running(bench) is None
	path = bench_folder / runner
	path.mkdir() if runner.endswith("/") else path.touch()
	assert is_scheduler_running(bench) is False
	source.write_text("")  # a Frappe of before March 2024 makes no such file
	assert is_scheduler_running(bench) is None
	(bench_folder / "config/scheduler_process").symlink_to("scheduler_process")
	assert is_scheduler_running(bench) is None


def test_an_app_was_added_when_apps_txt_was_written(bench_folder: Path) -> None:
	os.utime(bench_folder / "sites/apps.txt", (1, 1_800_000_000))
	assert app_added_at(open_bench(str(bench_folder))) == 1_800_000_000
	bench = open_bench(str(bench_folder))
	(bench_folder / "sites/apps.txt").unlink()
	assert app_added_at(bench) is None


@pytest.mark.parametrize(
	("files", "beginning"),
	[
		(["config/supervisor.conf", "config/systemd/", "Procfile"], "`bench restart`"),
		(
			["config/systemd/", "Procfile"],
			"`sudo systemctl restart frappe-bench-web.target frappe-bench-workers.target`",
		),
		(["Procfile"], "end `bench start`"),
		([], "its web server"),
	],
)
def test_a_bench_is_restarted_by_what_runs_it(bench_folder: Path, files: list[str], beginning: str) -> None:
	bench = open_bench(str(bench_folder))
	(bench_folder / "config").mkdir(exist_ok=True)
	for name in files:
		path = bench_folder / name
		path.mkdir() if name.endswith("/") else path.touch()
	assert how_to_restart(bench).startswith(beginning)


def test_the_name_of_a_bench_is_quoted_in_the_command_for_root(tmp_path: Path) -> None:
	folder = tmp_path / "x\x1b[31m;id;"
	(folder / "sites").mkdir(parents=True)
	(folder / "sites/apps.txt").write_text("frappe\n")
	(folder / "config/systemd").mkdir(parents=True)
	command = str(how_to_restart(open_bench(str(folder))))
	assert command.isprintable() and ";id;'-web.target" in command
