"""Frappe as its Redis and its site's database show it: what it needs to push, asked in the bench's own Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from urllib.parse import urlsplit

from prego_metrics.agent.base.messages import first_line, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding
from prego_metrics.doctor.frappe_facts import Frappe, SiteFacts
from prego_metrics.doctor.triggers import alive_triggers, severity_without_frappe

# Frappe ends a job of this queue after 300 s: one that runs for longer has lost its worker.
STUCK_SECONDS = 330.0
MANY_JOBS = 100
REDIS_KEYS = ("redis_queue", "redis_cache")


def _asks_frappe(check: Callable[[Examination, Frappe], Finding]) -> Callable[[Examination], Finding]:
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


def _asks_site(check: Callable[[Examination, str, Frappe], Finding]) -> Callable[[Examination], Finding]:
	"""Skip a check where there is no site to ask."""

	@_asks_frappe
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

	@_asks_site
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


@_asks_frappe
def redis(node: Examination, frappe: Frappe) -> Finding:
	"""Frappe's two Redis answer."""
	for key in REDIS_KEYS:
		reason = frappe.redis_error(key)
		if reason:
			return Finding(
				severity_without_frappe(node),
				message(
					"{key} at {address} does not answer: {reason}",
					key=key,
					address=_address(node, key),
					reason=first_line(reason, 160),
				),
				message(
					"start it (`bench start`, or supervisorctl status): without Redis Frappe's scheduler runs nothing"
				),
			)
	return Finding(PASS, message("the queue's and the cache's Redis answer"))


def _address(node: Examination, key: str) -> str:
	parts = urlsplit(str(node.common.get(key, "")))
	return sanitize(parts.netloc.rpartition("@")[2], 100)


@_asks_site
def workers(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""Workers take the jobs of the queues for pushes and for usage scans."""
	queues = frappe.queues()
	if isinstance(queues, str):
		return Finding(SKIP, message("the workers cannot be seen: {reason}", reason=queues))
	pushes, scans = queues
	if not pushes.living:
		return Finding(
			severity_without_frappe(node),
			message(
				"no worker takes jobs of the queue {queue}: jobs waiting {waiting}, workers registered and gone {known}",
				queue=pushes.name,
				waiting=pushes.waiting,
				known=pushes.known,
			),
			message("start them: `bench start`, or supervisorctl status to see why they ended"),
		)
	if pushes.waiting > MANY_JOBS:
		return Finding(
			WARN,
			message(
				"many jobs wait in the queue {queue}: workers {living}, jobs waiting {waiting}",
				waiting=pushes.waiting,
				queue=pushes.name,
				living=pushes.living,
			),
			message(
				"see what they do (`bench doctor`), or start more: pushes of Frappe's scheduler wait behind"
			),
		)
	if not scans.living and node.config.site and node.config.scan_tenants:
		return Finding(
			WARN,
			message(
				"no worker takes jobs of the queue {queue}, so the tenants' usage is not scanned: jobs waiting "
				"{waiting}",
				queue=scans.name,
				waiting=scans.waiting,
			),
			message(
				"start one: `bench worker --queue {queue}`. To do without the scan: `prego-metrics configure "
				"--scan-tenants false`",
				queue=scans.name,
			),
		)
	return Finding(
		PASS,
		message(
			"the queue {queue}: workers {living}, jobs waiting {waiting}",
			living=pushes.living,
			queue=pushes.name,
			waiting=pushes.waiting,
		),
	)


@_asks_site
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


@_asks_site
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
	if not facts.dormant:
		return Finding(PASS, message("{site} is awake", site=site))
	return Finding(
		severity_without_frappe(node),
		message(
			"nobody has logged in to {site} of late, or ever: this Frappe runs its jobs once in 24 hours only",
			site=site,
		),
		message(
			"log in to {site}, which helps for days (within an hour), and give the node a second trigger: a timer or cron that runs `prego-metrics push --if-due`",
			site=site,
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
	if row.in_future:
		return Finding(
			severity_without_frappe(node),
			message(
				"the job's last execution lies in the future, so it is not due: {time}",
				time=row.last_execution,
			),
			message(
				"bench --site {site} migrate, which sets it right (the site's time zone was changed)",
				site=site,
			),
		)
	return Finding(PASS, message("the job is there, and due at every tick"))


@_asks_site
def stuck_job(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""No run of the push blocks the next one."""
	started = frappe.started_job()
	if isinstance(started, str):
		return Finding(SKIP, message("the job cannot be seen: {reason}", reason=started))
	if started and (started.age_seconds is None or started.age_seconds > STUCK_SECONDS):
		return Finding(
			severity_without_frappe(node),
			message(
				"the job is marked as started since {seconds} s, and no new one is queued while it is",
				seconds="?" if started.age_seconds is None else f"{started.age_seconds:.0f}",
			),
			message(
				"its worker was killed. Remove the mark: redis-cli -u redis://{address} DEL 'rq:job:{job}'",
				address=_address(node, "redis_queue"),
				job=sanitize(started.job_id, 160),
			),
		)
	return Finding(PASS, message("no run of the job is stuck"))
