"""The doctor on the triggers, their pace, and the last push."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from examining import (
	DELIVERED,
	GOOD,
	Write,
	checks,
	common,
	examined,
	judge,
	pushes_every,
	remember,
	settings_of,
	tick,
	with_frappe,
)
from pushing import folder_of

from prego_metrics.agent.base.messages import coded

# --- triggers and the last push ----------------------------------------------------------------------


def test_without_any_trigger_the_check_says_how_to_start_one(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "tick-frappe.json").unlink()
	check = judge(bench, environ, "triggers")
	assert (check.state, check.seen) == ("fail", "no trigger has ever run")
	assert "enable-scheduler" in check.action and "push --if-due" in check.action


def test_where_the_app_is_no_app_of_the_bench_nothing_of_frappe_is_advised(
	bench: Path, environ: dict[str, str]
) -> None:
	(bench / "sites" / ".prego-metrics" / "tick-frappe.json").unlink()
	(bench / "apps/prego_metrics").rmdir()
	common(bench, maintenance_mode=1)
	made = checks(bench, environ)
	assert made["triggers"].state == "fail" and "push --if-due" in made["triggers"].action
	assert "frappe" not in {check.group for check in made.values()}
	assert examined(bench, "scheduler_switches").state == "skip"
	for check in made.values():
		assert "`bench" not in check.seen + check.action and "cheduler" not in check.action, check


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


def test_what_ran_once_is_no_trigger_yet(idle_bench: Path) -> None:
	tick(idle_bench, "cron", again=False)
	check = examined(idle_bench, "triggers")
	assert check.state == "warn" and check.action == "run the doctor again in 60 s"
	assert examined(idle_bench, "second_trigger").state == "skip"
	tick(idle_bench, "frappe")
	with_frappe(idle_bench, "15.55.1")
	assert examined(idle_bench, "triggers").state == "pass"
	assert examined(idle_bench, "second_trigger").state == "warn"


def test_beside_a_trigger_what_ran_once_is_named_as_such_and_has_no_pace(idle_bench: Path) -> None:
	with_frappe(idle_bench, "16.4.0")
	tick(idle_bench)
	tick(idle_bench, "cron", again=False)
	environ = {"INTERNAL_API_KEY": "a-key"}
	check = examined(idle_bench, "triggers", **environ)
	assert check.state == "pass" and check.seen.endswith("Only one run seen so far: cron")
	check = examined(idle_bench, "interval")
	assert check.state == "warn" and check.seen.startswith("frappe runs every 240 s")
	tick(idle_bench, "cron")
	assert "Only one" not in examined(idle_bench, "triggers", **environ).seen
	assert examined(idle_bench, "interval").state == "pass"


def test_what_ran_once_long_ago_is_no_trigger_that_stopped(idle_bench: Path) -> None:
	tick(idle_bench)
	tick(idle_bench, "cron", 4000, again=False)
	assert examined(idle_bench, "triggers").state == "pass"
	tick(idle_bench, "cron", 4000)
	assert examined(idle_bench, "triggers").state == "warn"


def test_a_hostile_outcome_of_a_tick_is_shown_and_not_obeyed(bench: Path, environ: dict[str, str]) -> None:
	tick(bench, outcome="\x1b]0;title\x07" + "x" * 1000)
	check = judge(bench, environ, "triggers")
	assert check.state == "pass" and len(check.seen) < 100


def test_a_push_that_failed_or_is_old_is_a_failure(bench: Path, environ: dict[str, str]) -> None:
	now = time.time()
	failed = DELIVERED._replace(
		outcome="failed", error=coded("server_error", answer=503), at=now - 5, status_code=None
	)
	remember(bench, DELIVERED._replace(at=now - 70), failed)
	check = judge(bench, environ, "last_push")
	assert (check.state, check.code) == ("fail", "server_error")
	remember(bench, DELIVERED._replace(at=now - 900))
	check = judge(bench, environ, "last_push")
	assert (check.state, check.code, "15 min ago" in check.seen) == ("fail", "stale", True)


def test_a_push_without_the_key_in_hardened_mode_is_left_to_the_timer(
	bench: Path, environ: dict[str, str]
) -> None:
	now = time.time()
	by_hand = DELIVERED._replace(
		trigger="manual", outcome="not_sent", payload=None, error=coded("key_with_timer_only"), at=now - 5
	)
	remember(bench, DELIVERED._replace(at=now - 70), by_hand)
	assert judge(bench, environ, "last_push").state == "fail"  # no timer has run
	tick(bench, "timer")
	remember(bench, by_hand)
	assert judge(bench, environ, "last_push").state == "fail"  # nothing was ever delivered
	remember(bench, DELIVERED._replace(at=now - 70), by_hand._replace(trigger="timer"))
	assert judge(bench, environ, "last_push").code == "key_with_timer_only"  # the timer has no key either
	remember(bench, DELIVERED._replace(at=now - 70), by_hand)
	check = judge(bench, environ, "last_push")
	assert (check.state, check.action) == ("warn", "nothing: the timer pushes within a minute")
	remember(bench, DELIVERED._replace(at=now - 900), by_hand)
	assert judge(bench, environ, "last_push").action == "fix the failed checks, then run: prego-metrics push"


def test_a_push_that_was_never_tried_is_a_warning(bench: Path, environ: dict[str, str]) -> None:
	remember(bench)
	check = judge(bench, environ, "last_push")
	assert (check.state, check.action) == ("warn", "push once: prego-metrics push")
	remember(
		bench, DELIVERED._replace(payload={"node_id": "node-2", "tenant_count": 1})
	)  # before node_id was changed
	check = judge(bench, environ, "last_push")
	assert (check.state, check.action) == ("warn", "push once: prego-metrics push")


# --- their pace --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("version", "key", "interval", "state"),
	[
		("15.55.1", None, 60, "pass"),
		("16.4.0", None, 60, "warn"),
		("16.4.0", 60, 60, "pass"),
		("16.4.0", "60", 60, "pass"),
		("16.4.0", None, 240, "pass"),
		("17.0.0-dev", None, 60, "warn"),
		("15.55.1", 300, 60, "warn"),
		("16.4.0", "soon", 60, "warn"),
	],
)
def test_an_interval_that_frappes_tick_cannot_keep_is_a_warning(
	idle_bench: Path, settings: Write, version: str, key: object, interval: int, state: str
) -> None:
	settings(idle_bench, **GOOD, push_interval=interval)
	with_frappe(idle_bench, version)
	if key is not None:
		common(idle_bench, scheduler_tick_interval=key)
	tick(idle_bench)
	check = examined(idle_bench, "interval")
	assert check.state == state, check
	if state == "warn":
		assert "scheduler" in check.action and "tick" in check.action


def test_a_slow_scheduler_is_no_matter_beside_a_trigger_that_leads(idle_bench: Path) -> None:
	with_frappe(idle_bench, "16.4.0")
	tick(idle_bench)
	assert examined(idle_bench, "interval").seen.startswith("frappe runs every 240 s, too slow")
	tick(idle_bench, "timer")
	check = examined(idle_bench, "interval")
	assert (check.state, check.seen) == ("pass", "frappe runs every 240 s, timer runs every 60 s")


def test_pushes_that_are_in_fact_too_far_apart_are_a_warning(idle_bench: Path) -> None:
	tick(idle_bench)
	pushes_every(idle_bench, 240, 9)
	check = examined(idle_bench, "interval")
	assert (check.state, check.seen) == ("warn", "pushes are usually 240 s apart, but push_interval is 60 s")
	assert "scheduler_tick_interval" in check.action
	(Path(folder_of(idle_bench).path) / "tick-frappe.json").unlink()
	tick(idle_bench, "cron")
	check = examined(idle_bench, "interval")
	assert check.state == "warn" and "Frappe" not in check.action


@pytest.mark.parametrize(
	("version", "triggers", "state"),
	[
		("15.55.1", ["frappe"], "warn"),
		("15.55.1", ["frappe", "cron"], "pass"),
		("15.62.0", ["frappe"], "pass"),
		("16.0.0-dev", ["frappe"], "warn"),
		("16.4.0", ["frappe"], "pass"),
		("15.55.1", ["timer"], "pass"),
		("15.55.1", [], "skip"),
	],
)
def test_frappe_alone_is_a_warning_where_it_falls_asleep(
	idle_bench: Path, version: str, triggers: list[str], state: str
) -> None:
	with_frappe(idle_bench, version)
	for trigger in triggers:
		tick(idle_bench, trigger)
	assert examined(idle_bench, "second_trigger").state == state


def test_a_trigger_that_ticks_and_can_send_nothing_is_a_warning(idle_bench: Path) -> None:
	tick(idle_bench, "timer", outcome="not_sent")
	check = examined(idle_bench, "triggers")
	assert check.state == "warn" and "unable to send: timer" in check.seen
	assert "`api_key`" in check.action
	assert "of that trigger" in examined(idle_bench, "triggers", INTERNAL_API_KEY="a-key").action


def test_a_trigger_that_waits_for_a_stuck_lock_is_not_said_to_lack_its_settings(idle_bench: Path) -> None:
	tick(idle_bench, "timer", outcome="not_sent")
	folder_of(idle_bench).make_mark(f"stuck-timer-{time.time() - 90!r}-0123456789abcdef")
	assert "`lock`" in examined(idle_bench, "triggers", INTERNAL_API_KEY="a-key").action


def test_where_no_run_can_be_recorded_no_trigger_is_said_to_have_stopped(idle_bench: Path) -> None:
	tick(idle_bench, "timer", ago=4000)
	(idle_bench / "sites/.prego-metrics/write-test").mkdir()
	assert examined(idle_bench, "state").state == "fail"
	check = examined(idle_bench, "triggers")
	assert check.state == "skip" and "`state`" in check.seen
	tick(idle_bench, "timer")
	assert examined(idle_bench, "triggers").state == "pass"


def test_a_killed_push_is_no_matter_of_the_other_checks(bench: Path, environ: dict[str, str]) -> None:
	now = time.time()
	killed = DELIVERED._replace(outcome="failed", payload=None, error=coded("push_killed"), at=now - 5)
	remember(bench, DELIVERED._replace(at=now - 70), killed)
	check = judge(bench, environ, "last_push")
	assert (check.state, check.code) == ("fail", "push_killed") and "journalctl -k" in check.action
