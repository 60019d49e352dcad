"""The usage scan: reads one tenant after the other into the cache, and continues where it was killed.

Never on a push's path: it takes neither the push's lock nor the state file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import QUOTA_KEYS, Config
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.tenants.inventory.database import read_databases
from prego_metrics.tenants.inventory.site_folder import LocatedSite, locate_sites, read_site
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.scan_status import LOCK_NAME
from prego_metrics.tenants.usage.store import HistoryError, TenantHistory, set_aside_if_corrupt

# An unfinished scan older than this is not continued: its first figures are too old.
RESUMED_SECONDS = 20 * 3600.0


class ScanRunning(PregoMetricsError):
	"""Another process is scanning on this bench."""

	default_code = "scan_running"


@dataclass(frozen=True)
class ScanResult:
	"""How a run ended: the tenants it read, those it found already read, and those left for the next.

	`set_aside` says, if so, that the cache was damaged and a new one was begun.
	"""

	read: int
	already: int
	left: int
	set_aside: str | None = None

	@property
	def complete(self) -> bool:
		return self.left == 0


def scan_tenants(
	config: Config,
	environ: Mapping[str, str],
	*,
	most_seconds: float | None = None,
	progress: Callable[[int], AbstractContextManager[Callable[[], None]]] = lambda total: nullcontext(
		lambda: None
	),
	clock: Callable[[], float] = time.time,
) -> ScanResult:
	"""Read every tenant that the scan under way has not read yet, and keep its figures.

	Stops after `most_seconds` at the next tenant; the next run goes on from there. `progress` is told how many
	are to be read and gives what is called after each. Raises ScanRunning, NotSent where the tenants
	cannot be counted or their quota is wrong, and HistoryError.
	"""
	config.require(QUOTA_KEYS)
	sites = locate_sites(config, count_tenants(config))
	with contextlib.ExitStack() as held:
		held.enter_context(_only_one(config.bench.sites))
		set_aside = set_aside_if_corrupt(config.bench.sites)
		history = held.enter_context(TenantHistory(config.bench.sites, write=True))
		now = clock()
		begun_at = _begin_or_go_on(history, now)
		read_at = history.read_times()
		# What was read in the future was read before the clock went back.
		waiting = [located for located in sites if not begun_at <= read_at.get(_key(located), 0.0) <= now]
		# Where no scan ever ends in its time, nobody's figures grow older than everybody's.
		waiting.sort(key=lambda located: read_at.get(_key(located), 0.0))
		started, over = time.monotonic(), 0
		advance = held.enter_context(progress(len(waiting)))
		for located in waiting:
			if most_seconds is not None and time.monotonic() - started >= most_seconds:
				break
			history.keep(_read(located, environ, clock))
			over += 1
			advance()
		left = len(waiting) - over
		if not left:
			history.end(clock(), {_key(located) for located in sites})
		return ScanResult(over, len(sites) - len(waiting), left, set_aside)


def _begin_or_go_on(history: TenantHistory, now: float) -> float:
	last = history.scan_times()
	if last is not None and last.ended_at is None and 0 <= now - last.begun_at < RESUMED_SECONDS:
		return last.begun_at
	history.begin(now)
	return now


def _read(located: LocatedSite, environ: Mapping[str, str], clock: Callable[[], float]) -> Tenant:
	disk = read_site(located, sizes=True)
	[(_, figures)] = read_databases([located], environ, concurrency=1)
	return Tenant(located.site, disk, figures, clock(), located.quota)


def _key(located: LocatedSite) -> tuple[str, str]:
	return located.site.bench, located.site.name


@contextlib.contextmanager
def _only_one(sites: str) -> Iterator[None]:
	"""Hold a lock of the scan's own, gone with its holder.

	On a file of its own: to close any descriptor of SQLite's file would take away SQLite's own locks.
	"""
	folder = StateFolder(sites)
	path = os.path.join(folder.path, LOCK_NAME)
	try:
		folder.make_file(LOCK_NAME)
		# O_NONBLOCK: a FIFO of that name must not hold up a worker.
		descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
	except OSError as error:
		raise HistoryError(f"{sanitize(path)}: {error.strerror or error}") from None
	try:
		_lock(descriptor, path)
		yield
	finally:
		os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
	try:
		fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
	except BlockingIOError:
		raise ScanRunning("another process is scanning the tenants") from None
	except OSError as error:
		raise HistoryError(f"{sanitize(path)} cannot be locked: {error.strerror or error}") from None
