"""Frappe's Redis, its workers and the push's run in the queue, asked in the bench's own Python."""

from __future__ import annotations

from urllib.parse import urlsplit

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import coded, first_line, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.processes import how_to_restart
from prego_metrics.agent.state.schedule import deadline_seconds
from prego_metrics.doctor.check import PASS, SKIP, WARN, Examination, Finding, found, severity_without_frappe
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
			return found(
				severity_without_frappe(node),
				"{key} at {address} does not answer: {reason}",
				"start Redis (`bench start`, or see supervisorctl or systemctl status); Frappe's scheduler needs it",
				key=key,
				address=_address(node, key),
				reason=first_line(reason, 160),
			)
	return found(PASS, "redis_queue and redis_cache answer")


def _address(node: Examination, key: str) -> str:
	parts = urlsplit(str(node.common.get(key, "")))
	return sanitize(parts.netloc.rpartition("@")[2], 100)


@asks_site
def workers(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""Workers take the jobs of the queues for pushes and for usage scans."""
	queues = frappe.queues()
	if isinstance(queues, str):
		return found(SKIP, "the workers cannot be listed: {reason}", reason=queues)
	pushes, scans = queues
	wants_scans = bool(node.config.site and node.config.scan_tenants)
	for queue in queues if wants_scans else (pushes,):
		if queue.processes and not queue.known:
			return found(
				WARN,
				coded("worker_unregistered", queue=queue.name, processes=queue.processes),
				"restart the bench's processes to register the workers: {how}",
				how=how_to_restart(node.bench),
			)
	figures = {
		"queue": pushes.name,
		"waiting": pushes.waiting,
		"living": pushes.living,
		"known": pushes.known,
	}
	if not pushes.living:
		return found(
			severity_without_frappe(node),
			"the queue {queue} has no live worker: {waiting} jobs waiting, {known} dead workers registered",
			"start the workers: `bench start`, or see supervisorctl or systemctl status",
			**figures,
		)
	if pushes.waiting > MANY_JOBS:
		return found(
			WARN,
			"the queue {queue} is congested: {waiting} jobs waiting, {living} workers",
			"see what the workers do (`bench doctor`), or add some: pushes of Frappe's scheduler wait in this queue",
			**figures,
		)
	if not scans.living and wants_scans:
		return found(
			WARN,
			"the queue {queue} has no worker, so usage scans don't run: {waiting} jobs waiting",
			"start one (`bench worker --queue {queue}`), or turn the scan off: `prego-metrics configure --scan-tenants "
			"false`",
			queue=scans.name,
			waiting=scans.waiting,
		)
	return found(PASS, "the queue {queue}: workers {living}, jobs waiting {waiting}", **figures)


@asks_site
def stuck_job(node: Examination, site: str, frappe: Frappe) -> Finding:
	"""No run of the push blocks the next one."""
	started = frappe.started_job()
	if isinstance(started, str):
		return found(SKIP, "the job cannot be looked up: {reason}", reason=started)
	if started and _is_abandoned(node, started):
		age = message("unknown") if started.age_seconds is None else duration(started.age_seconds)
		return found(
			severity_without_frappe(node),
			coded("job_abandoned", seconds=age),
			"remove the entry: redis-cli -u redis://{address} DEL 'rq:job:{job}'",
			address=_address(node, "redis_queue"),
			job=sanitize(started.job_id, 160),
		)
	return found(PASS, "no run of the job is stuck")


def _is_abandoned(node: Examination, started: StartedJob) -> bool:
	"""Tell whether a run is over that Redis still has as started."""
	age, silent = started.age_seconds, started.silent_seconds
	if age is None or age > STUCK_SECONDS:
		return True
	longest = deadline_seconds(node.pushed.push_interval) + _AFTER_PUSH_SECONDS
	return age > longest and silent is not None and silent > _SILENT_SECONDS
