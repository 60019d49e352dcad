"""The nightly scan of the tenants' usage: by Frappe, on the operator site alone, on the queue `long`.

A job reads for ten seconds and queues the next one behind whatever waits by then. So the push, whose
queue a worker serves first, is on time even where one worker does everything, and a job that was killed costs
nothing: Frappe's scheduler asks every hour whether there is something to go on with.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import frappe
import redis
from frappe.utils import add_to_date, now_datetime
from frappe.utils.background_jobs import get_job, get_redis_conn

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.bench.privileges import drop_privileges
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.push import preload
from prego_metrics.desk.adapters.bench_log import log_to_bench
from prego_metrics.desk.adapters.jobs import SCAN_QUEUE, age_seconds, worker_processes, workers_of
from prego_metrics.desk.error_boundary import guarded
from prego_metrics.desk.operator_site import operator_config
from prego_metrics.tenants.usage.scan import ScanResult, ScanRunning, scan_tenants
from prego_metrics.tenants.usage.scan_status import is_due, is_under_way, last_scan
from prego_metrics.tenants.usage.store import StoreError

# Less than the slack of the rule when a push is due: one that waits for it is no reason to let the next tick pass.
RUN_SECONDS = 10.0
# A single tenant may have more files than can be walked in Frappe's 1,500 s, and would never be passed.
TIMEOUT_SECONDS = 6 * 3600
# Two, since a job queues the next one while its own id is still taken.
JOB_IDS = ("prego_metrics_scan_tenants_0", "prego_metrics_scan_tenants_1")
ERROR_TITLE = "Prego Metrics: the tenants' usage was not scanned"
_NICENESS = 10
# RQ lets the heart of a running job beat every 30 s.
_DEAD_AFTER_SECONDS = 180.0
_LOGGED_AGAIN_HOURS = 20


class NotQueued(PregoMetricsError):
	"""The scan could not be queued."""


def scan_if_due() -> None:
	"""Queue the scan if the night's is due or was not finished: what Frappe's scheduler runs every hour.

	On any site but the operator's it does nothing. Never raises for a foreseen condition; Frappe drops what else is
	raised, so the bench's log has it.
	"""
	guarded(_queue_if_due)


def _queue_if_due() -> None:
	config = operator_config()
	if config is None or not config.scan_tenants:
		return
	try:
		status = last_scan(config.bench.sites)
	except StoreError:
		status = None  # the scan sets a damaged store aside, and reports what it cannot repair
	if is_due(status, time.time(), now_datetime().hour):
		try:
			queue_scan(config)
		except redis.exceptions.RedisError:
			pass  # without it this would not have run: it went a moment ago, and the next hour tries again


def queue_scan(config: Config) -> bool:
	"""Queue the scan; False where it is waiting or under way already. Raises redis.exceptions.RedisError."""
	if is_under_way(config.bench.sites):
		return False
	for job_id in JOB_IDS:
		job = get_job(job_id)
		if job is not None and _is_alive(job):
			return False
	_queue(0)
	return True


def request_scan(config: Config) -> dict[str, Any]:
	"""Queue the scan for somebody who waits for a page; return whether it was, and a message."""
	try:
		queued = queue_scan(config)
		is_waiting = is_worker_missing(config)
	except redis.exceptions.RedisError:
		raise NotQueued(message("Redis does not answer, so nothing was queued")) from None
	if is_waiting:
		sentence = frappe._(
			"Queued, but the queue long has no worker: the scan starts when one runs on the node."
		)
	elif queued:
		sentence = frappe._(
			"Queued: a worker of the queue long scans the tenants. Refresh to see the progress."
		)
	else:
		sentence = frappe._("A scan is already running. Refresh to see the progress.")
	return {"queued": queued, "message": sentence}


def is_worker_missing(config: Config) -> bool:
	"""Tell whether the scan waits and no worker takes it. Raises redis.exceptions.RedisError."""
	if is_under_way(config.bench.sites):
		return False
	# One that runs takes jobs also after Redis has come back empty and knows it no more.
	living = workers_of(SCAN_QUEUE, get_redis_conn()).living or worker_processes(SCAN_QUEUE, config.bench)
	return not living


def scan_a_while(turn: int = 0) -> None:
	"""Scan for a while, and queue the next job if sites remain. Never raises."""
	try:
		config = operator_config()
		if config is None:
			return
		result, problem = _scan_in_thread(config)
		if problem:
			_log_problem(problem)
		if result is not None and result.remaining:
			_queue(1 - turn)
	except redis.exceptions.RedisError:
		pass  # the scheduler asks again, and what remains is scanned then
	except Exception as error:  # noqa: BLE001 Frappe would log it with the variables of every frame
		_log_problem(_unforeseen(error))


def _scan_in_thread(config: Config) -> tuple[ScanResult | None, str | None]:
	"""Scan in a thread of its own; return the result, None if it failed, and the problem to log, None without one.

	Linux has a niceness for each thread. So whoever runs this (a fork of RQ's, a worker that does not fork, a test)
	has its own again afterwards, and no exception that is raised into it from outside, such as a job's time-out,
	passes a frame that holds a site's configuration.
	"""
	results: list[ScanResult] = []
	problems: list[str] = []

	def work() -> None:
		try:
			os.nice(_NICENESS)
			drop_privileges(config.bench, preload)
			results.append(scan_tenants(config, os.environ, max_seconds=RUN_SECONDS))
		except ScanRunning:
			pass  # `prego-metrics tenants --scan` may run beside it
		except PregoMetricsError as error:
			problems.append(str(error))
		except Exception as error:  # noqa: BLE001 its frames hold what no log may show
			problems.append(_unforeseen(error))

	thread = threading.Thread(target=work, name="prego-metrics-scan", daemon=True)
	thread.start()
	thread.join()
	result = results[0] if results else None
	if result is not None and result.set_aside:
		problems.append(result.set_aside)
	return result, problems[0] if problems else None


def _unforeseen(error: Exception) -> str:
	return f"The scan failed with {type(error).__name__}, and continues within the hour"


def _queue(turn: int) -> None:
	job = get_job(JOB_IDS[turn])
	if job is not None and not _is_alive(job):
		job.delete()  # a worker that was killed leaves it as started, which Frappe takes for running
	frappe.enqueue(
		"prego_metrics.desk.scan_job.scan_a_while",
		queue=SCAN_QUEUE,
		timeout=TIMEOUT_SECONDS,
		job_id=JOB_IDS[turn],
		deduplicate=True,
		turn=turn,
	)


def _is_alive(job: Any) -> bool:
	"""Tell whether a job waits, or runs with a heart that beats."""
	status = str(getattr(job.get_status(), "value", job.get_status()))
	if status != "started":
		return status in ("queued", "deferred", "scheduled")
	beaten = age_seconds(job.last_heartbeat)
	return beaten is not None and beaten < _DEAD_AFTER_SECONDS


def _log_problem(problem: str) -> None:
	"""Write an Error Log, the same one no more than once a day."""
	log_to_bench(f"Scan of the tenants' usage: {problem}")
	logged_today = {
		"method": ERROR_TITLE,
		"error": problem,
		"creation": (">", add_to_date(now_datetime(), hours=-_LOGGED_AGAIN_HOURS)),
	}
	if not frappe.db.exists("Error Log", logged_today):
		frappe.log_error(title=ERROR_TITLE, message=problem)
		frappe.db.commit()  # nosemgrep what the job does next must not roll it back
