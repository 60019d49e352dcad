"""The tenants of this node, counted as a push counts them."""

from __future__ import annotations

from collections.abc import Collection

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.bench.trust import require_trusted
from prego_metrics.agent.collectors.census import Census, take_census
from prego_metrics.agent.collectors.lost_sites import require_no_bench_lost, require_none_lost
from prego_metrics.agent.collectors.sites import Exclusion
from prego_metrics.agent.config.config import CENSUS_KEYS, Config

# How the platform names the empty sites that it keeps ready for tenants.
POOL_PATTERN = "pool-*"
_MAX_NAMED = 5


def pool_sites_counted(census: Census) -> list[str]:
	"""Return the names of the sites that look like the platform's empty ones, and are counted as tenants."""
	pool = Exclusion([POOL_PATTERN])
	return [site.name for site in census.sites if site.counted and pool.matching(site.name)]


def exclusion_notes(config: Config, census: Census) -> list[tuple[Message, Message]]:
	"""Return what is doubtful about `exclude_sites`, each with what to do."""
	notes = []
	pool = pool_sites_counted(census)
	if pool:
		notes.append(
			(
				message(
					"{count} pool sites are counted as tenants ({names})",
					count=len(pool),
					names=", ".join(pool[:_MAX_NAMED]) + (" …" if len(pool) > _MAX_NAMED else ""),
				),
				message(
					"if they are empty: prego-metrics configure --exclude-sites '{pattern}' (beside those already excluded)",
					pattern=POOL_PATTERN,
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
				message("exclude_sites matches no site with: {patterns}", patterns=", ".join(unmatched)),
				message("if such a site was renamed, it is counted now: correct the entry, or remove it"),
			)
		)
	return notes


def operator_site_note(config: Config, census: Census) -> tuple[Message, Message] | None:
	"""Return what to say, and what to do, when the operator's own site counts as a tenant."""
	if config.site and any(site.counted and site.name == sanitize(config.site) for site in census.sites):
		site = sanitize(config.site)
		return (
			message("the operator's site {site} is counted as a tenant", site=site),
			message(
				"if it is none: prego-metrics configure --exclude-sites {site} (beside those already excluded)",
				site=site,
			),
		)
	return None


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
