"""The metrics on stdout, and in the file that node_exporter reads, written after each push."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from codes import codes_in
from prometheus_client.parser import text_string_to_metric_families
from push_processes import rewind
from pushing import spare_the_sample

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.exporters.textfile import write_after_push

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def values(text: str) -> dict[str, float]:
	"""The value of each series without labels but `outcome`, as the classic format has them."""
	return {
		sample.name + "".join(sample.labels.values()): sample.value
		for family in text_string_to_metric_families(text)
		for sample in family.samples
		if set(sample.labels) <= {"outcome"}
	}


@pytest.fixture
def textfile(
	bench_folder: Path,
	settings: Callable[..., Path],
	control_plane: Any,
	tmp_path: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
	"""The metrics file of a bench that is set up; the key is in the environment."""
	monkeypatch.setenv("INTERNAL_API_KEY", control_plane.key)
	path = tmp_path / "textfile" / "node.prom"
	path.parent.mkdir()
	settings(
		bench_folder,
		node_id="node-1",
		control_plane_url=control_plane.url,
		spread=0,
		metrics_textfile=str(path),
	)
	spare_the_sample(bench_folder)
	yield path
	assert not [name for name in os.listdir(path.parent) if name != path.name]


def test_each_push_that_is_tried_writes_the_file_and_one_that_is_not_due_does_not(
	run_agent: Run, bench_folder: Path, textfile: Path, control_plane: Any
) -> None:
	began = time.time()
	assert run_agent("push", "--if-due", "--bench", bench_folder).returncode == 0
	found = values(textfile.read_text())
	assert stat.S_IMODE(textfile.stat().st_mode) == 0o644
	assert found["prego_pushes_totaldelivered"] == 1 and found["prego_tenants"] == 3
	assert began - 1 <= found["prego_push_last_success_timestamp_seconds"] <= time.time()

	written = textfile.stat()
	assert run_agent("push", "--if-due", "--bench", bench_folder).returncode == 0
	assert textfile.stat() == written

	rewind(bench_folder, 100)
	failed = run_agent("push", "--if-due", "--bench", bench_folder, INTERNAL_API_KEY="another-key-of-no-use")
	assert (failed.returncode, "Warning" in failed.stderr) == (1, False)
	found = values(textfile.read_text())
	assert found["prego_push_consecutive_failures"] == 1 and found["prego_pushes_totalrefused"] == 1

	assert run_agent("push", "--bench", bench_folder).returncode == 0
	assert values(textfile.read_text())["prego_push_consecutive_failures"] == 0


def test_a_push_of_a_path_unit_writes_the_file_too(
	run_agent: Run, bench_folder: Path, textfile: Path, make_site: Callable[..., Path]
) -> None:
	run_agent("push", "--bench", bench_folder)
	rewind(bench_folder, 20)
	make_site(bench_folder, "new.example")
	assert run_agent("push", "--on-change", "--bench", bench_folder).returncode == 0
	assert values(textfile.read_text())["prego_tenants"] == 4


def test_a_file_that_cannot_be_written_is_a_warning_and_the_push_is_delivered(
	bench_folder: Path, textfile: Path
) -> None:
	textfile.mkdir()
	bench = open_bench(str(bench_folder))
	result = write_after_push(bench, push(bench, Request()))
	assert (result.outcome, result.exit_code) == ("delivered", 0)
	assert codes_in(result.warnings[-1:]) == ["metrics_not_written"]
	textfile.rmdir()


def test_without_prometheus_client_the_push_is_delivered(
	bench_folder: Path, textfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setitem(sys.modules, "prego_metrics.exporters.metrics", None)
	bench = open_bench(str(bench_folder))
	result = write_after_push(bench, push(bench, Request()))
	assert (result.outcome, codes_in(result.warnings[-1:])) == ("delivered", ["metrics_not_written"])


def test_a_push_without_the_setting_and_one_that_is_not_due_import_no_exporter(
	bench_folder: Path, textfile: Path, settings: Callable[..., Path], control_plane: Any
) -> None:
	def imported() -> str:
		command = ["-X", "importtime", "-m", "prego_metrics.cli", "push", "--if-due", "--bench", bench_folder]
		return subprocess.run([sys.executable, *command], capture_output=True, text=True).stderr

	assert "prometheus_client" in imported()
	assert "prego_metrics.exporters" not in imported()
	settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url, spread=0)
	rewind(bench_folder, 100)
	assert "prego_metrics.exporters" not in imported()


def test_the_command_prints_the_metrics_of_a_node_that_never_pushed(
	run_agent: Run, bench_folder: Path
) -> None:
	printed = run_agent("metrics", "--bench", bench_folder)
	found = values(printed.stdout)
	assert (printed.returncode, printed.stderr) == (0, "")
	assert found["prego_tenants"] == 3 and found["prego_push_interval_seconds"] == 60


def test_the_command_writes_the_file_and_says_why_it_cannot(
	run_agent: Run, bench_folder: Path, tmp_path: Path
) -> None:
	path = tmp_path / "now.prom"
	written = run_agent("metrics", "--bench", bench_folder, "--textfile", path)
	assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
	assert values(path.read_text())["prego_tenants"] == 3
	missing = run_agent("metrics", "--bench", bench_folder, "--textfile", tmp_path / "none" / "now.prom")
	assert (missing.returncode, missing.stdout) == (1, "")
	assert "No such file or directory" in missing.stderr
	for arguments in (("--bench", bench_folder, "--textfile", tmp_path / "now.txt"), ("--bench", tmp_path)):
		assert run_agent("metrics", *arguments).returncode == 2
