"""The doctor on what a running Frappe says. That it really says so, `tests/bench` tries on a bench."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from examining import GOOD, Write, common, tick

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.doctor import running_frappe
from prego_metrics.doctor.check import Check
from prego_metrics.doctor.frappe_facts import JobRow, Queue, SiteFacts, StartedJob
from prego_metrics.doctor.runner import examine

NAMES = ["redis", "workers", "database", "app_on_site", "scheduler", "dormant", "job", "stuck_job"]
PUSHES = Queue("default", known=1, living=1, waiting=0, processes=1)
SCANS = replace(PUSHES, name="long")
JOB = JobRow("prego_push.push_if_due", stopped=False, last_execution="2026-01-01 00:00:00", age_seconds=86400)
SITE = SiteFacts(has_app=True, scheduler_enabled=True, dormant=False, skipped_seconds=None, job=JOB)


@dataclass
class Answers:
	"""A Frappe that gives these answers; by default all is well."""

	site: str | None = "acme.example"
	redis: str | None = None
	queued: tuple[Queue, Queue] | str = (PUSHES, SCANS)
	facts: SiteFacts | str = SITE
	started: StartedJob | str | None = None

	def redis_error(self, key: str) -> str | None:
		return self.redis if key == "redis_cache" else None

	def queues(self) -> tuple[Queue, Queue] | str:
		return self.queued

	def site_facts(self) -> SiteFacts | str:
		return self.facts

	def started_job(self) -> StartedJob | str | None:
		return self.started


def asked(bench: Path, frappe: Answers) -> dict[str, Check]:
	made = list(examine(open_bench(str(bench)), {}, online=False, only=NAMES, connect=lambda node: frappe))
	assert [check.name for check in made] == NAMES
	assert all(bool(check.action) == (check.state in ("warn", "fail")) for check in made), made
	return {check.name: check for check in made}


def states(bench: Path, frappe: Answers) -> dict[str, str]:
	"""The states other than pass, by name."""
	return {name: check.state for name, check in asked(bench, frappe).items() if check.state != "pass"}


def test_a_frappe_that_is_well_passes(idle_bench: Path) -> None:
	assert states(idle_bench, Answers()) == {}


def test_without_a_site_to_ask_only_redis_is_judged(idle_bench: Path) -> None:
	assert states(idle_bench, Answers(site=None)) == dict.fromkeys(NAMES[1:], "skip")


@pytest.mark.parametrize(
	("frappe", "name"),
	[
		(Answers(redis="Connection refused"), "redis"),
		(Answers(queued=(replace(PUSHES, living=0), SCANS)), "workers"),
		(Answers(facts=replace(SITE, scheduler_enabled=False)), "scheduler"),
		(Answers(facts=replace(SITE, dormant=True)), "dormant"),
		(Answers(facts=replace(SITE, job=None)), "job"),
		(Answers(facts=replace(SITE, job=replace(JOB, stopped=True))), "job"),
		(Answers(facts=replace(SITE, skipped_seconds=1500)), "dormant"),
		(Answers(facts=replace(SITE, job=replace(JOB, age_seconds=-1))), "job"),
		(Answers(started=StartedJob("x::y", 331, 5)), "stuck_job"),
		(Answers(started=StartedJob("x::y", None, None)), "stuck_job"),
	],
)
def test_what_keeps_frappe_from_pushing_is_a_failure_unless_another_trigger_pushes(
	idle_bench: Path, frappe: Answers, name: str
) -> None:
	assert states(idle_bench, frappe) == {name: "fail"}
	tick(idle_bench, "timer")
	assert states(idle_bench, frappe) == {name: "warn"}


def test_a_database_that_does_not_answer_hides_what_only_it_knows(idle_bench: Path) -> None:
	assert states(idle_bench, Answers(facts="no answer within 6 s")) == {
		"database": "fail",
		**dict.fromkeys(("app_on_site", "scheduler", "dormant", "job"), "skip"),
	}


def test_a_site_without_the_app_is_a_failure_of_one_check(idle_bench: Path) -> None:
	assert states(idle_bench, Answers(facts=replace(SITE, has_app=False))) == {
		"app_on_site": "fail",
		**dict.fromkeys(("scheduler", "dormant", "job"), "skip"),
	}


def test_workers_and_jobs_that_cannot_be_seen_are_skipped(idle_bench: Path) -> None:
	frappe = Answers(queued="no answer within 6 s", started="no answer within 6 s")
	assert states(idle_bench, frappe) == {"workers": "skip", "stuck_job": "skip"}


def test_many_waiting_jobs_are_a_warning(idle_bench: Path) -> None:
	assert states(idle_bench, Answers(queued=(replace(PUSHES, waiting=101), SCANS))) == {"workers": "warn"}
	assert states(idle_bench, Answers(queued=(replace(PUSHES, waiting=100), SCANS))) == {}


def test_a_queue_for_usage_scans_without_a_worker_is_a_warning_where_scans_are_wanted(
	idle_bench: Path, settings: Write
) -> None:
	frappe = Answers(queued=(PUSHES, replace(SCANS, living=0)))
	assert states(idle_bench, frappe) == {}  # no operator site: nothing scans
	settings(idle_bench, **GOOD, site="acme.example")
	assert states(idle_bench, frappe) == {"workers": "warn"}
	assert "--queue long" in asked(idle_bench, frappe)["workers"].action


def test_a_run_of_the_job_that_has_just_begun_is_not_stuck(idle_bench: Path) -> None:
	assert states(idle_bench, Answers(started=StartedJob("x::y", 329, 20))) == {}


def test_the_way_to_redis_is_named_without_its_password(idle_bench: Path) -> None:
	common(idle_bench, redis_cache="redis://:secret-987654321@127.0.0.1:13000", redis_queue="redis://[::1]:9")
	check = asked(idle_bench, Answers(redis="Connection refused"))["redis"]
	assert check.seen == "redis_cache at 127.0.0.1:13000 does not answer: Connection refused"
	stuck = asked(idle_bench, Answers(started=StartedJob("site::job", 999, 999)))["stuck_job"]
	assert "redis-cli -u redis://[::1]:9 DEL 'rq:job:site::job'" in stuck.action


def test_a_run_whose_worker_was_killed_is_named_within_a_minute_after_its_deadline(
	idle_bench: Path, settings: Write
) -> None:
	"""A living worker renews the run's sign of life every 30 s."""
	assert states(idle_bench, Answers(started=StartedJob("x::y", 77, 77))) == {}
	killed = asked(idle_bench, Answers(started=StartedJob("x::y", 79, 79)))["stuck_job"]
	assert (killed.state, killed.code) == ("fail", "job_abandoned") and "DEL 'rq:job:x::y'" in killed.action
	settings(idle_bench, **GOOD, push_interval=300)  # whose deadline is 120 s
	assert states(idle_bench, Answers(started=StartedJob("x::y", 149, 149))) == {}
	assert states(idle_bench, Answers(started=StartedJob("x::y", 151, 46))) == {"stuck_job": "fail"}


