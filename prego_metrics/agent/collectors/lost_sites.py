"""Tenants on another volume that are gone while what led to them is still there: a lost mount, not a lower count.

A site is led to by its entry in sites/, a bench by a pattern of the setting `benches`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection

from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import folders_before_benches, is_pattern, links_before_benches
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.sites import Exclusion
from prego_metrics.agent.collectors.volumes import mount_point

_MAX_NAMED = 5


def marks_of(census: Census, patterns: Collection[str] = ()) -> tuple[str, ...]:
	"""Return a mark for each tenant on another volume: the state keeps them, and names may be long and many.

	With `patterns`, the setting `benches`, also one for each mount point of a bench that a pattern may have found, and
	for each link that led a pattern to one.
	"""
	real = {bench: os.path.realpath(bench) for bench, _ in census.elsewhere}
	marks = {_mark(f"{real[bench]}/{name}") for bench, name in census.elsewhere}
	if any(is_pattern(pattern) for pattern in patterns):
		folders = {f"{site.bench}/sites" for site in census.sites}
		marks |= {_mark(mount_point(folder)) for folder in folders}
		links = links_before_benches(patterns)
		marks |= {
			_mark(_place(link))
			for link in links
			if any(f"{folder}/".startswith(f"{link}/") for folder in folders)
		}
	return tuple(sorted(marks))


def require_no_bench_lost(patterns: Collection[str], marks: Collection[str]) -> None:
	"""Raise CensusError if a folder in which `patterns` look for benches was the mount point of one, and is empty now.

	So it is for a link that led to one, and leads nowhere now. That the folder or link is gone too, or that `benches`
	names its benches one by one, is how an operator says that the bench is.
	"""
	if not marks:
		return
	lost = [
		folder
		for folder in (os.path.realpath(path) for path in folders_before_benches(patterns))
		if _mark(folder) in marks and mount_point(folder) != folder and not os.listdir(folder)
	]
	lost += [
		link
		for link in links_before_benches(patterns)
		if not os.path.isdir(link) and _mark(_place(link)) in marks
	]
	if lost:
		raise CensusError(coded("benches_lost", paths=_named(lost)))


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
		and _mark(f"{os.path.realpath(entry.bench)}/{entry.name}") in marks
	]
	if lost:
		raise CensusError(coded("sites_lost", paths=_named(lost)))


def _place(link: str) -> str:
	return os.path.join(os.path.realpath(os.path.dirname(link)), os.path.basename(link))


def _named(paths: list[str]) -> str:
	more = [f"… ({len(paths)})"] if len(paths) > _MAX_NAMED else []
	return ", ".join([*(sanitize(path) for path in paths[:_MAX_NAMED]), *more])


def _mark(path: str) -> str:
	# Of real paths: each trigger may name a bench in its own way.
	return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
