"""The node as text for Prometheus: OpenMetrics, or the classic format that node_exporter reads from a file.

CPU, memory and disk are those of the last push, and only while it is fresh: a gap is honest, an old number is not. The
rest is read when asked for, each part within a time limit, and left out where it is not known: a node whose MariaDB,
Redis or web server is down still has its metrics. The sizes of the tenants come from the usage store alone: a scrape
walks no tree and asks no database. Base units, ratios from 0 to 1, timestamps instead of ages.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from prego_metrics import __version__
from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.bench.queues import TOGETHER_SECONDS
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.model import OUTCOMES, State
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.exporters.host import host_metrics
from prego_metrics.exporters.queues import queue_metrics
from prego_metrics.tenants.usage.reader import SiteSizes, opened_to_read
from prego_metrics.tenants.usage.store import StoreError

# A scraper waits for ten seconds by default. All parts together have nine; a part that comes when they are over is
# left out.
_ALL_SECONDS = 9.0
COUNT_SECONDS = 5.0
_STORE_SECONDS = 3.0


def metrics_text(
	config: Config, state: State, *, accept: str = "", now: float | None = None
) -> tuple[bytes, str]:
	"""Return the node's metrics and their content type: OpenMetrics where `accept` asks for it, else the classic format.

	Where the tenants cannot be counted, `prego_tenants` is left out: never a 0 that was not counted.
	"""
	registry = CollectorRegistry()
	registry.register(_Node(config, state, time.time() if now is None else now))
	encode, content_type = choose_encoder(accept)
	return encode(registry), content_type


class _Node(Collector):
	"""One node at one moment, as prometheus_client's families of metrics."""

	def __init__(self, config: Config, state: State, now: float) -> None:
		self._config = config
		self._state = state
		self._now = now

	def collect(self) -> Iterable[Metric]:
		config, state = self._config, self._state
		give_up_at = time.monotonic() + _ALL_SECONDS

		def within(seconds: float) -> float:
			return max(0.0, min(seconds, give_up_at - time.monotonic()))

		yield InfoMetricFamily("prego_build", "Version of prego_metrics.", {"version": __version__})
		if config.node_id:
			yield InfoMetricFamily("prego_node", "ID of this node.", {"node_id": sanitize(config.node_id)})
		census: Census | None = None
		try:
			sites = config.bench.sites
			census = folder_in_time(
				lambda: count_tenants(config, state.site_marks), sites, within(COUNT_SECONDS)
			)
		except NotSent:
			pass  # the gap says it, and `prego_push_consecutive_failures` counts it
		else:
			yield from _tenants(census, config.tenant_series)
		yield from _tenant_sizes(config, within(_STORE_SECONDS))
		yield from _pushed_ratios(self._fresh_payload())
		yield from host_metrics(config, census, within)
		yield from queue_metrics(config.bench, within(TOGETHER_SECONDS))
		yield from _pushes(config, state)

	def _fresh_payload(self) -> Mapping[str, object]:
		last = self._state.last
		if last is None or last.payload is None:
			return {}
		return last.payload if 0 <= self._now - last.at <= fresh_seconds(self._config.push_interval) else {}


def _tenants(census: Census, max_series: int) -> Iterable[Metric]:
	yield GaugeMetricFamily("prego_tenants", "Tenant sites of this node.", census.tenant_count)
	if len(census.sites) > max_series:
		return  # a part of the sites would look like all of them
	several_benches = len({site.bench for site in census.sites}) > 1
	family = InfoMetricFamily("prego_tenant", "Each site, whether it counts as a tenant, and why.")
	for site in census.sites:
		labels = {"site": site.name, "counted": str(site.counted).lower(), "reason": site.reason}
		# One name may stand on two benches, which would be one series twice.
		family.add_metric([], {**labels, "bench": site.bench} if several_benches else labels)
	yield family


def _tenant_sizes(config: Config, seconds: float) -> Iterable[Metric]:
	"""Give the sizes of the largest sites, `tenant_series` of them; none where the store cannot be read."""
	if not config.tenant_series:
		return
	try:
		rows = folder_in_time(lambda: _largest(config), config.bench.sites, seconds)
	except (StoreError, NotSent):
		return  # a gap is honest
	several_benches = len({row.bench for row in rows}) > 1
	labels = ["site", "bench"] if several_benches else ["site"]
	families = [
		GaugeMetricFamily(name, meaning, labels=labels, unit=unit)
		for name, meaning, unit in (
			("prego_tenant_files", "Files of a site on disk.", "bytes"),
			("prego_tenant_database", "Data and indexes of a site's database.", "bytes"),
			("prego_tenant_backup_timestamp", "When the newest backup of a site was written.", "seconds"),
		)
	]
	for bench, site, *values in rows:
		for family, value in zip(families, values, strict=True):
			if value is not None:
				family.add_metric([site, bench] if several_benches else [site], value)
	yield from (family for family in families if family.samples)


def _largest(config: Config) -> list[SiteSizes]:
	with opened_to_read(config.bench.sites) as store:
		return store.largest_sizes(config.tenant_series) if store else []


def _pushed_ratios(payload: Mapping[str, object]) -> Iterable[Metric]:
	for name, meaning in (
		("cpu", "Share of time in which the CPUs were busy between the last two pushes."),
		("memory", "Share of memory that is not available."),
		("disk", "Share used of the fullest file system watched."),
	):
		pct = payload.get(f"{name}_pct")
		if isinstance(pct, int | float):
			yield GaugeMetricFamily(f"prego_{name}_ratio", meaning, round(pct / 100, 4), unit="ratio")


def _pushes(config: Config, state: State) -> Iterable[Metric]:
	pushes = CounterMetricFamily("prego_pushes", "Pushes by how they ended.", labels=["outcome"])
	for outcome in OUTCOMES:
		pushes.add_metric([outcome], state.totals.get(outcome, 0))
	yield pushes
	yield GaugeMetricFamily(
		"prego_push_consecutive_failures", "Pushes in a row that were not delivered.", state.failures_in_a_row
	)
	yield _seconds("prego_push_interval", "Time between two pushes, as set.", config.push_interval)
	if state.last is not None:
		yield _seconds("prego_push_duration", "Duration of the last push.", state.last.duration_ms / 1000)
	if state.last_delivered is not None:
		yield _seconds(
			"prego_push_last_success_timestamp", "When a push was last delivered.", state.last_delivered.at
		)


def _seconds(name: str, meaning: str, value: float) -> Metric:
	return GaugeMetricFamily(name, meaning, value, unit="seconds")
