"""The queues of background jobs as families of metrics, where Redis answers."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.queues import RqQueue, read_queues


def queue_metrics(bench: Bench, seconds: float) -> Iterable[Metric]:
	"""Give each queue of this bench: jobs that wait and failed, the oldest waiting one, living workers."""
	queues = _queues(bench, seconds)
	for name, meaning, values in (
		("jobs_waiting", "Jobs that wait for a worker.", [queue.waiting for queue in queues]),
		("jobs_failed", "Failed jobs that RQ still keeps.", [queue.failed for queue in queues]),
		(
			"oldest_job_timestamp_seconds",
			"When the job was queued that waits longest.",
			[queue.oldest_at for queue in queues],
		),
		("workers", "Living workers of the queue.", [queue.living for queue in queues]),
	):
		family = GaugeMetricFamily(f"prego_rq_{name}", meaning, labels=["queue"])
		for queue, value in zip(queues, values, strict=True):
			if value is not None:
				family.add_metric([sanitize(queue.name)], value)
		if family.samples:
			yield family


def _queues(bench: Bench, seconds: float) -> list[RqQueue]:
	try:
		return read_queues(bench, read_common_config(bench), seconds)
	except (ImportError, OSError, ValueError, NotSent):
		return []  # no redis-py in this Python, or no Redis
