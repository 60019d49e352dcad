"""Frappe as the database and the cache of its site show it: what it needs to push, asked in the bench's own Python."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import coded, message
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
			return Finding(
				SKIP,
				message("not looked at: it takes the bench's own Python, as in `bench prego-metrics doctor`"),
			)
		return check(node, node.frappe)

	return asking


def asks_site(check: Callable[[Examination, str, Frappe], Finding]) -> Callable[[Examination], Finding]:
	"""Skip a check where there is no site to ask."""

	@asks_frappe
	@functools.wraps(check)
	def asking(node: Examination, frappe: Frappe) -> Finding:
		if frappe.site is None:
			return Finding(
				SKIP, message("no site to ask: `prego-metrics configure --site SITE` names the operator's")
			)
		return check(node, frappe.site, frappe)

	return asking


def _asks_app(check: Callable[[Examination, str, SiteFacts], Finding]) -> Callable[[Examination], Finding]:
	"""Skip a check where the site's database does not answer, or has not the app."""

	@asks_site
	@functools.wraps(check)
	def asking(node: Examination, site: str, frappe: Frappe) -> Finding:
		facts = node.once(_site_facts)
		if not isinstance(facts, SiteFacts):
			return Finding(SKIP, message("the database of {site} cannot be asked", site=sanitize(site)))
		if not facts.has_app:
			return Finding(SKIP, message("the app is not installed on {site}", site=sanitize(site)))
		return check(node, sanitize(site), facts)

	return asking


def _site_facts(node: Examination) -> SiteFacts | str | None:
	return node.frappe.site_facts() if node.frappe else None


@asks_site
def database(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""The site's database answers."""
	facts = node.once(_site_facts)
	if isinstance(facts, SiteFacts):
		return Finding(PASS, message("the database of {site} answers", site=sanitize(site)))
	return Finding(
		severity_without_frappe(node),
		message("the database of {site} cannot be asked: {reason}", site=sanitize(site), reason=facts),
		message(
			"start MariaDB, or see why it refuses: Frappe's scheduler does nothing on this site without it. A timer or cron goes on pushing"
		),
	)


@asks_site
def app_on_site(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""The app is installed on the site."""
	facts = node.once(_site_facts)
	if not isinstance(facts, SiteFacts):
		return Finding(SKIP, message("the database of {site} cannot be asked", site=sanitize(site)))
	if facts.has_app:
		return Finding(PASS, message("the app is installed on {site}", site=sanitize(site)))
	return Finding(
		WARN if alive_triggers(node) else FAIL,
		message(
			"the app is not installed on {site}, so Frappe's scheduler there pushes nothing",
			site=sanitize(site),
		),
		message(
			"install it (`bench --site {site} install-app prego_metrics`), or name another site: `prego-metrics configure --site SITE`",
			site=sanitize(site),
		),
	)


@_asks_app
def scheduler(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""The scheduler is enabled on the site."""
	if facts.scheduler_enabled:
		return Finding(PASS, message("the scheduler of {site} is enabled", site=site))
	return Finding(
		severity_without_frappe(node),
		message("the scheduler of {site} is disabled in its System Settings", site=site),
		message("bench --site {site} enable-scheduler", site=site),
	)


@_asks_app
def dormant(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""Frappe does not skip the site's jobs for want of logins."""
	clear = message("bench --site {site} clear-cache", site=site)
	if not facts.dormant:
		if facts.skipped_seconds is None:
			return Finding(PASS, message("{site} is awake", site=site))
		kept = coded("verdict_kept", site=site, time=duration(facts.skipped_seconds))
		return Finding(severity_without_frappe(node), kept, clear)
	return Finding(
		severity_without_frappe(node),
		message(
			"nobody has logged in to {site} of late, or ever: this Frappe runs its jobs once in 24 hours only",
			site=site,
		),
		message(
			"log in to {site}, then {clear}, which helps for days; and give the node a second trigger: a timer or cron "
			"that runs `prego-metrics push --if-due`",
			site=site,
			clear=clear,
		),
	)


@_asks_app
def job(node: Examination, site: str, facts: SiteFacts) -> Finding:
	"""The scheduler knows of the push, and it can be due."""
	row = facts.job
	if row is None:
		return Finding(
			severity_without_frappe(node),
			message("the row of the job is missing on {site}: the scheduler does not know of it", site=site),
			message("bench --site {site} migrate", site=site),
		)
	if row.stopped:
		return Finding(
			severity_without_frappe(node),
			message("the job is stopped on {site}", site=site),
			message(
				"open Scheduled Job Type {job} in the Desk of {site}, and clear Stopped",
				job=sanitize(row.name, 80),
				site=site,
			),
		)
	if row.age_seconds is not None and row.age_seconds < 0:
		return Finding(
			severity_without_frappe(node),
			coded("execution_in_future", site=site, time=duration(-row.age_seconds), at=row.last_execution),
			message(
				"save System Settings in the Desk of {site} once, or: bench --site {site} migrate. Both correct the row",
				site=site,
			),
		)
	if _is_unrecorded(node, row):
		return Finding(
			severity_without_frappe(node),
			coded("run_unrecorded", site=site, age=duration(row.age_seconds or 0.0)),
			message(
				"restart the bench's processes: {how}. If it stays so, see logs/prego_metrics.log and the workers' logs",
				how=how_to_restart(node.bench),
			),
		)
	return Finding(PASS, message("the job is there, and due at every tick"))


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
