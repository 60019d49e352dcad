"""The doctor on Frappe's scheduler, as far as the disk shows."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from examining import GOOD, Write, common, examined, tick

from prego_metrics.agent.base import kernel as kernel_locks


@pytest.mark.parametrize("switch", ["maintenance_mode", "pause_scheduler", "disable_scheduler"])
def test_a_switch_that_stops_the_scheduler_is_named(idle_bench: Path, settings: Write, switch: str) -> None:
	common(idle_bench, **{switch: 1})
	check = examined(idle_bench, "scheduler_switches")
	assert (check.state, check.seen) == ("fail", f"{switch} is set for the whole bench")
	tick(idle_bench, "cron")
	assert examined(idle_bench, "scheduler_switches").state == "warn"


def test_a_switch_of_the_operators_site_counts_before_the_benchs(idle_bench: Path, settings: Write) -> None:
	settings(idle_bench, **GOOD, site="acme.example")
	path = idle_bench / "sites" / "acme.example" / "site_config.json"
	path.write_text('{"pause_scheduler": 1}')
	assert examined(idle_bench, "scheduler_switches").seen == "pause_scheduler is set on acme.example"
	common(idle_bench, maintenance_mode=1)
	path.write_text('{"maintenance_mode": 0}')
	assert examined(idle_bench, "scheduler_switches").state == "pass"


def test_an_operators_site_that_was_renamed_is_a_warning(idle_bench: Path, settings: Write) -> None:
	settings(idle_bench, **GOOD, site="gone.example")
	check = examined(idle_bench, "operators_site")
	assert check.state == "warn" and check.seen.startswith("gone.example was dropped or renamed")
	settings(idle_bench, **GOOD, site="acme.example")
	assert examined(idle_bench, "operators_site").state == "pass"


def test_a_scheduler_is_seen_by_its_lock_and_no_lock_is_taken_to_see_it(idle_bench: Path) -> None:
	lock = idle_bench / "config" / "scheduler_process"
	assert examined(idle_bench, "scheduler_process").state == "skip"
	lock.parent.mkdir()
	lock.write_text("")
	assert examined(idle_bench, "scheduler_process").state == "fail"
	with lock.open() as held:
		fcntl.flock(held, fcntl.LOCK_EX)
		assert examined(idle_bench, "scheduler_process").state == "pass"
	tick(idle_bench)
	assert examined(idle_bench, "scheduler_process").seen == "Frappe's scheduler ticks, from elsewhere"


def test_without_the_kernels_list_of_locks_nothing_is_claimed(
	idle_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(kernel_locks, "LOCKS_FILE", str(tmp_path / "none"))
	(idle_bench / "config").mkdir()
	(idle_bench / "config" / "scheduler_process").write_text("")
	assert examined(idle_bench, "scheduler_process").state == "skip"
