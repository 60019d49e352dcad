"""`configure` says what stays on a site that was the operator's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]

LEFT = "uninstall-app prego_metrics"


def make_site(bench_folder: Path, name: str) -> str:
	(bench_folder / "sites" / name).mkdir()
	(bench_folder / "sites" / name / "site_config.json").write_text("{}")
	return name


def test_naming_another_operators_site_says_that_the_log_stays_on_the_first_and_how_to_delete_it(
	run_agent: Run, bench_folder: Path
) -> None:
	first, second = make_site(bench_folder, "first.test"), make_site(bench_folder, "second.test")
	at_first = run_agent("configure", "--site", first, "--bench", bench_folder, COLUMNS="400")
	again = run_agent("configure", "--site", first, "--bench", bench_folder, COLUMNS="400")
	moved = run_agent("configure", "--site", second, "--bench", bench_folder, COLUMNS="400")
	assert LEFT not in at_first.stdout + again.stdout
	assert "the push log stays on first.test" in moved.stdout
	assert f"bench --site first.test {LEFT}" in moved.stdout


def test_a_site_that_was_dropped_keeps_nothing(run_agent: Run, bench_folder: Path) -> None:
	second = make_site(bench_folder, "second.test")
	run_agent("configure", "--site", "dropped.test", "--bench", bench_folder, COLUMNS="400")
	moved = run_agent("configure", "--site", second, "--bench", bench_folder, COLUMNS="400")
	assert LEFT not in moved.stdout
