"""The queues of a bench as RQ keeps them, read from a real Redis."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from push_processes import wait_until

from prego_metrics.agent.base.errors import TooLate
from prego_metrics.agent.bench.locate import Bench, open_bench
from prego_metrics.agent.bench.queues import read_queues
from prego_metrics.exporters.queues import queue_metrics

redis = pytest.importorskip("redis", reason="redis-py is not installed")
# No process of this machine has it.
NO_PID = 4_194_304 + 1


@pytest.fixture
def bench(bench_folder: Path) -> Bench:
	return open_bench(str(bench_folder))


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
	if shutil.which("redis-server") is None:
		pytest.skip("redis-server is not installed")
	place = tmp_path / "redis.sock"
	server = subprocess.Popen(
		["redis-server", "--port", "0", "--unixsocket", str(place), "--save", ""], stdout=subprocess.DEVNULL
	)
	try:
		wait_until(place.exists)
		yield f"unix://{place}"
	finally:
		server.terminate()
		server.wait(10)


def worker(connection: Any, name: str, queue: Any, **fields: object) -> None:
	"""Register a worker as RQ does."""
	connection.hset(f"rq:worker:{name}", mapping={"queues": queue.name, **fields})
	connection.sadd(f"rq:workers:{queue.name}", f"rq:worker:{name}")


def test_a_queue_of_before_the_prefix_is_another_series(bench: Bench, redis_url: str) -> None:
	"""Prometheus drops what has the same name and labels twice; node_exporter refuses the file."""
	connection = redis.from_url(redis_url)
	prefixed = os.path.realpath(bench.root).strip("/").replace("/", "-") + ":default"
	connection.sadd("rq:queues", "rq:queue:default", f"rq:queue:{prefixed}")
	connection.rpush(f"rq:queue:{prefixed}", "job")
	read = read_queues(bench, {"redis_queue": redis_url})
	assert {queue.name: queue.waiting for queue in read} == {"default": 0, prefixed: 1}


def test_the_queues_are_as_rq_wrote_them(bench: Bench, redis_url: str) -> None:
	rq = pytest.importorskip("rq", reason="rq is not installed")
	connection = redis.from_url(redis_url)
	prefix = os.path.realpath(bench.root).strip("/").replace("/", "-")
	default = rq.Queue(f"{prefix}:default", connection=connection)
	began = time.time()
	first = default.enqueue(time.sleep, 0)
	default.enqueue(time.sleep, 0)
	rq.Queue("another-bench:long", connection=connection).enqueue(time.sleep, 0)
	time.sleep(0.01)
	after = time.time()
	alive = rq.Worker([default], connection=connection)
	alive.register_birth()
	here = socket.gethostname()
	worker(connection, "killed", default, hostname=here, pid=NO_PID)
	worker(connection, "elsewhere", default, hostname="another-container", pid=NO_PID)
	connection.sadd(f"rq:workers:{default.name}", "rq:worker:expired")

	found = {queue.name: queue for queue in read_queues(bench, {"redis_queue": redis_url})}
	assert list(found) == ["another-bench:long", "default"]
	read = found["default"]
	assert (read.waiting, read.known, read.living, read.failed) == (2, 3, 2, 0)
	assert read.oldest_at is not None and began - 0.001 <= read.oldest_at <= after

	default.remove(first)
	connection.zadd(f"rq:failed:{default.name}", {first.id: after + 60})
	read = read_queues(bench, {"redis_queue": redis_url, "bench_id": prefix})[1]
	assert (read.waiting, read.failed) == (1, 1)
	alive.register_death()


def test_an_empty_queue_has_no_oldest_job(bench: Bench, redis_url: str) -> None:
	redis.from_url(redis_url).sadd("rq:queues", "rq:queue:short")
	(read,) = read_queues(bench, {"redis_queue": redis_url})
	assert tuple(read) == ("short", 0, None, 0, 0, 0)


def test_a_redis_that_is_not_there_is_an_error_at_once(bench: Bench, tmp_path: Path) -> None:
	began = time.monotonic()
	with pytest.raises(OSError):
		read_queues(bench, {"redis_queue": f"unix://{tmp_path}/none"})
	for common in ({}, {"redis_queue": "nothing"}, {"redis_queue": 7}):
		with pytest.raises(ValueError):
			read_queues(bench, common)
	assert time.monotonic() - began < 1


def test_a_redis_that_hangs_costs_the_queues_and_a_few_seconds(bench: Bench, bench_folder: Path) -> None:
	with socket.create_server(("127.0.0.1", 0)) as silent:
		url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
		began = time.monotonic()
		with pytest.raises(OSError):
			read_queues(bench, {"redis_queue": url})
		with pytest.raises(TooLate):
			read_queues(bench, {"redis_queue": url}, 0.2)
		(bench_folder / "sites" / "common_site_config.json").write_text(f'{{"redis_queue": "{url}"}}')
		assert list(queue_metrics(bench, 0.2)) == []
		assert time.monotonic() - began < 4
