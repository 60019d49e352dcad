"""This app's background jobs in Frappe: their dotted paths, RQ's queues and workers."""

from __future__ import annotations

import datetime
import os
import socket
from typing import Any, NamedTuple

# What the rows of Scheduled Job Type have as `method`.
PUSH_JOB = "prego_metrics.prego_push.push_if_due"
SCAN_JOB = "prego_metrics.desk.scan_job.scan_if_due"

QUEUE = "default"
SCAN_QUEUE = "long"


class Workers(NamedTuple):
	"""Of a queue: the workers registered in Redis, those of them that are alive, and the jobs that wait."""

	known: int
	living: int
	waiting: int


def workers_of(queue_name: str, connection: Any) -> Workers:
	"""Return the workers of one of Frappe's queues. Raises redis.exceptions.RedisError."""
	from frappe.utils.background_jobs import generate_qname
	from rq import Queue, Worker

	queue = Queue(generate_qname(queue_name), connection=connection)
	known = [worker for worker in Worker.all(connection=connection) if queue.name in worker.queue_names()]
	return Workers(len(known), sum(map(_is_alive, known)), queue.count)


def _is_alive(worker: Any) -> bool:
	"""Tell whether a registered worker is running; a killed one stays registered for minutes."""
	if worker.hostname != socket.gethostname() or not worker.pid:
		return True  # on another machine or in another container: its entry in Redis expires by itself
	return os.path.exists(f"/proc/{worker.pid}")


def age_seconds(started_at: datetime.datetime | None) -> float | None:
	"""Return the seconds since a time of RQ's, which is in UTC; older versions leave the zone away."""
	if started_at is None:
		return None
	if started_at.tzinfo is None:
		started_at = started_at.replace(tzinfo=datetime.timezone.utc)
	return (datetime.datetime.now(datetime.timezone.utc) - started_at).total_seconds()
