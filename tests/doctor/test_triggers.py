"""The doctor on the lock, the state, the triggers and the last push."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from examining import DELIVERED, judge, remember, settings_of, tick

from prego_metrics.doctor import bench as checks_bench

# --- lock and state ----------------------------------------------------------------------------------


def test_a_lock_that_another_process_holds_is_a_warning(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(checks_bench, "LOCK_WAIT_SECONDS", 0.3)
	holder = subprocess.Popen(
		[
			sys.executable,
			"-c",
			"import sys, time; from prego_metrics.agent.state.lock import PushLock\n"
			"with PushLock(sys.argv[1]) as lock: lock.acquire(); print('held', flush=True); time.sleep(60)",
			str(bench / "sites"),
		],
		stdout=subprocess.PIPE,
	)
	assert holder.stdout and holder.stdout.readline() == b"held\n"
	try:
		check = judge(bench, environ, "lock")
	finally:
		holder.kill()
		holder.communicate()
	assert (check.state, check.seen) == ("warn", "held for more than 0.3 s")
	assert judge(bench, environ, "lock").state == "pass"


def test_a_doctor_gives_the_lock_back(bench: Path, environ: dict[str, str]) -> None:
	for _ in range(2):
		assert judge(bench, environ, "lock").state == "pass"


def test_a_state_that_cannot_be_written_is_a_failure(
	bench: Path, environ: dict[str, str], tmp_path: Path
) -> None:
	folder = bench / "sites" / ".prego-metrics"
	folder.rename(tmp_path / "elsewhere")
	folder.symlink_to(tmp_path / "elsewhere")
	check = judge(bench, environ, "state")
	assert check.state == "fail" and "cannot be written" in check.seen


def test_a_state_folder_of_somebody_else_is_a_failure(
	make_bench: Callable[..., Path],
	shared_folder: Path,
	environ: dict[str, str],
	as_user: Callable[..., Any],
) -> None:
	bench = make_bench(shared_folder / "frappe-bench", "acme.example")
	remember(bench)
	found = as_user(65534, lambda: judge(bench, environ, "state").as_dict())
	assert found["state"] == "fail"
	assert "Permission denied" in found["seen"]


def test_a_state_that_is_not_ours_is_a_warning(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "state.json").write_text('{"version": "\x1b[31m"}')
	check = judge(bench, environ, "state")
	assert check.state == "warn" and "state.json" in check.seen


def test_looking_at_the_state_leaves_nothing_behind(bench: Path, environ: dict[str, str]) -> None:
	judge(bench, environ, "state")
	assert sorted(os.listdir(bench / "sites" / ".prego-metrics")) == ["state.json", "tick-frappe.json"]


# --- triggers and the last push -----------------------------------------------------------------------


def test_without_any_trigger_the_check_says_how_to_start_one(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "tick-frappe.json").unlink()
	check = judge(bench, environ, "triggers")
	assert (check.state, check.seen) == ("fail", "no trigger has ever ticked")
	assert "enable-scheduler" in check.action and "push --if-due" in check.action


@pytest.mark.parametrize("ago", [400, 10**6, -3600])
def test_triggers_that_have_all_stopped_are_a_failure(
	bench: Path, environ: dict[str, str], ago: float
) -> None:
	tick(bench, "frappe", ago)
	check = judge(bench, environ, "triggers")
	assert check.state == "fail" and check.seen.startswith("every trigger has stopped: frappe ")


def test_one_trigger_that_stopped_beside_one_that_works_is_a_warning_that_names_it(
	bench: Path, environ: dict[str, str]
) -> None:
	tick(bench, "timer", 20)
	assert judge(bench, environ, "triggers").state == "pass"
	tick(bench, "frappe", 4000)
	check = judge(bench, environ, "triggers")
	assert check.state == "warn" and check.seen.startswith("stopped: frappe (")
	assert "timer 20 s ago" in check.seen


@pytest.mark.parametrize(
	("values", "words"),
	[
		({"push_interval": 300.0}, "timer pushes as node-1 every 300 s"),
		({"node_id": "node-2"}, "timer pushes as node-2 every 60 s"),
		({"node_id": ""}, "timer pushes as nobody every 60 s"),
		({"node_id": "\x1b[31m"}, "timer pushes as \\x1b[31m every 60 s"),
	],
)
def test_triggers_that_see_other_settings_are_a_warning(
	bench: Path, environ: dict[str, str], values: dict[str, Any], words: str
) -> None:
	settings_of(bench, 60)
	tick(bench, "timer", 20, **values)
	check = judge(bench, environ, "trigger_settings")
	assert (check.state, check.seen) == ("warn", words)
	assert "PREGO_METRICS_" in check.action


def test_a_tick_from_before_the_settings_changed_says_nothing(bench: Path, environ: dict[str, str]) -> None:
	settings_of(bench, 10)
	tick(bench, "timer", 20, node_id="node-2")
	assert judge(bench, environ, "trigger_settings").state == "pass"


def test_a_tick_that_is_not_ours_is_left_out(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "tick-cron.json").write_text('{"at": "now"}')
	assert judge(bench, environ, "triggers").state == "pass"


def test_a_hostile_outcome_of_a_tick_is_shown_and_not_obeyed(bench: Path, environ: dict[str, str]) -> None:
	tick(bench, outcome="\x1b]0;title\x07" + "x" * 1000)
	check = judge(bench, environ, "triggers")
	assert check.state == "pass" and len(check.seen) < 100


def test_a_push_that_failed_or_is_old_is_a_failure(bench: Path, environ: dict[str, str]) -> None:
	now = time.time()
	failed = replace(DELIVERED, outcome="failed", error="no connection", at=now - 5, status_code=None)
	remember(bench, replace(DELIVERED, at=now - 70), failed)
	check = judge(bench, environ, "last_push")
	assert check.state == "fail" and check.seen.endswith("no connection")
	remember(bench, replace(DELIVERED, at=now - 900))
	assert "15 min ago" in judge(bench, environ, "last_push").seen


def test_a_push_that_was_never_tried_is_a_warning(bench: Path, environ: dict[str, str]) -> None:
	remember(bench)
	check = judge(bench, environ, "last_push")
	assert (check.state, check.action) == ("warn", "push once: prego-metrics push")