def test_workers_that_redis_has_forgotten_are_not_missing(idle_bench: Path, settings: Write) -> None:
	forgotten = replace(PUSHES, known=0, living=0)
	check = asked(idle_bench, Answers(queued=(forgotten, SCANS)))["workers"]
	assert (check.state, check.code) == ("warn", "worker_unregistered") and "restart" in check.action
	# One that is registered and gone was killed, whatever else seems to be a worker here.
	assert states(idle_bench, Answers(queued=(replace(PUSHES, living=0), SCANS))) == {"workers": "fail"}
	assert states(idle_bench, Answers(queued=(replace(forgotten, processes=0), SCANS))) == {"workers": "fail"}
	scans = Answers(queued=(PUSHES, replace(forgotten, name="long")))
	assert states(idle_bench, scans) == {}
	settings(idle_bench, **GOOD, site="acme.example")
	assert "the queue long are running" in asked(idle_bench, scans)["workers"].seen


def test_a_verdict_that_outlived_a_login_is_named_with_what_ends_it(idle_bench: Path) -> None:
	check = asked(idle_bench, Answers(facts=replace(SITE, skipped_seconds=1500)))["dormant"]
	assert (check.code, check.action) == (
		"verdict_kept",
		"clear the cache: bench --site acme.example clear-cache",
	)
	assert "25 min" in check.seen
	both = asked(idle_bench, Answers(facts=replace(SITE, dormant=True, skipped_seconds=1500)))["dormant"]
	assert "nobody has logged in" in both.seen and "clear-cache" in both.action


def executed(ago: float) -> Answers:
	return Answers(facts=replace(SITE, job=replace(JOB, age_seconds=ago)))


def test_runs_that_frappe_made_and_this_app_did_not_record_mean_old_processes(idle_bench: Path) -> None:
	check = asked(idle_bench, executed(30))["job"]
	assert (check.state, check.code) == ("fail", "run_unrecorded") and "restart" in check.action
	# The first run may be under way, and so may the one after a run that was recorded.
	assert states(idle_bench, replace(executed(1), started=StartedJob("x::y", 1, 1))) == {}
	tick(idle_bench, ago=40)
	assert states(idle_bench, executed(30)) == {}
	tick(idle_bench, ago=150)
	assert states(idle_bench, executed(30)) == {"job": "fail"}
	assert states(idle_bench, executed(3700)) == {}


def test_a_run_from_before_a_restart_says_nothing(idle_bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr(running_frappe, "scheduler_started_at", lambda bench: time.time() - 60)
	assert states(idle_bench, executed(70)) == {}
	assert states(idle_bench, executed(50)) == {"job": "fail"}


def test_runs_that_could_not_be_recorded_are_another_cause(idle_bench: Path) -> None:
	(idle_bench / "sites" / ".prego-metrics").write_text("in the way")
	assert states(idle_bench, executed(30)) == {}


def test_a_time_zone_that_moved_west_is_named_with_how_long_it_lasts(idle_bench: Path) -> None:
	check = asked(idle_bench, executed(-7 * 3600))["job"]
	assert check.code == "execution_in_future" and "7 h" in check.seen and "migrate" in check.action
