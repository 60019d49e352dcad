"""The doctor's checks of Frappe's Redis, its workers, and a job that never ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import frappe

from prego_metrics.agent.base.messages import first_line, said, wording
from prego_metrics.agent.base.sanitize import printable
from prego_metrics.desk.adapters.site_thread import NotSeen, in_frappe
from prego_metrics.desk.doctor.chosen_site import METHOD, SECONDS, ChosenSite, severity
from prego_metrics.doctor.check import PASS, SKIP, WARN, Check, Examination

QUEUE = "default"
COLLECTING_QUEUE = "long"
# Frappe ends a job of this queue after 300 s: one that runs for longer has lost its worker.
STUCK_SECONDS = 330.0
MANY_JOBS = 100
_REDIS_SECONDS = 2.0


def _connection(seen: Examination, key: str) -> Any:
	import redis

	url = seen.common.get(key)
	if not isinstance(url, str):
		raise NotSeen(wording("{key} is not set in the common configuration", key=key))
	credentials = {}
	if key == "redis_queue" and seen.common.get("use_rq_auth"):
		credentials = {"username": seen.common.get("rq_username"), "password": seen.common.get("rq_password")}
	return redis.from_url(
		url, socket_connect_timeout=_REDIS_SECONDS, socket_timeout=_REDIS_SECONDS, **credentials
	)


def check_redis(seen: Examination) -> Iterator[Check]:
	import redis

	for key in ("redis_queue", "redis_cache"):
		try:
			_connection(seen, key).ping()
		except redis.exceptions.ResponseError:
			pass  # it answers, though not to us
		except (redis.exceptions.RedisError, ValueError, NotSeen) as error:
			yield Check(
				"redis",
				severity(seen),
				wording(
					"{key} at {address} does not answer: {reason}",
					key=key,
					address=_address(seen, key),
					reason=first_line(said(error), 160),
				),
				wording(
					"start it (`bench start`, or supervisorctl status): without Redis Frappe's scheduler runs nothing"
				),
			)
			return
	yield Check("redis", PASS, wording("the queue's and the cache's Redis answer"))


def _address(seen: Examination, key: str) -> str:
	parts = urlsplit(str(seen.common.get(key, "")))
	return printable(parts.netloc.rpartition("@")[2], 100)


class Workers(NamedTuple):
	"""The workers of a queue: registered in Redis, of these alive; and the jobs that wait for them."""

	known: int
	living: int
	waiting: int


def workers_of(queue_name: str, connection: Any) -> Workers:
	"""Return who takes the jobs of one of Frappe's queues. Raises redis.exceptions.RedisError."""
	from frappe.utils.background_jobs import generate_qname
	from rq import Queue, Worker

	queue = Queue(generate_qname(queue_name), connection=connection)
	known = [worker for worker in Worker.all(connection=connection) if queue.name in worker.queue_names()]
	return Workers(len(known), sum(_lives(worker) for worker in known), queue.count)


def check_workers(seen: Examination, chosen: ChosenSite) -> Iterator[Check]:
	def look() -> tuple[Workers, Workers]:
		connection = _connection(seen, "redis_queue")
		return workers_of(QUEUE, connection), workers_of(COLLECTING_QUEUE, connection)

	site = chosen.name(seen)
	if site is None:
		yield chosen.none("workers")
		return
	try:
		(known, living, waiting), collecting = in_frappe(seen.bench, site, look, SECONDS)
	except NotSeen as reason:
		yield Check("workers", SKIP, wording("the workers cannot be seen: {reason}", reason=said(reason)))
		return
	if not living:
		yield Check(
			"workers",
			severity(seen),
			wording(
				"no worker takes jobs of the queue {queue}: jobs waiting {waiting}, workers registered and gone {known}",
				queue=QUEUE,
				waiting=waiting,
				known=known,
			),
			wording("start them: `bench start`, or supervisorctl status to see why they ended"),
		)
	elif waiting > MANY_JOBS:
		yield Check(
			"workers",
			WARN,
			wording(
				"many jobs wait in the queue {queue}: workers {living}, jobs waiting {waiting}",
				waiting=waiting,
				queue=QUEUE,
				living=living,
			),
			wording(
				"see what they do (`bench doctor`), or start more: pushes of Frappe's scheduler wait behind"
			),
		)
	elif not collecting.living and seen.config.site and seen.config.collect_tenants:
		yield Check(
			"workers",
			WARN,
			wording(
				"no worker takes jobs of the queue {queue}, so nobody collects what the tenants take: jobs waiting "
				"{waiting}",
				queue=COLLECTING_QUEUE,
				waiting=collecting.waiting,
			),
			wording(
				"start one: `bench worker --queue {queue}`. If these figures are not wanted: `prego-metrics configure "
				"--collect-tenants false`",
				queue=COLLECTING_QUEUE,
			),
		)
	else:
		yield Check(
			"workers",
			PASS,
			wording(
				"the queue {queue}: workers {living}, jobs waiting {waiting}",
				living=living,
				queue=QUEUE,
				waiting=waiting,
			),
		)


def _lives(worker: Any) -> bool:
	"""Tell whether a registered worker is there; one that was killed stays registered for minutes."""
	if worker.hostname != socket.gethostname() or not worker.pid:
		return True  # of another machine or container: its entry in Redis expires by itself
	return os.path.exists(f"/proc/{worker.pid}")


def check_stuck_job(seen: Examination, chosen: ChosenSite) -> Iterator[Check]:
	site = chosen.name(seen)
	if site is None:
		yield chosen.none("stuck_job")
		return

	def look() -> tuple[str, float | None] | None:
		from frappe.utils.background_jobs import create_job_id
		from rq.exceptions import NoSuchJobError
		from rq.job import Job

		frappe.connect()
		row = frappe.db.get_value("Scheduled Job Type", {"method": METHOD})
		if row is None:
			return None
		job_id = frappe.get_doc("Scheduled Job Type", row).rq_job_id
		connection = _connection(seen, "redis_queue")
		full_id = create_job_id(job_id)
		try:
			job = Job.fetch(full_id, connection=connection)
		except NoSuchJobError:
			return None
		if str(getattr(job.get_status(), "value", job.get_status())) != "started":
			return None
		return full_id, age_seconds(job.started_at)

	try:
		found = in_frappe(seen.bench, site, look, SECONDS)
	except NotSeen as reason:
		yield Check("stuck_job", SKIP, wording("the job cannot be seen: {reason}", reason=said(reason)))
		return
	if found and (found[1] is None or found[1] > STUCK_SECONDS):
		yield Check(
			"stuck_job",
			severity(seen),
			wording(
				"the job is marked as started since {seconds} s, and no new one is queued while it is",
				seconds="?" if found[1] is None else f"{found[1]:.0f}",
			),
			wording(
				"its worker was killed. Remove the mark: redis-cli -u redis://{address} DEL 'rq:job:{job}'",
				address=_address(seen, "redis_queue"),
				job=printable(found[0], 160),
			),
		)
		return
	yield Check("stuck_job", PASS, wording("no run of the job is stuck"))


def age_seconds(started_at: Any) -> float | None:
	"""Return the seconds since a time of RQ's."""
	import datetime

	if started_at is None:
		return None
	# RQ's times are in UTC; older versions leave the zone away.
	if started_at.tzinfo is None:
		started_at = started_at.replace(tzinfo=datetime.timezone.utc)
	return float((datetime.datetime.now(datetime.timezone.utc) - started_at).total_seconds())
