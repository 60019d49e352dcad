"""The doctor on Frappe's scheduler, as far as disk and kernel show."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from examining import (
	GOOD,
	Write,
	common,
	examined,
	pushes_every,
	scheduler_running,
	settings_of,
	tick,
	with_frappe,
)

from prego_metrics.agent.base import kernel as kernel_locks
from prego_metrics.doctor import frappe_on_disk

LONG_AGO = 10.0**6


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


def app_added_long_ago(bench: Path) -> None:
	os.utime(bench / "sites" / "apps.txt", (time.time() - LONG_AGO,) * 2)


def test_a_scheduler_is_seen_by_its_lock_and_no_lock_is_taken_to_see_it(idle_bench: Path) -> None:
	lock = idle_bench / "config" / "scheduler_process"
	assert examined(idle_bench, "scheduler_process").state == "skip"
	lock.parent.mkdir()
	lock.write_text("")
	assert examined(idle_bench, "scheduler_process").state == "fail"
	app_added_long_ago(idle_bench)
	with lock.open() as held:
		fcntl.flock(held, fcntl.LOCK_EX)
		assert examined(idle_bench, "scheduler_process").state == "pass"
	tick(idle_bench)
	assert examined(idle_bench, "scheduler_process").seen == "Frappe's scheduler is running elsewhere"


def test_without_the_kernels_list_of_locks_nothing_is_claimed(
	idle_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(kernel_locks, "LOCKS_FILE", str(tmp_path / "none"))
	(idle_bench / "config").mkdir()
	(idle_bench / "config" / "scheduler_process").write_text("")
	assert examined(idle_bench, "scheduler_process").state == "skip"


def test_a_scheduler_that_started_before_the_app_was_added_runs_nothing(idle_bench: Path) -> None:
	apps = idle_bench / "sites" / "apps.txt"
	apps.write_text("frappe\nprego_metrics\n")
	with scheduler_running(idle_bench):
		check = examined(idle_bench, "scheduler_process")
		assert (check.state, check.code) == ("fail", "processes_old") and "restart" in check.action
		assert examined(idle_bench, "triggers").state == "fail"  # no first run is to be waited for
		tick(idle_bench)  # the app was there already, and another one was added
		assert examined(idle_bench, "scheduler_process").state == "pass"
		tick(idle_bench, ago=LONG_AGO)
		os.utime(apps, (time.time() - LONG_AGO,) * 2)
		assert examined(idle_bench, "scheduler_process").state == "pass"


@pytest.mark.parametrize("config_file", ["supervisor.conf", "systemd", "../Procfile", None])
def test_what_starts_the_processes_again_depends_on_what_runs_them(
	idle_bench: Path, config_file: str | None
) -> None:
	config = idle_bench / "config"
	config.mkdir()
	(config / "scheduler_process").write_text("")
	if config_file:
		(config / config_file).mkdir() if config_file == "systemd" else (config / config_file).write_text("")
	action = examined(idle_bench, "scheduler_process").action
	# `bench restart` succeeds and does nothing without supervisor.
	assert ("bench restart" in action) == (config_file == "supervisor.conf")
	assert ("sudo systemctl restart" in action) == (config_file == "systemd")
	assert ("Ctrl-C" in action) == (config_file == "../Procfile")


def test_before_the_first_tick_the_doctor_says_which_one_it_expects(idle_bench: Path) -> None:
	with_frappe(idle_bench, "16.4.0")
	app_added_long_ago(idle_bench)
	with scheduler_running(idle_bench):
		check = examined(idle_bench, "triggers")
		assert check.state == "warn" and "Frappe's scheduler runs every 240 s" in check.seen
		assert examined(idle_bench, "triggers", PREGO_METRICS_SCHEDULER_PUSHES="0").state == "fail"
	assert examined(idle_bench, "triggers").state == "fail"  # no scheduler runs


def test_after_the_first_tick_should_have_come_the_doctor_fails(
	idle_bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	with_frappe(idle_bench, "16.4.0")
	app_added_long_ago(idle_bench)
	monkeypatch.setattr(frappe_on_disk, "scheduler_started_at", lambda bench: time.time() - 301)
	settings_of(idle_bench, 299)
	assert examined(idle_bench, "triggers").state == "warn"
	settings_of(idle_bench, 301)
	assert examined(idle_bench, "triggers").state == "fail"


def test_a_tick_that_was_set_after_the_scheduler_started_has_to_be_seen(idle_bench: Path) -> None:
	with_frappe(idle_bench, "16.4.0")
	common(idle_bench, scheduler_tick_interval=60)
	tick(idle_bench)
	with scheduler_running(idle_bench):
		check = examined(idle_bench, "interval")
		assert (check.state, check.code) == ("warn", "tick_unproven")
		pushes_every(idle_bench, 240, 2)
		assert examined(idle_bench, "interval").code == "tick_unproven"
		pushes_every(idle_bench, 60, 2)
		assert examined(idle_bench, "interval").state == "pass"
		tick(idle_bench, ago=140)
		assert examined(idle_bench, "interval").code == "tick_unproven"
		settings_of(idle_bench, LONG_AGO)
		assert examined(idle_bench, "interval").state == "pass"


def test_a_tick_of_a_scheduler_elsewhere_is_judged_by_its_runs(idle_bench: Path) -> None:
	with_frappe(idle_bench, "16.4.0")
	common(idle_bench, scheduler_tick_interval=60)
	tick(idle_bench)
	assert examined(idle_bench, "interval").state == "pass"
	pushes_every(idle_bench, 240, 2)
	assert examined(idle_bench, "interval").code == "tick_unproven"
	tick(idle_bench, "timer")  # which pushes in its place
	assert examined(idle_bench, "interval").state == "pass"
