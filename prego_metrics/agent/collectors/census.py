"""How many tenants a node holds: every site of its benches, counted or not, and why.

A site is what Frappe itself takes for one (`frappe.utils.get_sites`): an entry directly in sites/ that
is a real directory, not a symlink, and holds a site_config.json. Of these only what the operator
excludes is left out. A listing is no snapshot: sites are made and renamed while it runs. So a pass over
the folder stands only if nothing can have changed meanwhile; see `_passes`.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from prego_metrics.agent.base.errors import BenchError, CensusError
from prego_metrics.agent.base.files import opened_folder
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.site_config import Denied, Unreadable, read_site_config

MAX_PASSES = 5
# Older kernels stamp a folder's modification time in steps of 4 ms (a jiffy, up to 10 ms): a change right
# after the stamp would not show. What is already 20 ms old cannot be followed by an unseen change.
SETTLED_SECONDS = 0.02
# Made once: nearly every site has one of these.
_TENANT = message("tenant")
_IN_MAINTENANCE = message("tenant, in maintenance mode")
_PAUSED = message("tenant, scheduler paused")
_REREADS = 3
_REREAD_PAUSE_SECONDS = 0.02

Identity = tuple[int, int]
Entry = TypeVar("Entry", "Site", "NotASite")


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
	"""A folder or link beside the sites that is none, and why."""

	name: str
	bench: str
	reason: str


@dataclass(frozen=True)
class Census:
	"""What was read: all sites of all benches, and what lies beside them."""

	sites: tuple[Site, ...]
	not_sites: tuple[NotASite, ...]

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


@dataclass
class _Pass:
	"""What one pass saw: verdicts by identity, and where the sites lie that count for want of a readable file."""

	sites: dict[Identity, Site]
	doubtful: dict[Identity, str]
	not_sites: list[NotASite]

	def add(self, identity: Identity, site: Site, doubtful_path: str | None) -> None:
		"""Add a sighting of a site, seen before under this name or another: counted once is counted."""
		known = self.sites.get(identity)
		if known and (not site.counted or (known.counted and identity not in self.doubtful)):
			return
		self.sites[identity] = site
		self.doubtful.pop(identity, None)
		if doubtful_path:
			self.doubtful[identity] = doubtful_path


def take_census(
	benches: Iterable[Bench],
	exclude_sites: Iterable[str] = (),
	*,
	allow_empty: bool = False,
	clock: Callable[[], float] = time.time,
	sleep: Callable[[float], None] = time.sleep,
) -> Census:
	"""Read and judge every site of `benches`.

	Raises BenchError if a bench cannot be read, and CensusError if one holds no site at all (a lost mount
	looks like that) unless `allow_empty`. All sites excluded is a true 0.
	"""
	exclude = _Exclusion(exclude_sites)
	sites: list[Site] = []
	not_sites: list[NotASite] = []
	for bench in benches:
		try:
			seen = _passes(bench, exclude, clock, sleep)
		except OSError as error:
			raise BenchError(
				message(
					"{folder} cannot be read: {reason}",
					folder=sanitize(bench.sites),
					reason=error.strerror or error,
				)
			) from None
		if not seen.sites and not allow_empty:
			raise CensusError(
				message(
					"{folder} holds no site at all, which is a doubt and not a 0 (a lost mount looks like "
					"that): nothing is counted. If the bench is really empty, set allow_empty to true",
					folder=sanitize(bench.sites),
				)
			)
		_reread(seen, bench, exclude, sleep)
		sites += seen.sites.values()
		not_sites += seen.not_sites
	return Census(_in_order(sites), _in_order(not_sites))


def _in_order(entries: list[Entry]) -> tuple[Entry, ...]:
	# By name, then by bench, which keeps the names in order: single texts compare faster than pairs.
	by_name = sorted(entries, key=lambda entry: entry.name)
	return tuple(sorted(by_name, key=lambda entry: entry.bench))


class _Exclusion:
	"""Which names `exclude_sites` leaves out, and by which of its patterns."""

	def __init__(self, patterns: Iterable[str]) -> None:
		self._patterns = [(pattern, re.compile(fnmatch.translate(pattern)).match) for pattern in patterns]

	def matching(self, name: str) -> str | None:
		for pattern, match in self._patterns:
			if name == pattern or match(name):
				return pattern
		return None


def _passes(
	bench: Bench, exclude: _Exclusion, clock: Callable[[], float], sleep: Callable[[float], None]
) -> _Pass:
	"""Pass over the folder until a pass stands; after the last one the union of all of them does.

	A pass stands if the folder's modification time was the same before and after it, and already
	SETTLED_SECONDS old when it began. In the union a site counts if it was counted under any name: under
	constant renames one too high does less harm than one too low.
	"""
	union: _Pass | None = None
	for number in range(MAX_PASSES):
		if number:
			sleep(SETTLED_SECONDS)
		before = _stamp(bench)
		settled = clock() - before.st_mtime >= SETTLED_SECONDS
		seen = _one_pass(bench, exclude)
		if _unchanged(before, _stamp(bench)) and settled:
			return seen
		union = _united(union, seen) if union else seen
	assert union is not None
	return union


def _stamp(bench: Bench) -> os.stat_result:
	found = os.stat(bench.sites)
	if (found.st_dev, found.st_ino) != bench.identity:
		raise OSError(0, message("it was replaced by another folder while it was read"))
	return found


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
	# The time of change too: a program may set the modification time back (rsync does), but not that.
	return (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def _one_pass(bench: Bench, exclude: _Exclusion) -> _Pass:
	seen = _Pass({}, {}, [])
	bench_name = sanitize(bench.root)
	with opened_folder(bench.sites) as folder, os.scandir(bench.sites) as entries:
		for entry in entries:
			name = entry.name
			if not entry.is_dir(follow_symlinks=False):
				if entry.is_symlink():
					seen.not_sites.append(
						NotASite(sanitize(name), bench_name, "a symlink, which is an alias")
					)
				continue
			try:
				found = entry.stat(follow_symlinks=False)
			except FileNotFoundError:
				continue  # renamed or dropped since it was listed: this pass does not stand
			config: dict[str, object] | str
			try:
				config = read_site_config(f"{name}/site_config.json", folder)
			except (FileNotFoundError, NotADirectoryError):
				seen.not_sites.append(NotASite(sanitize(name), bench_name, "no site_config.json"))
				continue
			except Unreadable as error:
				if isinstance(error, Denied) and name == "lost+found" and found.st_uid == 0:
					seen.not_sites.append(NotASite(name, bench_name, "the file system's own folder"))
					continue
				config = error.args[0]
			site = _judge(name, bench_name, config, exclude)
			doubtful = site.counted and isinstance(config, str)
			path = f"{bench.sites}/{name}/site_config.json" if doubtful else None
			seen.add((found.st_dev, found.st_ino), site, path)
	return seen


def _judge(name: str, bench: str, config: dict[str, object] | str, exclude: _Exclusion) -> Site:
	"""Decide whether a site is a tenant. `config` is what was read, or why it could not be."""
	verdict = _verdict(name, bench, config, exclude)
	if isinstance(config, str):
		return verdict
	return verdict._replace(
		maintenance=bool(config.get("maintenance_mode")), paused=bool(config.get("pause_scheduler"))
	)


def _verdict(name: str, bench: str, config: dict[str, object] | str, exclude: _Exclusion) -> Site:
	pattern = exclude.matching(name)
	shown = sanitize(name)
	if pattern is not None:
		reason = message("excluded by exclude_sites: {pattern}", pattern=sanitize(pattern))
		return Site(shown, bench, False, reason)
	if isinstance(config, str):
		reason = message(
			"counted, though its site_config.json {problem}: it occupies the node", problem=config
		)
		return Site(shown, bench, True, reason, True)
	if "prego_tenant" in config:
		tenant = config["prego_tenant"]
		if tenant is False or (type(tenant) in (int, float) and tenant == 0):
			reason = message('"prego_tenant" is false in its site_config.json')
			return Site(shown, bench, False, reason)
		if tenant is not True and tenant != 1:
			reason = message(
				'counted: "prego_tenant" is {value}, and only 0 or false leaves a site out',
				value=_shown(tenant),
			)
			return Site(shown, bench, True, reason, True)
	if config.get("maintenance_mode"):
		return Site(shown, bench, True, _IN_MAINTENANCE)
	if config.get("pause_scheduler"):
		return Site(shown, bench, True, _PAUSED)
	return Site(shown, bench, True, _TENANT)


def _shown(value: object) -> str:
	# A list or an object may be nested deeper than json.dumps can follow.
	return type(value).__name__ if isinstance(value, list | dict) else sanitize(json.dumps(value), 40)


def _united(one: _Pass, other: _Pass) -> _Pass:
	"""Join a later pass to what was seen before; what is no site is what the later pass saw."""
	for identity, site in other.sites.items():
		one.add(identity, site, other.doubtful.get(identity))
	one.not_sites = other.not_sites
	return one


def _reread(seen: _Pass, bench: Bench, exclude: _Exclusion, sleep: Callable[[float], None]) -> None:
	"""Read half-written configurations again for a moment, all of them together: Frappe rewrites in place."""
	for _ in range(_REREADS):
		if not seen.doubtful:
			return
		sleep(_REREAD_PAUSE_SECONDS)
		for identity, path in list(seen.doubtful.items()):
			try:
				config = read_site_config(path)
			except (Unreadable, FileNotFoundError, NotADirectoryError):
				continue
			name = os.path.basename(os.path.dirname(path))
			seen.sites[identity] = _judge(name, sanitize(bench.root), config, exclude)
			del seen.doubtful[identity]


def census_as_dict(census: Census) -> dict[str, Any]:
	"""Return a census as JSON has it."""
	return {
		"tenant_count": census.tenant_count,
		"sites": [
			{"site": site.name, "bench": site.bench, "counted": site.counted, "reason": site.reason}
			for site in census.sites
		],
		"not_sites": [
			{"name": entry.name, "bench": entry.bench, "reason": entry.reason} for entry in census.not_sites
		],
	}
