"""A site and its verdict: whether it counts as a tenant, and why.

The verdict follows from the site's name and its site_config.json alone. Only what the operator excludes is
left out; a site whose file cannot be read occupies the node and counts.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import NamedTuple

# Made once: nearly every site has one of these.
_TENANT = coded("tenant")
_IN_MAINTENANCE = coded("tenant_in_maintenance")
_PAUSED = coded("tenant_paused")


class Site(NamedTuple):
	"""One site folder and its verdict. name and bench are fit to show.

	maintenance and paused (the scheduler) are what its site_config.json says; None where it cannot be read.
	"""

	name: str
	bench: str
	counted: bool
	reason: str
	warning: bool = False
	maintenance: bool | None = None
	paused: bool | None = None


class NotASite(NamedTuple):
	"""A folder or link beside the sites that is none, and why; of a further name of a site, which site's."""

	name: str
	bench: str
	reason: str
	alias_of: str | None = None


class Exclusion:
	"""Which names `exclude_sites` leaves out, and by which of its patterns."""

	def __init__(self, patterns: Iterable[str]) -> None:
		self._patterns = [(pattern, re.compile(fnmatch.translate(pattern)).match) for pattern in patterns]

	def matching(self, name: str) -> str | None:
		for pattern, match in self._patterns:
			if name == pattern or match(name):
				return pattern
		return None


def judge(name: str, bench: str, config: dict[str, object] | str, exclude: Exclusion) -> Site:
	"""Decide whether a site is a tenant. `config` is what was read, or why it could not be."""
	maintenance = paused = None
	if not isinstance(config, str):
		maintenance, paused = bool(config.get("maintenance_mode")), bool(config.get("pause_scheduler"))
	counted, reason, warning = True, _TENANT, False
	pattern = exclude.matching(name)
	if pattern is not None:
		counted, reason = False, coded("excluded_by_pattern", pattern=sanitize(pattern))
	elif isinstance(config, str):
		reason, warning = coded("tenant_unreadable", problem=config), True
	elif "prego_tenant" in config and config["prego_tenant"] not in (True, 1):
		counted, reason, warning = _without_being_tenant(config["prego_tenant"])
	elif maintenance:
		reason = _IN_MAINTENANCE
	elif paused:
		reason = _PAUSED
	return Site(sanitize(name), bench, counted, reason, warning, maintenance, paused)


def _without_being_tenant(tenant: object) -> tuple[bool, Message, bool]:
	"""Return counted, reason and warning of a site whose prego_tenant says something else than yes."""
	if tenant is False or (type(tenant) in (int, float) and tenant == 0):
		return False, coded("excluded_by_site"), False
	return True, coded("tenant_unclear", value=_value_word(tenant)), True


def _value_word(value: object) -> str:
	# A list or an object may be nested deeper than json.dumps can follow.
	return type(value).__name__ if isinstance(value, list | dict) else sanitize(json.dumps(value), 40)
