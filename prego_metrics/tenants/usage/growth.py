"""Which tenants are the largest, which grow fastest, and how one of them came to its size: from the cache alone.

Sites that do not count are in it too: they take their room all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prego_metrics.agent.state.store import FOLDER_NAME
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.queries import Ages, TenantReader
from prego_metrics.tenants.usage.store import DAY_SECONDS, FILE_NAME, KEPT_DAYS, Day, ScanTimes


@dataclass(frozen=True)
class Grown:
	"""How much one tenant grew between its first and last day, in bytes; only sizes that both days have."""

	bench: str
	site: str
	bytes: int
	days: int

	@property
	def bytes_a_day(self) -> float:
		return self.bytes / self.days


@dataclass(frozen=True)
class Growth:
	"""What grew in the days that were looked at.

	`known_days` lie between the first and the last figures in them, 0 where no tenant has figures of two days;
	`tenants` have them; `bytes_a_day` is the sum over these, what shrank included.
	"""

	fastest: tuple[Grown, ...]
	tenants: int
	known_days: int
	bytes_a_day: float


@dataclass(frozen=True)
class Overview:
	"""The largest tenants and the fastest growing, and how old that is."""

	ages: Ages
	scan: ScanTimes | None
	largest: tuple[Tenant, ...]
	growth: Growth
	# The latest figures of those in `growth.fastest`, in its order.
	growing: tuple[Tenant | None, ...]


@dataclass(frozen=True)
class TenantDays:
	"""One tenant day by day from `first_day` (numbered from the epoch, UTC) on; None is a day without figures."""

	tenant: Tenant | None
	first_day: int
	days: tuple[Day | None, ...]


def overview(sites: str, now: float, *, days: int, most: int, name_contains: str = "") -> Overview | None:
	"""Return the `most` largest and fastest growing in the last `days`, None before the first scan.

	Raises HistoryError.
	"""
	if not _exists(sites):
		return None
	with TenantReader(sites) as history:
		ages = history.ages(now)
		if ages is None:
			return None
		growth = growth_of(history.ends(now - days * DAY_SECONDS, now, name_contains), most)
		return Overview(
			ages,
			history.scan_times(),
			tuple(history.largest_tenants(most, name_contains)),
			growth,
			tuple(history.tenant(one.bench, one.site) for one in growth.fastest),
		)


def tenant_days(sites: str, bench: str, site: str, now: float) -> TenantDays | None:
	"""Return a tenant's days as far back as they are kept, None where there are none. Raises HistoryError."""
	if not _exists(sites):
		return None
	with TenantReader(sites) as history:
		found = history.days_of(bench, site, now - KEPT_DAYS * DAY_SECONDS, now)
		if not found:
			return None
		today = int(now // DAY_SECONDS)
		return TenantDays(history.tenant(bench, site), found[0].day, in_order(found, today))


def growth_of(days: Sequence[Day], most: int) -> Growth:
	"""Return what grew between the first and the last of `days` of each tenant; of these the `most` fastest."""
	found = grown(days)
	return Growth(
		tuple(one for one in found if one.bytes > 0)[:most],
		len(found),
		max((one.days for one in found), default=0),
		sum(one.bytes_a_day for one in found),
	)


def grown(days: Iterable[Day]) -> list[Grown]:
	"""Return how much each tenant grew, the fastest first; those with one day only are left out."""
	ends: dict[tuple[str, str], tuple[Day, Day]] = {}
	for day in sorted(days, key=lambda one: one.day):
		key = (day.bench, day.site)
		ends[key] = (ends[key][0] if key in ends else day, day)
	found = [
		Grown(*key, size, last.day - first.day)
		for key, (first, last) in ends.items()
		if last.day > first.day and (size := _difference(first, last)) is not None
	]
	return sorted(found, key=lambda one: (-one.bytes_a_day, one.bench, one.site))


def _difference(first: Day, last: Day) -> int | None:
	# A database that was not read on one of the days has not grown from nothing.
	pairs = [
		(first.files_bytes, last.files_bytes),
		(first.backups_bytes, last.backups_bytes),
		(first.database_bytes, last.database_bytes),
	]
	known = [after - before for before, after in pairs if before is not None and after is not None]
	return sum(known) if known else None


def in_order(days: Sequence[Day], today: int) -> tuple[Day | None, ...]:
	"""Return one entry for each day from the first of `days` to yesterday, None where there are no figures.

	Today has one only if it has figures: it is not over, and its scan may be due yet.
	"""
	known = {day.day: day for day in days}
	if not known:
		return ()
	last = max(today - 1, *known)
	return tuple(known.get(day) for day in range(min(known), last + 1))


def known_total(day: Day) -> int | None:
	"""Return what a tenant took on that day, None where a part of it was not read: a sum of the rest is no total."""
	parts = (day.files_bytes, day.backups_bytes, day.database_bytes)
	return None if None in parts else day.total_bytes


def _exists(sites: str) -> bool:
	return os.path.lexists(os.path.join(sites, FOLDER_NAME, FILE_NAME))
