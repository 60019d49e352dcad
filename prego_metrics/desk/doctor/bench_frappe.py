"""What this bench's Frappe says of itself, for the doctor: its Redis, its workers, and the database of one site."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import frappe

from prego_metrics.agent.base.messages import message, message_of
from prego_metrics.agent.bench.queues import redis_connection
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.adapters.dormancy import is_dormant, skipped_seconds
from prego_metrics.desk.adapters.jobs import (
	PUSH_JOB,
	QUEUE,
	SCAN_QUEUE,
	age_seconds,
	worker_processes,
	workers_of,
)
from prego_metrics.desk.adapters.site_thread import NoAnswer, ask_site
from prego_metrics.doctor.check import Examination
from prego_metrics.doctor.frappe_facts import JobRow, Queue, SiteFacts, StartedJob

# Without an operator site, this many sites are asked whether they have the app, each for this long.
_MAX_SITES = 20
_SECONDS_EACH = 1.0

Answer = TypeVar("Answer")


class BenchFrappe:
	"""The Frappe of the node's bench; doctor.frappe_facts says what each answer means."""

	def __init__(self, node: Examination) -> None:
		self._node = node

	@cached_property
	def site(self) -> str | None:
		sites = self._node.bench.sites
		if self._node.config.site:
			exists = os.path.isfile(os.path.join(sites, self._node.config.site, "site_config.json"))
			return self._node.config.site if exists else None
		from frappe.utils import get_sites

		for site in get_sites(sites)[:_MAX_SITES]:
			try:
				if ask_site(self._node.bench, site, _has_app, _SECONDS_EACH):
					return str(site)
			except NoAnswer:
				continue  # a site whose database does not answer says nothing
		return None

	def redis_error(self, key: str) -> str | None:
		import redis

		try:
			self._connection(key).ping()
		except redis.exceptions.ResponseError:
			return None  # it answers, with a refusal
		except (redis.exceptions.RedisError, ValueError, NoAnswer) as error:
			return message_of(error)
		return None

	def queues(self) -> tuple[Queue, Queue] | str:
		def ask() -> tuple[Queue, Queue]:
			connection, bench = self._connection("redis_queue"), self._node.bench
			pushes, scans = (
				Queue(name, *workers_of(name, connection), worker_processes(name, bench))
				for name in (QUEUE, SCAN_QUEUE)
			)
			return pushes, scans

		return self._asked(ask)

	def site_facts(self) -> SiteFacts | str:
		return self._asked(_site_facts)

	def started_job(self) -> StartedJob | str | None:
		def ask() -> StartedJob | None:
			from frappe.utils.background_jobs import create_job_id
			from rq.exceptions import NoSuchJobError
			from rq.job import Job

			frappe.connect()
			row = frappe.db.get_value("Scheduled Job Type", {"method": PUSH_JOB})
			if row is None:
				return None
			job_id = create_job_id(frappe.get_doc("Scheduled Job Type", row).rq_job_id)
			try:
				job = Job.fetch(job_id, connection=self._connection("redis_queue"))
			except NoSuchJobError:
				return None
			if str(getattr(job.get_status(), "value", job.get_status())) != "started":
				return None
			return StartedJob(job_id, age_seconds(job.started_at), age_seconds(job.last_heartbeat))

		return self._asked(ask)

	def _asked(self, ask: Callable[[], Answer]) -> Answer | str:
		assert self.site is not None
		try:
			return ask_site(self._node.bench, self.site, ask)
		except NoAnswer as reason:
			return message_of(reason)

	def _connection(self, key: str) -> Any:
		common = self._node.common
		if not isinstance(common.get(key), str):
			raise NoAnswer(message("{key} is not set in the common configuration", key=key))
		return redis_connection(common, key)


def _has_app() -> bool:
	frappe.connect()
	return APP in (frappe.get_installed_apps() or [])


def _site_facts() -> SiteFacts:
	from frappe.utils import cint

	has_app = _has_app()
	enabled = frappe.db.get_single_value("System Settings", "enable_scheduler", cache=False)
	return SiteFacts(has_app, bool(cint(enabled)), is_dormant(), skipped_seconds(), _job_row())


def _job_row() -> JobRow | None:
	from frappe.utils import get_datetime, now_datetime

	rows = frappe.get_all(
		"Scheduled Job Type", filters={"method": PUSH_JOB}, fields=["name", "stopped", "last_execution"]
	)
	if not rows:
		return None
	name, stopped, last = rows[0].name, bool(rows[0].stopped), rows[0].last_execution
	age = (now_datetime() - get_datetime(last)).total_seconds() if last else None
	return JobRow(name, stopped, str(last)[:19], age)
