"""The doctor's checks of Frappe's scheduler in a site's database, and the groups of all checks that need Frappe.

Each is bounded in time and fails alone. The core does not import them: whoever runs the doctor in the bench's own
Python passes them in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import frappe

from prego_metrics.agent.base.messages import message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.adapters.jobs import PUSH_JOB
from prego_metrics.desk.adapters.site_thread import NoAnswer, ask_site
from prego_metrics.desk.doctor.chosen_site import ChosenSite, severity
from prego_metrics.desk.doctor.queues import check_redis, check_stuck_job, check_workers
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination, Group
from prego_metrics.doctor.triggers import is_triggered

_SITE_NAMES = ("database", "app_on_site", "scheduler", "dormant", "job")


def groups() -> tuple[Group, ...]:
	"""Return the checks for one run of the doctor; later ones depend on earlier ones."""
	chosen = ChosenSite()
	return (
		Group(("redis",), check_redis),
		Group(("workers",), lambda seen: check_workers(seen, chosen)),
		Group(_SITE_NAMES, lambda seen: _check_site(seen, chosen)),
		Group(("stuck_job",), lambda seen: check_stuck_job(seen, chosen)),
	)


@dataclass(frozen=True)
class _SiteFacts:
	"""What the site's database says; `dormant` is None if this Frappe has no such rule, `job` if there is no row."""

	has_app: bool
	scheduler_enabled: bool
	dormant: bool | None
	job: dict[str, Any] | None
	job_in_future: bool


def _facts() -> _SiteFacts:
	from frappe.utils import cint, get_datetime, now_datetime

	frappe.connect()
	has_app = APP in (frappe.get_installed_apps() or [])
	rows = frappe.get_all(
		"Scheduled Job Type",
		filters={"method": PUSH_JOB},
		fields=["name", "stopped", "cron_format", "last_execution", "method"],
	)
	job = rows[0] if rows else None
	in_future = bool(job and job.last_execution and get_datetime(job.last_execution) > now_datetime())
	return _SiteFacts(
		has_app=has_app,
		scheduler_enabled=bool(
			cint(frappe.db.get_single_value("System Settings", "enable_scheduler", cache=False))
		),
		dormant=_is_dormant(),
		job=dict(job) if job else None,
		job_in_future=in_future,
	)


def _is_dormant() -> bool | None:
	"""Return Frappe's verdict without the hour's cache that Frappe keeps of it; None if it has no such rule."""
	from frappe.utils import scheduler

	is_dormant = getattr(scheduler, "is_dormant", None)
	return bool(is_dormant()) if is_dormant else None


def _check_site(seen: Examination, chosen: ChosenSite) -> Iterator[Check]:
	site = chosen.name(seen)
	if site is None:
		yield from map(chosen.none, _SITE_NAMES)
		return
	name = sanitize(site)
	try:
		facts = ask_site(seen.bench, site, _facts)
	except NoAnswer as reason:
		yield Check(
			"database",
			severity(seen),
			message("the database of {site} cannot be asked: {reason}", site=name, reason=message_of(reason)),
			message(
				"start MariaDB, or see why it refuses: Frappe's scheduler does nothing on this site without it. A timer or cron goes on pushing"
			),
		)
		for check in _SITE_NAMES[1:]:
			yield Check(check, SKIP, message("the database of {site} cannot be asked", site=name))
		return
	yield Check("database", PASS, message("the database of {site} answers", site=name))
	yield _app_on_site(seen, facts, name)
	if not facts.has_app:
		for check in _SITE_NAMES[2:]:
			yield Check(check, SKIP, message("the app is not installed on {site}", site=name))
		return
	yield _scheduler(seen, facts, name)
	yield _dormant(seen, facts, name)
	yield _job(seen, facts, name)


def _app_on_site(seen: Examination, facts: _SiteFacts, site: str) -> Check:
	if facts.has_app:
		return Check("app_on_site", PASS, message("the app is installed on {site}", site=site))
	return Check(
		"app_on_site",
		WARN if is_triggered(seen) else FAIL,
		message("the app is not installed on {site}, so Frappe's scheduler there pushes nothing", site=site),
		message(
			"install it (`bench --site {site} install-app prego_metrics`), or name another site: `prego-metrics configure --site SITE`",
			site=site,
		),
	)


def _scheduler(seen: Examination, facts: _SiteFacts, site: str) -> Check:
	if facts.scheduler_enabled:
		return Check("scheduler", PASS, message("the scheduler of {site} is enabled", site=site))
	return Check(
		"scheduler",
		severity(seen),
		message("the scheduler of {site} is disabled in its System Settings", site=site),
		message("bench --site {site} enable-scheduler", site=site),
	)


def _dormant(seen: Examination, facts: _SiteFacts, site: str) -> Check:
	if not facts.dormant:
		return Check("dormant", PASS, message("{site} is awake", site=site))
	return Check(
		"dormant",
		severity(seen),
		message(
			"nobody has logged in to {site} of late, or ever: this Frappe runs its jobs once in 24 hours only",
			site=site,
		),
		message(
			"log in to {site}, which helps for days (within an hour), and give the node a second trigger: a timer or cron that runs `prego-metrics push --if-due`",
			site=site,
		),
	)


def _job(seen: Examination, facts: _SiteFacts, site: str) -> Check:
	job = facts.job
	if job is None:
		return Check(
			"job",
			severity(seen),
			message("the row of the job is missing on {site}: the scheduler does not know of it", site=site),
			message("bench --site {site} migrate", site=site),
		)
	if job["stopped"]:
		return Check(
			"job",
			severity(seen),
			message("the job is stopped on {site}", site=site),
			message(
				"open Scheduled Job Type {job} in the Desk of {site}, and clear Stopped",
				job=sanitize(str(job["name"]), 80),
				site=site,
			),
		)
	if facts.job_in_future:
		return Check(
			"job",
			severity(seen),
			message(
				"the job's last execution lies in the future, so it is not due: {time}",
				time=str(job["last_execution"])[:19],
			),
			message(
				"bench --site {site} migrate, which sets it right (the site's time zone was changed)",
				site=site,
			),
		)
	return Check("job", PASS, message("the job is there, and due at every tick"))
