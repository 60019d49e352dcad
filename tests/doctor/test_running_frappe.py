"""The doctor on what a running Frappe says. That it really says so, `tests/bench` tries on a bench."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from examining import GOOD, Write, common, tick

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.doctor.check import Check
from prego_metrics.doctor.frappe_facts import JobRow, Queue, SiteFacts, StartedJob
from prego_metrics.doctor.runner import examine

NAMES = ["redis", "workers", "database", "app_on_site", "scheduler", "dormant", "job", "stuck_job"]
PUSHES = Queue("default", 1, 1, 0)
SCANS = Queue("long", 1, 1, 0)
JOB = JobRow("prego_push.push_if_due", stopped=False, last_execution="2026-01-01 00:00:00", in_future=False)
SITE = SiteFacts(has_app=True, scheduler_enabled=True, dormant=False, job=JOB)


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
		(Answers(facts=replace(SITE, job=replace(JOB, in_future=True))), "job"),
		(Answers(started=StartedJob("x::y", 331)), "stuck_job"),
		(Answers(started=StartedJob("x::y", None)), "stuck_job"),
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
	assert states(idle_bench, Answers(started=StartedJob("x::y", 329))) == {}


def test_the_way_to_redis_is_named_without_its_password(idle_bench: Path) -> None:
	common(idle_bench, redis_cache="redis://:secret-987654321@127.0.0.1:13000", redis_queue="redis://[::1]:9")
	check = asked(idle_bench, Answers(redis="Connection refused"))["redis"]
	assert check.seen == "redis_cache at 127.0.0.1:13000 does not answer: Connection refused"
	stuck = asked(idle_bench, Answers(started=StartedJob("site::job", 999)))["stuck_job"]
	assert "redis-cli -u redis://[::1]:9 DEL 'rq:job:site::job'" in stuck.action
