"""The doctor's checks of Frappe's Redis, its workers, and of a run of the job that never ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import frappe

from prego_metrics.agent.base.messages import first_line, message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.desk.adapters.jobs import (
	COLLECTING_QUEUE,
	PUSH_JOB,
	QUEUE,
	Workers,
	age_seconds,
	workers_of,
)
from prego_metrics.desk.adapters.site_thread import NoAnswer, ask_site
from prego_metrics.desk.doctor.chosen_site import ChosenSite, severity
from prego_metrics.doctor.check import PASS, SKIP, WARN, Check, Examination

# Frappe ends a job of this queue after 300 s: one that runs for longer has lost its worker.
STUCK_SECONDS = 330.0
MANY_JOBS = 100
_REDIS_SECONDS = 2.0


def _connection(seen: Examination, key: str) -> Any:
	import redis

	url = seen.common.get(key)
	if not isinstance(url, str):
		raise NoAnswer(message("{key} is not set in the common configuration", key=key))
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
			pass  # it answers, with a refusal
		except (redis.exceptions.RedisError, ValueError, NoAnswer) as error:
			yield Check(
				"redis",
				severity(seen),
				message(
					"{key} at {address} does not answer: {reason}",
					key=key,
					address=_address(seen, key),
					reason=first_line(message_of(error), 160),
				),
				message(
					"start it (`bench start`, or supervisorctl status): without Redis Frappe's scheduler runs nothing"
				),
			)
			return
	yield Check("redis", PASS, message("the queue's and the cache's Redis answer"))


def _address(seen: Examination, key: str) -> str:
	parts = urlsplit(str(seen.common.get(key, "")))
	return sanitize(parts.netloc.rpartition("@")[2], 100)


def check_workers(seen: Examination, chosen: ChosenSite) -> Iterator[Check]:
	def both_queues() -> tuple[Workers, Workers]:
		connection = _connection(seen, "redis_queue")
		return workers_of(QUEUE, connection), workers_of(COLLECTING_QUEUE, connection)

	site = chosen.name(seen)
	if site is None:
		yield chosen.none("workers")
		return
	try:
		(known, living, waiting), collecting = ask_site(seen.bench, site, both_queues)
	except NoAnswer as reason:
		yield Check(
			"workers", SKIP, message("the workers cannot be seen: {reason}", reason=message_of(reason))
		)
		return
	if not living:
		yield Check(
			"workers",
			severity(seen),
			message(
				"no worker takes jobs of the queue {queue}: jobs waiting {waiting}, workers registered and gone {known}",
				queue=QUEUE,
				waiting=waiting,
				known=known,
			),
			message("start them: `bench start`, or supervisorctl status to see why they ended"),
		)
	elif waiting > MANY_JOBS:
		yield Check(
			"workers",
			WARN,
			message(
				"many jobs wait in the queue {queue}: workers {living}, jobs waiting {waiting}",
				waiting=waiting,
				queue=QUEUE,
				living=living,
			),
			message(
				"see what they do (`bench doctor`), or start more: pushes of Frappe's scheduler wait behind"
			),
		)
	elif not collecting.living and seen.config.site and seen.config.collect_tenants:
		yield Check(
			"workers",
			WARN,
			message(
				"no worker takes jobs of the queue {queue}, so nobody collects what the tenants take: jobs waiting "
				"{waiting}",
				queue=COLLECTING_QUEUE,
				waiting=collecting.waiting,
			),
			message(
				"start one: `bench worker --queue {queue}`. If these figures are not wanted: `prego-metrics configure "
				"--collect-tenants false`",
				queue=COLLECTING_QUEUE,
			),
		)
	else:
		yield Check(
			"workers",
			PASS,
			message(
				"the queue {queue}: workers {living}, jobs waiting {waiting}",
				living=living,
				queue=QUEUE,
				waiting=waiting,
			),
		)


def check_stuck_job(seen: Examination, chosen: ChosenSite) -> Iterator[Check]:
	site = chosen.name(seen)
	if site is None:
		yield chosen.none("stuck_job")
		return

	def started_job() -> tuple[str, float | None] | None:
		from frappe.utils.background_jobs import create_job_id
		from rq.exceptions import NoSuchJobError
		from rq.job import Job

		frappe.connect()
		row = frappe.db.get_value("Scheduled Job Type", {"method": PUSH_JOB})
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
		started = ask_site(seen.bench, site, started_job)
	except NoAnswer as reason:
		yield Check("stuck_job", SKIP, message("the job cannot be seen: {reason}", reason=message_of(reason)))
		return
	job_id, seconds = started or ("", 0.0)
	if seconds is None or seconds > STUCK_SECONDS:
		yield Check(
			"stuck_job",
			severity(seen),
			message(
				"the job is marked as started since {seconds} s, and no new one is queued while it is",
				seconds="?" if seconds is None else f"{seconds:.0f}",
			),
			message(
				"its worker was killed. Remove the mark: redis-cli -u redis://{address} DEL 'rq:job:{job}'",
				address=_address(seen, "redis_queue"),
				job=sanitize(job_id, 160),
			),
		)
		return
	yield Check("stuck_job", PASS, message("no run of the job is stuck"))
