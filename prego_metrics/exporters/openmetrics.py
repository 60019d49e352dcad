"""The node for a Prometheus that scrapes it, as OpenMetrics text.

The figures of the host are those of the last push, and only while they are fresh: a gap is honest, an old
number is not. The tenants are counted when somebody asks. Base units, ratios from 0 to 1.

Needs `prometheus_client`, which the extra `openmetrics` brings.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prego_metrics import __version__
from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.model import OUTCOMES, Push, State
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.exporters.tenant_series import tenant_series

if TYPE_CHECKING:
	from prometheus_client import Metric

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
INSTALL_HINT = (
	"OpenMetrics needs prometheus_client, which is not installed: run "
	"`env/bin/pip install 'prometheus-client>=0.17'` in the bench, then `bench restart`"
)


class MissingLibrary(NotSent):
	"""prometheus_client is not installed; the message says how to install it."""


def openmetrics(config: Config, state: State, *, now: float | None = None) -> str:
	"""Return the node as OpenMetrics text. Raises MissingLibrary.

	Where the tenants cannot be counted, `prego_tenants` is left out: never a 0 that nobody read.
	"""
	try:
		import prometheus_client  # noqa: F401
	except ImportError:
		raise MissingLibrary(INSTALL_HINT) from None
	from prego_metrics.exporters.sample_lines import as_text

	return as_text(_Node(config, state, time.time() if now is None else now).collect())


class _Node:
	"""One node at one moment, as prometheus_client's families of metrics."""

	def __init__(self, config: Config, state: State, now: float) -> None:
		self._config = config
		self._state = state
		self._now = now

	def collect(self) -> Iterable[Metric]:
		from prometheus_client.core import InfoMetricFamily

		build = InfoMetricFamily("prego_build", "Version of prego_metrics.")
		build.add_metric([], {"version": __version__})
		yield build
		try:
			yield from _tenants(count_tenants(self._config), self._config.tenant_series)
		except NotSent:
			pass  # the gap says it, and `prego_push_consecutive_failures` counts it
		yield from tenant_series(self._config, self._now)
		yield from _host(self._fresh_payload())
		yield from _pushes(self._state)

	def _fresh_payload(self) -> Mapping[str, object]:
		last = self._state.last
		if last is None or last.payload is None:
			return {}
		return last.payload if 0 <= self._now - last.at <= fresh_seconds(self._config.push_interval) else {}


def _tenants(census: Census, most_series: int) -> Iterable[Metric]:
	from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

	yield GaugeMetricFamily("prego_tenants", "Tenant sites of this node.", value=census.tenant_count)
	if len(census.sites) > most_series:
		return  # a part of the sites would look like all of them
	several = len({site.bench for site in census.sites}) > 1
	sites = InfoMetricFamily("prego_tenant", "Each site, whether it counts as a tenant, and why.")
	for site in census.sites:
		labels = {"site": site.name, "counted": str(site.counted).lower(), "reason": site.reason}
		# One name may stand on two benches, which would be one series twice.
		sites.add_metric([], {**labels, "bench": site.bench} if several else labels)
	yield sites


def _host(payload: Mapping[str, object]) -> Iterable[Metric]:
	from prometheus_client.core import GaugeMetricFamily

	for name, what in (
		("cpu", "Share of time in which the CPUs were busy between the last two pushes."),
		("memory", "Share of memory that is not available."),
		("disk", "Share used of the fullest file system watched."),
	):
		pct = payload.get(f"{name}_pct")
		if isinstance(pct, int | float):
			yield GaugeMetricFamily(f"prego_{name}_ratio", what, value=round(pct / 100, 4), unit="ratio")


def _pushes(state: State) -> Iterable[Metric]:
	from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

	pushes = CounterMetricFamily("prego_pushes", "Pushes by how they ended.", labels=["outcome"])
	for outcome in OUTCOMES:
		pushes.add_metric([outcome], state.totals.get(outcome, 0))
	yield pushes
	yield GaugeMetricFamily(
		"prego_push_consecutive_failures",
		"Pushes in a row that were not delivered.",
		value=state.failures_in_a_row,
	)
	if state.last is not None:
		yield _seconds("prego_push_duration", "Duration of the last push.", state.last.duration_ms / 1000)
	if state.last_delivered is not None:
		yield _timestamp(state.last_delivered)


def _timestamp(delivered: Push) -> Metric:
	return _seconds("prego_push_last_success_timestamp", "When a push was last delivered.", delivered.at)


def _seconds(name: str, what: str, value: float) -> Metric:
	from prometheus_client.core import GaugeMetricFamily

	return GaugeMetricFamily(name, what, value=value, unit="seconds")
