"""The systemd units of a bench: installed, enabled, and watching every bench that is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from examining import GOOD, Write, examined, install_units, tick


@pytest.fixture
def enable(unit_folder: Path) -> Callable[[str], None]:
	"""`enable(name)` links a unit where `systemctl enable` does."""

	def link(name: str) -> None:
		wants = unit_folder / f"{name.rpartition('.')[2]}s.target.wants"
		wants.mkdir(exist_ok=True)
		(wants / name).symlink_to(unit_folder / name)

	return link


def test_without_units_there_is_nothing_to_check(idle_bench: Path, unit_folder: Path) -> None:
	assert examined(idle_bench, "units").state == "skip"


def test_units_that_are_not_enabled_are_a_warning(
	idle_bench: Path, unit_folder: Path, tmp_path: Path, enable: Callable[[str], None]
) -> None:
	install_units(unit_folder, idle_bench, tmp_path / "key")
	check = examined(idle_bench, "units")
	assert check.state == "warn"
	assert check.seen.count("is not enabled") == 2
	enable("prego-metrics.timer")
	seen = examined(idle_bench, "units").seen
	assert seen == f"{unit_folder}/prego-metrics.path is not enabled"
	enable("prego-metrics.path")
	assert examined(idle_bench, "units").state == "pass"
	(unit_folder / "prego-metrics.path").unlink()
	assert examined(idle_bench, "units").seen == f"{unit_folder}/prego-metrics.path is not installed"


def test_a_timer_that_has_yet_to_run_is_to_be_waited_for_or_started(
	idle_bench: Path, unit_folder: Path, tmp_path: Path, enable: Callable[[str], None]
) -> None:
	install_units(unit_folder, idle_bench, tmp_path / "key")
	assert "systemctl" not in examined(idle_bench, "triggers").action
	enable("prego-metrics.timer")
	check = examined(idle_bench, "triggers")
	assert check.state == "fail" and check.action.endswith("sudo systemctl start prego-metrics.timer")


def test_a_timer_that_stopped_is_to_be_started(
	idle_bench: Path, unit_folder: Path, tmp_path: Path, enable: Callable[[str], None]
) -> None:
	install_units(unit_folder, idle_bench, tmp_path / "key")
	tick(idle_bench, "timer", ago=4000)
	again = "run `sudo systemctl start prego-metrics.timer`; if it runs, see `journalctl -u prego-metrics`"
	assert "systemctl" not in examined(idle_bench, "triggers").action
	enable("prego-metrics.timer")
	check = examined(idle_bench, "triggers")
	assert check.state == "fail"
	assert check.action.startswith(f"{again}. Also: ")
	tick(idle_bench, "cron")
	check = examined(idle_bench, "triggers")
	assert check.seen.startswith("stopped: timer (")
	assert check.action.startswith(f"{again}. If it was removed for good")
	(unit_folder / "timers.target.wants/prego-metrics.timer").unlink()
	assert examined(idle_bench, "triggers").action.startswith("start it again. If it was removed for good")


def test_a_path_unit_has_to_watch_every_bench(
	idle_bench: Path,
	make_bench: Callable[..., Path],
	settings: Write,
	unit_folder: Path,
	tmp_path: Path,
	enable: Callable[[str], None],
) -> None:
	other = make_bench(tmp_path / "other-bench", "x.example")
	install_units(unit_folder, idle_bench, tmp_path / "key")
	enable("prego-metrics.timer")
	enable("prego-metrics.path")
	settings(idle_bench, **GOOD, benches=[str(idle_bench), str(other)])
	check = examined(idle_bench, "units")
	assert check.state == "warn"
	assert check.seen == f"{unit_folder}/prego-metrics.path does not watch {other}/sites"
	drop_in = unit_folder / "prego-metrics.path.d"
	drop_in.mkdir()
	(drop_in / "more.conf").write_text(f"[Path]\nPathChanged={other}/sites\n")
	assert examined(idle_bench, "units").state == "pass"


def test_units_that_were_made_before_the_metrics_file_was_set_are_a_warning(
	idle_bench: Path,
	settings: Write,
	unit_folder: Path,
	tmp_path: Path,
	enable: Callable[[str], None],
) -> None:
	file = tmp_path / "metrics" / "node.prom"
	settings(idle_bench, **GOOD, metrics_textfile=str(file))
	install_units(unit_folder, idle_bench, tmp_path / "key")
	enable("prego-metrics.timer")
	enable("prego-metrics.path")
	check = examined(idle_bench, "units")
	assert check.state == "warn" and "prego-metrics systemd" in check.action
	names = ("prego-metrics.service", "prego-metrics-change.service")
	assert check.seen == "; ".join(f"{unit_folder}/{name} cannot write {file}" for name in names)
	for name in names:
		drop_in = unit_folder / f"{name}.d"
		drop_in.mkdir()
		(drop_in / "more.conf").write_text(f"[Service]\nReadWritePaths={tmp_path}\n")
	assert examined(idle_bench, "units").state == "pass"
	install_units(unit_folder, idle_bench, tmp_path / "key", hardened={})
	for name in names:
		(unit_folder / f"{name}.d" / "more.conf").unlink()
	assert examined(idle_bench, "units").state == "pass"
	install_units(unit_folder, idle_bench, tmp_path / "key", metrics_textfile=str(file))
	assert examined(idle_bench, "units").state == "pass"
