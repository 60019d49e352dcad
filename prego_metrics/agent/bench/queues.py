"""The queues of a bench's background jobs, as RQ keeps them in Redis.

Read without Frappe and RQ, and only with redis-py, which every bench has and another Python may lack.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.time_limits import in_time
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.light_typing import Any, NamedTuple

REDIS_SECONDS = 2.0
# For all questions together, since each of them may take REDIS_SECONDS.
TOGETHER_SECONDS = 2.5
_QUEUES = "rq:queues"


class RqQueue(NamedTuple):
	"""A queue: its jobs that wait and that failed, and its workers: those registered, and those of them that are alive.

	oldest_at is when the first of the waiting jobs was queued, in Unix seconds; None without one.
	"""

	name: str
	waiting: int
	oldest_at: float | None
	failed: int
	known: int
	living: int


def redis_connection(common: Mapping[str, object], key: str) -> Any:
	"""Return a connection to the Redis that `key` of the common configuration names; it does not retry.

	Raises ImportError where redis-py is not installed; ValueError for a URL that is missing, or is none.
	"""
	url = common.get(key)
	if not isinstance(url, str):
		raise ValueError(key)
	# It takes as long to import as all else that the exporter needs.
	import redis
	from redis.backoff import NoBackoff
	from redis.retry import Retry

	options: dict[str, object] = {"socket_timeout": REDIS_SECONDS, "retry": Retry(NoBackoff(), 0)}
	if not url.startswith("unix:"):  # redis-py 4 knows no limit for connecting to a socket in the file system
		options["socket_connect_timeout"] = REDIS_SECONDS
	if key == "redis_queue" and common.get("use_rq_auth"):
		options |= {"username": common.get("rq_username"), "password": common.get("rq_password")}
	return redis.from_url(url, **options)


def read_queues(
	bench: Bench, common: Mapping[str, object], seconds: float = TOGETHER_SECONDS
) -> list[RqQueue]:
	"""Return the queues that have ever had a job, each of another name: without this bench's prefix where that is free.

	All questions together have `seconds`. Raises TooLate, ImportError without redis-py, ValueError without a usable
	`redis_queue`, and OSError if Redis does not answer.
	"""
	connection = redis_connection(common, "redis_queue")
	import redis

	def ask() -> list[RqQueue]:
		names = sorted(_text(name).removeprefix("rq:queue:") for name in connection.smembers(_QUEUES))
		return [read_queue(name, connection) for name in names]

	try:
		queues = in_time(ask, seconds, coded("database_late", seconds=f"{seconds:.3g}"))
	except redis.exceptions.RedisError as error:
		raise OSError(type(error).__name__) from None
	finally:
		connection.connection_pool.disconnect()
	prefix = f"{common.get('bench_id') or os.path.realpath(bench.root).strip('/').replace('/', '-')}:"
	# Older Frappe's queues have no prefix and stay in Redis; two of one name are one series twice.
	taken = {queue.name for queue in queues}
	return [
		queue._replace(name=name) if (name := queue.name.removeprefix(prefix)) not in taken else queue
		for queue in queues
	]


def read_queue(name: str, connection: Any) -> RqQueue:
	"""Return the queue that RQ knows by `name`. Raises redis.exceptions.RedisError."""
	asked = connection.pipeline(transaction=False)
	asked.llen(f"rq:queue:{name}")
	asked.lindex(f"rq:queue:{name}", 0)
	asked.zcard(f"rq:failed:{name}")
	asked.smembers(f"rq:workers:{name}")
	waiting, oldest, failed, workers = asked.execute()
	queued_at = connection.hget(f"rq:job:{_text(oldest)}", "enqueued_at") if oldest else None
	rows = [connection.hmget(worker, "queues", "hostname", "pid") for worker in workers]
	# The entry of a worker that was killed expires, and its name stays in the set.
	known = [(host, pid) for queues, host, pid in rows if queues is not None]
	living = sum(_is_alive(_text(host), _text(pid)) for host, pid in known)
	return RqQueue(name, waiting, _unix_seconds(_text(queued_at)), failed, len(known), living)


def _is_alive(hostname: str, pid: str) -> bool:
	"""Tell whether a registered worker is running; a killed one stays registered for minutes."""
	if hostname != socket.gethostname() or not pid.isdigit():
		return True  # on another machine or in another container: its entry in Redis expires by itself
	try:
		# /proc may hide what belongs to another user.
		os.kill(int(pid), 0)
	except PermissionError:
		return True
	except (OSError, OverflowError):
		return False
	return True


def _unix_seconds(time: str) -> float | None:
	"""Return a time that RQ wrote, which is in UTC; None for anything else."""
	import datetime

	try:
		written = datetime.datetime.fromisoformat(time.removesuffix("Z"))
	except ValueError:
		return None
	if written.tzinfo is None:
		written = written.replace(tzinfo=datetime.timezone.utc)
	return written.timestamp()


def _text(value: object) -> str:
	return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
