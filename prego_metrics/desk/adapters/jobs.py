"""This app's background jobs in Frappe: their dotted paths, RQ's queues and workers."""

from __future__ import annotations

import datetime
import itertools
import os
from typing import Any, NamedTuple

from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.queues import read_queue

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

	queue = read_queue(generate_qname(queue_name), connection)
	return Workers(queue.known, queue.living, queue.waiting)


def worker_processes(queue_name: str, bench: Bench) -> int:
	"""Count the workers of a queue of this bench that run on this machine, whether Redis knows them or not."""
	sites = os.path.realpath(bench.sites)
	return sum(
		_works_for(queue_name, _command_line(pid, sites)) for pid in os.listdir("/proc") if pid.isdigit()
	)


def _command_line(pid: str, folder: str) -> list[str]:
	"""Return the command of a process that works in `folder`; nothing for any other, or one that cannot be seen."""
	try:
		if os.readlink(f"/proc/{pid}/cwd") == folder:
			with open(f"/proc/{pid}/cmdline", "rb") as file:
				return file.read(4096).decode("utf-8", "replace").split("\0")
	except OSError:
		pass  # another user's, or gone
	return []


def _works_for(queue_name: str, command: list[str]) -> bool:
	"""Tell whether this is `bench worker` for a queue; rq may put a title of its own in place of the command."""
	if command[:1] and command[0].startswith("rq:worker:"):
		return "Listening on" not in command[0] or f":{queue_name}" in command[0]
	if not {"worker", "worker-pool"} & set(command):
		return False
	queues = [later for option, later in itertools.pairwise(command) if option == "--queue"]
	queues += [part.partition("=")[2] for part in command if part.startswith("--queue=")]
	return not queues or queue_name in ",".join(queues).split(",")


def age_seconds(started_at: datetime.datetime | None) -> float | None:
	"""Return the seconds since a time of RQ's, which is in UTC; older versions leave the zone away."""
	if started_at is None:
		return None
	if started_at.tzinfo is None:
		started_at = started_at.replace(tzinfo=datetime.timezone.utc)
	return (datetime.datetime.now(datetime.timezone.utc) - started_at).total_seconds()
