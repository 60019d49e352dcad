"""Tenants on another volume that are gone while their entry in sites/ is still there: a lost mount, not a lower count."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection

from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.sites import Exclusion

_MAX_NAMED = 5


def marks_of(census: Census) -> tuple[str, ...]:
	"""Return a mark for each tenant on another volume: the state keeps them, and names may be long and many."""
	real = {bench: os.path.realpath(bench) for bench, _ in census.elsewhere}
	return tuple(sorted(_mark(real[bench], name) for bench, name in census.elsewhere))


def require_none_lost(census: Census, exclude_sites: Collection[str], marks: Collection[str]) -> None:
	"""Raise CensusError if an entry that is no site now was marked when the last push counted, and is not excluded.

	A link then leads nowhere, or where there is no site_config.json, or a mount point is an empty folder. That its
	entry is gone too is how an operator says that the site is.
	"""
	if not marks:
		return
	exclude = Exclusion(exclude_sites)
	lost = [
		f"{entry.bench}/sites/{entry.name}"
		for entry in census.not_sites
		if not entry.alias_of
		and exclude.matching(entry.name) is None
		and _mark(os.path.realpath(entry.bench), entry.name) in marks
	]
	if lost:
		more = [f"… ({len(lost)})"] if len(lost) > _MAX_NAMED else []
		raise CensusError(coded("sites_lost", paths=", ".join([*lost[:_MAX_NAMED], *more])))


def _mark(bench: str, name: str) -> str:
	# Of the bench's real path: each trigger may name it in its own way.
	return hashlib.sha256(f"{bench}/{name}".encode()).hexdigest()[:8]
