"""How many tenants a node holds: every site of its benches, counted or not, and why.

A site is what Frappe itself takes for one (`frappe.utils.get_sites`): an entry directly in sites/ that
is a real directory, not a symlink, and holds a site_config.json. Of these only what the operator
excludes is left out. A listing is no snapshot: sites are made and renamed while it runs. So a pass over
the folder stands only if nothing can have changed meanwhile; see `_passes`.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prego_metrics.agent.bench import Bench
from prego_metrics.agent.errors import BenchError, CensusError
from prego_metrics.agent.printable import printable

MAX_PASSES = 5
# Older kernels stamp a folder's modification time in steps of 4 ms (a jiffy, up to 10 ms): a change right
# after the stamp would not show. What is already 20 ms old cannot be followed by an unseen change.
SETTLED_SECONDS = 0.02
_REREADS = 3
_REREAD_PAUSE_SECONDS = 0.02
_MAX_CONFIG_BYTES = 1 << 20

Identity = tuple[int, int]


@dataclass(frozen=True)
class Site:
	"""One site folder and its verdict. name and bench are fit to show."""

	name: str
	bench: str
	counted: bool
	reason: str
	warning: bool = False


@dataclass(frozen=True)
class NotASite:
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
		return [f"site {site.name}: {site.reason}" for site in self.sites if site.warning]


@dataclass
class _Pass:
	"""What one pass saw: verdicts by identity, the paths of sites whose configuration was not readable."""

	sites: dict[Identity, Site]
	unreadable: dict[Identity, str]
	not_sites: list[NotASite]


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
			raise BenchError(f"{printable(bench.sites)} cannot be read: {error.strerror or error}") from None
		if not seen.sites and not allow_empty:
			raise CensusError(
				f"{printable(bench.sites)} holds no site at all, which is a doubt and not a 0 (a lost mount "
				"looks like that): nothing is counted. If the bench is really empty, set allow_empty to true"
			)
		_reread(seen, bench, exclude, sleep)
		sites += seen.sites.values()
		not_sites += seen.not_sites
	return Census(
		tuple(sorted(sites, key=lambda site: (site.bench, site.name))),
		tuple(sorted(not_sites, key=lambda entry: (entry.bench, entry.name))),
	)


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
		settled = clock() - before[2] / 1e9 >= SETTLED_SECONDS
		seen = _one_pass(bench, exclude)
		if settled and _stamp(bench) == before:
			return seen
		union = _united(union, seen) if union else seen
	assert union is not None
	return union


def _stamp(bench: Bench) -> tuple[int, int, int]:
	found = os.stat(bench.sites)
	if (found.st_dev, found.st_ino) != bench.identity:
		raise OSError(0, "it was replaced by another folder while it was read")
	return found.st_dev, found.st_ino, found.st_mtime_ns


def _one_pass(bench: Bench, exclude: _Exclusion) -> _Pass:
	seen = _Pass({}, {}, [])
	prefix = bench.sites + "/"
	bench_name = printable(bench.root)
	with os.scandir(bench.sites) as entries:
		for entry in entries:
			name = entry.name
			if not entry.is_dir(follow_symlinks=False):
				if entry.is_symlink():
					seen.not_sites.append(
						NotASite(printable(name), bench_name, "a symlink, which is an alias")
					)
				continue
			try:
				found = entry.stat(follow_symlinks=False)
			except FileNotFoundError:
				continue  # renamed or dropped since it was listed: this pass does not stand
			path = f"{prefix}{name}/site_config.json"
			config: dict[str, object] | str
			try:
				config = _read_site_config(path)
			except (FileNotFoundError, NotADirectoryError):
				seen.not_sites.append(NotASite(printable(name), bench_name, "no site_config.json"))
				continue
			except _Unreadable as error:
				if name == "lost+found" and found.st_uid == 0:
					seen.not_sites.append(NotASite(name, bench_name, "the file system's own folder"))
					continue
				config = str(error)
			identity = (found.st_dev, found.st_ino)
			if isinstance(config, str):
				seen.unreadable[identity] = path
			site = _judge(name, bench_name, config, exclude)
			known = seen.sites.get(identity)
			seen.sites[identity] = _more_counted(known, site) if known else site
	return seen


class _Unreadable(Exception):
	"""A site_config.json that exists and cannot be read or parsed; the message says why."""


def _read_site_config(path: str) -> dict[str, object]:
	"""Return what a site_config.json holds.

	Raises FileNotFoundError or NotADirectoryError where Frappe would see none, _Unreadable otherwise.
	"""
	try:
		# O_NONBLOCK: a FIFO of that name must not hold up the count.
		descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
		try:
			found = os.fstat(descriptor)
			if not stat.S_ISREG(found.st_mode):
				raise _Unreadable("is not a regular file")
			if found.st_size > _MAX_CONFIG_BYTES:
				raise _Unreadable("is larger than 1 MiB")
			content = os.read(descriptor, _MAX_CONFIG_BYTES)
		finally:
			os.close(descriptor)
		parsed = json.loads(content.decode())
	except (FileNotFoundError, NotADirectoryError):
		raise
	except OSError as error:
		if error.errno == errno.ELOOP:
			raise FileNotFoundError from None
		raise _Unreadable(f"cannot be read ({error.strerror})") from None
	except (ValueError, RecursionError):
		raise _Unreadable("cannot be parsed") from None
	if not isinstance(parsed, dict):
		raise _Unreadable("holds no JSON object")
	return parsed


def _judge(name: str, bench: str, config: dict[str, object] | str, exclude: _Exclusion) -> Site:
	"""Decide whether a site is a tenant. `config` is what was read, or why it could not be."""
	pattern = exclude.matching(name)
	shown = printable(name)
	if pattern is not None:
		return Site(shown, bench, False, f"excluded by exclude_sites: {printable(pattern)}")
	if isinstance(config, str):
		return Site(
			shown, bench, True, f"counted, though its site_config.json {config}: it occupies the node", True
		)
	if "prego_tenant" in config:
		tenant = config["prego_tenant"]
		if tenant is False or (type(tenant) in (int, float) and tenant == 0):
			return Site(shown, bench, False, '"prego_tenant" is false in its site_config.json')
		if tenant is not True and tenant != 1:
			return Site(
				shown,
				bench,
				True,
				f'counted: "prego_tenant" is {printable(json.dumps(tenant), 40)}, and only 0 or false leaves '
				"a site out",
				True,
			)
	if config.get("maintenance_mode"):
		return Site(shown, bench, True, "tenant, in maintenance mode")
	if config.get("pause_scheduler"):
		return Site(shown, bench, True, "tenant, scheduler paused")
	return Site(shown, bench, True, "tenant")


def _more_counted(one: Site, other: Site) -> Site:
	return one if one.counted and not other.counted else other


def _united(one: _Pass, other: _Pass) -> _Pass:
	"""Join two passes by identity; a verdict from a readable configuration replaces one from doubt."""
	for identity, site in other.sites.items():
		known = one.sites.get(identity)
		if known is None or identity in one.unreadable:
			one.sites[identity] = site
		elif identity not in other.unreadable:
			one.sites[identity] = _more_counted(known, site)
		if identity not in other.unreadable:
			one.unreadable.pop(identity, None)
		elif known is None:
			one.unreadable[identity] = other.unreadable[identity]
	one.not_sites = other.not_sites
	return one


def _reread(seen: _Pass, bench: Bench, exclude: _Exclusion, sleep: Callable[[float], None]) -> None:
	"""Read half-written configurations again for a moment, all of them together: Frappe rewrites in place."""
	for _ in range(_REREADS):
		if not seen.unreadable:
			return
		sleep(_REREAD_PAUSE_SECONDS)
		for identity, path in list(seen.unreadable.items()):
			try:
				config = _read_site_config(path)
			except (_Unreadable, FileNotFoundError, NotADirectoryError):
				continue
			name = os.path.basename(os.path.dirname(path))
			site = _judge(name, seen.sites[identity].bench, config, exclude)
			seen.sites[identity] = replace(site, bench=printable(bench.root))
			del seen.unreadable[identity]
