"""The usage scan: reads one tenant after the other into the store, and continues where it was killed.

It uses neither the push's lock nor the state file, so pushes run on time beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import QUOTA_KEYS, Config
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.tenants.inventory.database import read_databases
from prego_metrics.tenants.inventory.site_folder import LocatedSite, locate_sites, read_site
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.scan_status import LOCK_NAME
from prego_metrics.tenants.usage.store import StoreError
from prego_metrics.tenants.usage.writer import UsageWriter, set_aside_if_corrupt

# An unfinished scan older than this is not continued: what it read first is too old.
RESUMED_SECONDS = 20 * 3600.0


class ScanRunning(PregoMetricsError):
	"""Another process is scanning on this bench."""


@dataclass(frozen=True)
class ScanResult:
	"""How a run ended: the sites it scanned, those scanned before by a run that was stopped, and those remaining.

	set_aside says, if so, that the store was damaged and a new one was started.
	"""

	scanned: int
	scanned_before: int
	remaining: int
	set_aside: str | None = None


def scan_tenants(
	config: Config,
	environ: Mapping[str, str],
	*,
	max_seconds: float = math.inf,
	progress: Callable[[int], AbstractContextManager[Callable[[], None]]] = lambda total: nullcontext(
		lambda: None
	),
	clock: Callable[[], float] = time.time,
) -> ScanResult:
	"""Read every tenant that the scan under way has not read yet, and save its usage.

	Stops after `max_seconds` at the next tenant; the next run continues from there. `progress` gets the number of
	sites to be scanned and gives what is called after each. Raises ScanRunning, NotSent where the tenants cannot be
	counted or their quota is wrong, and StoreError.
	"""
	config.require(QUOTA_KEYS)
	sites = locate_sites(config, count_tenants(config))
	with contextlib.ExitStack() as held:
		held.enter_context(_only_one(config.bench.sites))
		set_aside = set_aside_if_corrupt(config.bench.sites)
		store = held.enter_context(UsageWriter(config.bench.sites))
		now = clock()
		begun_at = _begin_or_continue(store, now)
		read_at = store.read_times()
		# What was read in the future was read before the clock went back.
		waiting = [located for located in sites if not begun_at <= read_at.get(_key(located), 0.0) <= now]
		# Where no scan ever ends in its time, no site's usage grows older than every other's.
		waiting.sort(key=lambda located: read_at.get(_key(located), 0.0))
		give_up_at, scanned = time.monotonic() + max_seconds, 0
		advance = held.enter_context(progress(len(waiting)))
		for located in waiting:
			if time.monotonic() >= give_up_at:
				break
			store.save(_read(located, environ, clock))
			scanned += 1
			advance()
		remaining = len(waiting) - scanned
		if not remaining:
			store.end_scan(clock(), {_key(located) for located in sites})
		return ScanResult(scanned, len(sites) - len(waiting), remaining, set_aside)


def _begin_or_continue(store: UsageWriter, now: float) -> float:
	last = store.scan_times()
	if last is not None and last.ended_at is None and 0 <= now - last.begun_at < RESUMED_SECONDS:
		return last.begun_at
	store.begin_scan(now)
	return now


def _read(located: LocatedSite, environ: Mapping[str, str], clock: Callable[[], float]) -> Tenant:
	disk = read_site(located, sizes=True)
	[(_, database)] = read_databases([located], environ, concurrency=1)
	return Tenant(located.site, disk, database, clock(), located.quota)


def _key(located: LocatedSite) -> tuple[str, str]:
	return located.site.bench, located.site.name


@contextlib.contextmanager
def _only_one(sites: str) -> Iterator[None]:
	"""Hold a lock of its own, gone with its holder.

	On a file of its own: to close any descriptor of SQLite's file would take away SQLite's own locks.
	"""
	folder = StateFolder(sites)
	path = os.path.join(folder.path, LOCK_NAME)
	try:
		folder.make_file(LOCK_NAME)
		# O_NONBLOCK: a FIFO of that name can be locked as well, and must not hold up a worker.
		descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
	except OSError as error:
		raise StoreError(f"{sanitize(path)}: {error.strerror or error}") from None
	try:
		try:
			fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
		except BlockingIOError:
			raise ScanRunning(coded("scan_running")) from None
		except OSError as error:
			raise StoreError(f"{sanitize(path)} cannot be locked: {error.strerror or error}") from None
		yield
	finally:
		os.close(descriptor)
