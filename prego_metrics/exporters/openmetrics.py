"""The node as OpenMetrics text, for a Prometheus server that scrapes it.

CPU, memory and disk are those of the last push, and only while it is fresh: a gap is honest, an old number is not.
The tenants are counted at each scrape. Their sizes come from the usage store alone: a scrape walks no tree and asks no
database. Base units, ratios from 0 to 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from prego_metrics import __version__
from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.model import OUTCOMES, State
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.tenants.usage.reader import opened_to_read
from prego_metrics.tenants.usage.store import StoreError

CONTENT_TYPE = CONTENT_TYPE_LATEST


def openmetrics(config: Config, state: State, *, now: float | None = None) -> str:
	"""Return the node as OpenMetrics text.

	Where the tenants cannot be counted, `prego_tenants` is left out: never a 0 that was not counted.
	"""
	registry = CollectorRegistry()
	registry.register(_Node(config, state, time.time() if now is None else now))
	encoded: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
	return encoded.decode()


class _Node(Collector):
	"""One node at one moment, as prometheus_client's families of metrics."""

	def __init__(self, config: Config, state: State, now: float) -> None:
		self._config = config
		self._state = state
		self._now = now

	def collect(self) -> Iterable[Metric]:
		yield InfoMetricFamily("prego_build", "Version of prego_metrics.", {"version": __version__})
		try:
			census = count_tenants(self._config, self._state.site_marks)
			yield from _tenants(census, self._config.tenant_series)
		except NotSent:
			pass  # the gap says it, and `prego_push_consecutive_failures` counts it
		yield from _tenant_sizes(self._config, self._now)
		yield from _host(self._fresh_payload())
		yield from _pushes(self._state)

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


def _tenant_sizes(config: Config, now: float) -> Iterable[Metric]:
	"""Give the sizes of the largest sites, `tenant_series` of them; none where the store cannot be read."""
	if not config.tenant_series:
		return
	try:
		with opened_to_read(config.bench.sites) as store:
			rows = store.largest_sizes(config.tenant_series) if store else []
	except StoreError:
		return  # a gap is honest
	several_benches = len({row.bench for row in rows}) > 1
	labels = ["site", "bench"] if several_benches else ["site"]
	files = GaugeMetricFamily("prego_tenant_files", "Files of a site on disk.", labels=labels, unit="bytes")
	database = GaugeMetricFamily("prego_tenant_database", "Data and indexes.", labels=labels, unit="bytes")
	backup_age = GaugeMetricFamily(
		"prego_tenant_backup_age", "Since the newest backup.", labels=labels, unit="seconds"
	)
	for bench, site, files_bytes, database_bytes, backup_at in rows:
		values = [site, bench] if several_benches else [site]
		seconds = None if backup_at is None else max(0.0, now - backup_at)
		for family, value in ((files, files_bytes), (database, database_bytes), (backup_age, seconds)):
			if value is not None:
				family.add_metric(values, value)
	yield from (family for family in (files, database, backup_age) if family.samples)


def _host(payload: Mapping[str, object]) -> Iterable[Metric]:
	for name, meaning in (
		("cpu", "Share of time in which the CPUs were busy between the last two pushes."),
		("memory", "Share of memory that is not available."),
		("disk", "Share used of the fullest file system watched."),
	):
		pct = payload.get(f"{name}_pct")
		if isinstance(pct, int | float):
			yield GaugeMetricFamily(f"prego_{name}_ratio", meaning, round(pct / 100, 4), unit="ratio")


def _pushes(state: State) -> Iterable[Metric]:
	pushes = CounterMetricFamily("prego_pushes", "Pushes by how they ended.", labels=["outcome"])
	for outcome in OUTCOMES:
		pushes.add_metric([outcome], state.totals.get(outcome, 0))
	yield pushes
	yield GaugeMetricFamily(
		"prego_push_consecutive_failures", "Pushes in a row that were not delivered.", state.failures_in_a_row
	)
	if state.last is not None:
		yield _seconds("prego_push_duration", "Duration of the last push.", state.last.duration_ms / 1000)
	if state.last_delivered is not None:
		yield _seconds(
			"prego_push_last_success_timestamp", "When a push was last delivered.", state.last_delivered.at
		)


def _seconds(name: str, meaning: str, value: float) -> Metric:
	return GaugeMetricFamily(name, meaning, value, unit="seconds")
