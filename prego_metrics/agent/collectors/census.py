"""How many tenants a node holds: every site of its benches, counted or not, and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.base.messages import code_of, coded, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.collectors.passes import read_sites
from prego_metrics.agent.collectors.sites import Exclusion, NotASite, Site
from prego_metrics.agent.light_typing import Any, NamedTuple, TypeVar

Entry = TypeVar("Entry", Site, NotASite)


class Census(NamedTuple):
	"""What was read: all sites of all benches, and what lies beside them.

	volumes has the folder of one site for each file system that holds any. elsewhere has bench and name of the
	tenants that are reached by a link or a mount, or have their configuration behind one: these can go away while
	their entry in sites/ stays.
	"""

	sites: tuple[Site, ...]
	not_sites: tuple[NotASite, ...]
	volumes: tuple[str, ...] = ()
	elsewhere: tuple[tuple[str, str], ...] = ()

	@property
	def tenant_count(self) -> int:
		return sum(site.counted for site in self.sites)

	@property
	def warnings(self) -> list[str]:
		return [
			message("site {site}: {reason}", site=site.name, reason=site.reason)
			for site in self.sites
			if site.warning
		]


def take_census(
	benches: Iterable[Bench],
	exclude_sites: Iterable[str] = (),
	*,
	allow_empty: bool = False,
	clock: Callable[[], float] = time.time,
	sleep: Callable[[float], None] = time.sleep,
) -> Census:
	"""Read and judge every site of `benches`.

	Raises BenchError if a bench cannot be read. Raises CensusError if one holds no site at all (a lost mount
	looks like that) unless `allow_empty`, if not one site's configuration can be read, and for errors of the process
	or the file system. All sites excluded is a true 0.
	"""
	exclude = Exclusion(exclude_sites)
	benches = list(benches)
	result = read_sites(benches, exclude, clock, sleep)
	for bench in benches:
		if bench.identity not in result.inhabited and not allow_empty:
			raise CensusError(coded("no_site", folder=sanitize(bench.sites)))
	if result.sites and all(site.maintenance is None for site in result.sites.values()):
		raise CensusError(coded("no_config_readable", sites=len(result.sites)))
	by_device = {device: site for (device, _), site in result.sites.items()}
	return Census(
		_in_order(result.sites.values()),
		_in_order(result.not_sites + result.listed_aliases()),
		tuple(f"{site.bench}/sites/{site.name}" for site in by_device.values()),
		tuple(
			(site.bench, site.name)
			for site in result.sites.values()
			if site.counted and (site.bench, site.name) in result.elsewhere
		),
	)


def _in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
	# By name, then by bench, which keeps the names in order: single strings compare faster than pairs.
	by_name = sorted(entries, key=lambda entry: entry.name)
	return tuple(sorted(by_name, key=lambda entry: entry.bench))


def census_as_dict(census: Census) -> dict[str, Any]:
	"""Return a census as JSON has it."""
	return {
		"tenant_count": census.tenant_count,
		"sites": [
			{
				"site": site.name,
				"bench": site.bench,
				"counted": site.counted,
				"reason": site.reason,
				"reason_code": code_of(site.reason),
			}
			for site in census.sites
		],
		"not_sites": [
			{
				"name": entry.name,
				"bench": entry.bench,
				"reason": entry.reason,
				"alias_of": entry.alias_of,
			}
			for entry in census.not_sites
		],
	}
