"""Frappe as the database and the cache of its site show it: what it needs to push, asked in the bench's own Python."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.processes import how_to_restart, scheduler_started_at
from prego_metrics.doctor.check import (
	FAIL,
	PASS,
	SKIP,
	WARN,
	Examination,
	Finding,
	alive_triggers,
	found,
	severity_without_frappe,
)
from prego_metrics.doctor.frappe_facts import Frappe, JobRow, SiteFacts

# A run is recorded when its push is over; what Frappe notes as its end comes after the alerts, which take seconds.
_RECORD_SECONDS = 60.0
# Of an older run nobody needs to know. The row of a new job says that it ran a day ago.
_OF_LATE_SECONDS = 3600.0


def asks_frappe(check: Callable[[Examination, Frappe], Finding]) -> Callable[[Examination], Finding]:
	"""Skip a check where Frappe cannot be asked."""

	@functools.wraps(check)
	def asking(node: Examination) -> Finding:
		if node.frappe is None:
			return found(SKIP, "needs the bench's own Python: run `bench prego-metrics doctor`")
		return check(node, node.frappe)

	return asking


def asks_site(check: Callable[[Examination, str, Frappe], Finding]) -> Callable[[Examination], Finding]:
	"""Skip a check where there is no site to ask."""

	@asks_frappe
	@functools.wraps(check)
	def asking(node: Examination, frappe: Frappe) -> Finding:
		if frappe.site is None:
			return found(SKIP, "needs the operator site: `prego-metrics configure --site SITE`")
		return check(node, frappe.site, frappe)

	return asking


def _asks_database(
	check: Callable[[Examination, str, SiteFacts], Finding],
) -> Callable[[Examination], Finding]:
	"""Skip a check where the site's database does not answer."""

	@asks_site
	@functools.wraps(check)
	def asking(node: Examination, site: str, frappe: Frappe) -> Finding:
		facts = node.once(_site_facts)
		if not isinstance(facts, SiteFacts):
			return found(SKIP, "the database of {site} does not answer", site=sanitize(site))
		return check(node, sanitize(site), facts)

	return asking


def _asks_app(check: Callable[[Examination, str, SiteFacts], Finding]) -> Callable[[Examination], Finding]:
	"""Skip a check where the site's database does not answer, or has not the app."""

	@_asks_database
	@functools.wraps(check)
	def asking(node: Examination, site: str, facts: SiteFacts) -> Finding:
		if not facts.has_app:
			return found(SKIP, "the app is not installed on {site}", site=site)
		return check(node, site, facts)

	return asking


def _site_facts(node: Examination) -> SiteFacts | str | None:
	return node.frappe.site_facts() if node.frappe else None


@asks_site
def database(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""The site's database answers."""
	facts = node.once(_site_facts)
	if isinstance(facts, SiteFacts):
		return found(PASS, "the database of {site} answers", site=sanitize(site))
	return found(
		severity_without_frappe(node),
		"the database of {site} does not answer: {reason}",
		"start MariaDB, or find out why it refuses. Frappe's scheduler needs it on this site; a timer or cron does not",
		site=sanitize(site),
		reason=facts,
	)


@_asks_database
def app_on_site(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""The app is installed on the site."""
	if facts.has_app:
		return found(PASS, "the app is installed on {site}", site=site)
	return found(
		WARN if alive_triggers(node) else FAIL,
		"the app is not installed on {site}, so Frappe's scheduler does not push from there",
		"install it (`bench --site {site} install-app prego_metrics`), or name another site: `prego-metrics configure "
		"--site SITE`",
		site=site,
	)


@_asks_app
def scheduler(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""The scheduler is enabled on the site."""
	if facts.scheduler_enabled:
		return found(PASS, "the scheduler of {site} is enabled", site=site)
	return found(
		severity_without_frappe(node),
		"the scheduler of {site} is disabled in its System Settings",
		"enable it: bench --site {site} enable-scheduler",
		site=site,
	)


@_asks_app
def dormant(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""Frappe does not skip the site's jobs for want of logins."""
	if facts.dormant:
		return found(
			severity_without_frappe(node),
			"nobody has logged in to {site} recently, so Frappe runs its jobs only once in 24 h (dormant)",
			"log in to {site}, then run `bench --site {site} clear-cache`. To keep it from happening again, add a timer or "
			"cron that runs `prego-metrics push --if-due`",
			site=site,
		)
	if facts.skipped_seconds is not None:
		kept = coded("verdict_kept", site=site, time=duration(facts.skipped_seconds))
		return found(
			severity_without_frappe(node), kept, "clear the cache: bench --site {site} clear-cache", site=site
		)
	return found(PASS, "Frappe runs the jobs of {site}", site=site)


@_asks_app
def job(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""The scheduler knows of the push, and it can be due."""
	row, severity = facts.job, severity_without_frappe(node)
	if row is None:
		return found(
			severity,
			"{site} has no Scheduled Job Type for the push",
			"create it: bench --site {site} migrate",
			site=site,
		)
	if row.stopped:
		return found(
			severity,
			"the job is stopped on {site}",
			"open Scheduled Job Type {job} in the Desk of {site}, and clear Stopped",
			site=site,
			job=sanitize(row.name, 80),
		)
	if row.age_seconds is not None and row.age_seconds < 0:
		return found(
			severity,
			coded("execution_in_future", site=site, time=duration(-row.age_seconds), at=row.last_execution),
			"correct it: bench --site {site} migrate, or save System Settings once in its Desk",
			site=site,
		)
	if _is_unrecorded(node, row):
		return found(
			severity,
			coded("run_unrecorded", site=site, age=duration(row.age_seconds or 0.0)),
			"restart the bench's processes: {how}. If it happens again, see logs/prego_metrics.log and the workers' logs",
			how=how_to_restart(node.bench),
		)
	return found(PASS, "the job is due at every run of the scheduler")


def _is_unrecorded(node: Examination, row: JobRow) -> bool:
	"""Tell whether Frappe ran the job of late, and nothing of this app ran in it.

	Such a job is none of Frappe's failures: it swallows the import error, and moves the last execution on.
	"""
	if row.age_seconds is None or row.age_seconds > _OF_LATE_SECONDS:
		return False
	executed_at = time.time() - row.age_seconds
	if executed_at < (scheduler_started_at(node.bench) or 0.0):
		return False  # the processes were restarted meanwhile
	if node.frappe is None or node.frappe.started_job() is not None or node.unwritable:
		return False
	# Read after the job was seen to be over: the run may have ended while the doctor looked at other things.
	recorded_at = max((tick.at for tick in node.folder.ticks() if tick.trigger == "frappe"), default=0.0)
	return executed_at - recorded_at > _RECORD_SECONDS
