"""Frappe's Redis, its workers and the push's run in the queue, asked in the bench's own Python."""

from __future__ import annotations

from urllib.parse import urlsplit

from prego_metrics.agent.base.messages import coded, first_line, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.processes import how_to_restart
from prego_metrics.agent.state.schedule import deadline_seconds
from prego_metrics.doctor.check import PASS, SKIP, WARN, Examination, Finding, severity_without_frappe
from prego_metrics.doctor.frappe_facts import Frappe, StartedJob
from prego_metrics.doctor.running_frappe import asks_frappe, asks_site

MANY_JOBS = 100
REDIS_KEYS = ("redis_queue", "redis_cache")
# Frappe ends a job of this queue after 300 s: one that runs for longer has lost its worker.
STUCK_SECONDS = 330.0
# A worker renews its job's sign of life every 30 s; and what a run does after its push takes seconds.
_SILENT_SECONDS = 45.0
_AFTER_PUSH_SECONDS = 30.0


@asks_frappe
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


@asks_site
def workers(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""Workers take the jobs of the queues for pushes and for usage scans."""
	queues = frappe.queues()
	if isinstance(queues, str):
		return Finding(SKIP, message("the workers cannot be seen: {reason}", reason=queues))
	pushes, scans = queues
	wants_scans = bool(node.config.site and node.config.scan_tenants)
	for queue in queues if wants_scans else (pushes,):
		if queue.processes and not queue.known:
			return Finding(
				WARN,
				coded("worker_unregistered", queue=queue.name, processes=queue.processes),
				message(
					"restart the bench's processes, which registers the workers: {how}",
					how=how_to_restart(node.bench),
				),
			)
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
	if not scans.living and wants_scans:
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


@asks_site
def stuck_job(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""No run of the push blocks the next one."""
	started = frappe.started_job()
	if isinstance(started, str):
		return Finding(SKIP, message("the job cannot be seen: {reason}", reason=started))
	if started and _is_abandoned(node, started):
		return Finding(
			severity_without_frappe(node),
			coded(
				"job_abandoned", seconds="?" if started.age_seconds is None else f"{started.age_seconds:.0f}"
			),
			message(
				"remove the mark: redis-cli -u redis://{address} DEL 'rq:job:{job}'",
				address=_address(node, "redis_queue"),
				job=sanitize(started.job_id, 160),
			),
		)
	return Finding(PASS, message("no run of the job is stuck"))


def _is_abandoned(node: Examination, started: StartedJob) -> bool:
	"""Tell whether a run is over that Redis still has as started."""
	age, silent = started.age_seconds, started.silent_seconds
	if age is None or age > STUCK_SECONDS:
		return True
	longest = deadline_seconds(node.pushed.push_interval) + _AFTER_PUSH_SECONDS
	return age > longest and silent is not None and silent > _SILENT_SECONDS
