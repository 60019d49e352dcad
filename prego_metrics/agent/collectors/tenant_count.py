"""The tenants of this node, counted as a push counts them."""

from __future__ import annotations

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.bench.trust import require_trusted
from prego_metrics.agent.collectors.census import Census, take_census
from prego_metrics.agent.config.config import CENSUS_KEYS, Config


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


def count_tenants(config: Config) -> Census:
	"""Count the tenants as a push would. Raises NotSent where there is no count."""
	config.require(CENSUS_KEYS)
	benches = open_benches(config.benches)
	for bench in benches:
		require_trusted(bench.sites)
	return take_census(benches, config.exclude_sites, allow_empty=config.allow_empty)
