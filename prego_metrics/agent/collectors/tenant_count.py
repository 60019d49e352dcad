"""The tenants of this node, counted as a push counts them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.bench.trust import require_trusted
from prego_metrics.agent.collectors.census import Census, take_census
from prego_metrics.agent.collectors.lost_sites import require_no_bench_lost, require_none_lost
from prego_metrics.agent.collectors.sites import Exclusion
from prego_metrics.agent.config.config import CENSUS_KEYS, Config

# How empty sites are named that are kept ready for tenants, as `pool-sgp-001`.
_POOL_NAME = re.compile("(?:pool|standby|spare|warm)[-_.]")
_MAX_NAMED = 5


def pool_sites_counted(census: Census) -> dict[str, list[str]]:
	"""Return the sites that look like empty ones kept ready and count as tenants, by the pattern that excludes them."""
	pool: dict[str, list[str]] = {}
	for site in census.sites:
		if site.counted and (beginning := _POOL_NAME.match(site.name)):
			pool.setdefault(f"{beginning[0]}*", []).append(site.name)
	return pool


def names_shown(names: Sequence[str], limit: int = _MAX_NAMED) -> str:
	"""Return the first names, with an ellipsis where there are more."""
	return ", ".join(names[:limit]) + (" …" if len(names) > limit else "")


def exclusion_notes(config: Config, census: Census) -> list[tuple[Message, Message]]:
	"""Return what is doubtful about `exclude_sites`, each with what to do."""
	notes = []
	pool = pool_sites_counted(census)
	if pool:
		names = [name for group in pool.values() for name in group]
		notes.append(
			(
				message(
					"{count} pool sites are counted as tenants ({names})",
					count=len(names),
					names=names_shown(names),
				),
				message(
					"if they are empty: prego-metrics configure {options}", options=_excluding(config, *pool)
				),
			)
		)
	names = [site.name for site in census.sites]
	names += [entry.name for entry in census.not_sites if entry.alias_of]
	unmatched = [
		sanitize(pattern)
		for pattern in config.exclude_sites
		if not any(Exclusion([pattern]).matching(name) for name in names)
	]
	if unmatched:
		notes.append(
			(
				message(
					"no site matches these entries of exclude_sites: {patterns}",
					patterns=", ".join(unmatched),
				),
				message("correct or remove the entry: a renamed site counts as a tenant again"),
			)
		)
	return notes


def operator_site_note(config: Config, census: Census) -> tuple[Message, Message] | None:
	"""Return what to say, and what to do, when the operator site counts as a tenant."""
	if config.site and any(site.counted and site.name == sanitize(config.site) for site in census.sites):
		return (
			message("the operator site {site} is counted as a tenant", site=sanitize(config.site)),
			message(
				"if it is not a tenant: prego-metrics configure {options}",
				options=_excluding(config, config.site),
			),
		)
	return None


def _excluding(config: Config, *patterns: str) -> str:
	"""Return the options that exclude these sites too: the option replaces the list."""
	excluded = (*config.exclude_sites, *patterns)
	return " ".join(f"--exclude-sites {shlex.quote(sanitize(pattern))}" for pattern in excluded)


def count_tenants(config: Config, site_marks: Collection[str] = ()) -> Census:
	"""Count the tenants as a push would. Raises NotSent where there is no count.

	With the marks of the last push, that is also where a tenant or a bench of it has lost its volume.
	"""
	config.require(CENSUS_KEYS)
	require_no_bench_lost(config.benches, site_marks)
	benches = open_benches(config.benches)
	for bench in benches:
		require_trusted(bench.sites)
	census = take_census(benches, config.exclude_sites, allow_empty=config.allow_empty)
	require_none_lost(census, config.exclude_sites, site_marks)
	return census
