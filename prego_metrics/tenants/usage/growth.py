"""Which tenants are the largest, which grow fastest, and how one of them came to its size: from the usage store alone.

Sites that do not count are included: they use disk too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.reader import Ages, Day, ScanTimes, opened_to_read
from prego_metrics.tenants.usage.store import DAY_SECONDS, KEPT_DAYS


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

	`known_days` lie between the first and the last scan in them, 0 where no tenant was scanned on two days;
	`tenants` were; `bytes_a_day` is the sum over these, what shrank included.
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
	# The latest usage of those in `growth.fastest`, in its order.
	growing: tuple[Tenant | None, ...]


@dataclass(frozen=True)
class TenantDays:
	"""One tenant day by day from `first_day` (numbered from the epoch, UTC) on; None is a day without a scan."""

	tenant: Tenant | None
	first_day: int
	days: tuple[Day | None, ...]


def overview(sites: str, now: float, *, days: int, count: int, name_contains: str = "") -> Overview | None:
	"""Return the `count` largest and fastest growing in the last `days`, None before the first scan.

	Raises StoreError.
	"""
	with opened_to_read(sites) as store:
		ages = store.ages(now) if store else None
		if store is None or ages is None:
			return None
		growth = growth_of(store.ends(now - days * DAY_SECONDS, now, name_contains), count)
		return Overview(
			ages,
			store.scan_times(),
			tuple(store.largest_tenants(count, name_contains)),
			growth,
			tuple(store.tenant(one.bench, one.site) for one in growth.fastest),
		)


def tenant_days(sites: str, bench: str, site: str, now: float) -> TenantDays | None:
	"""Return a tenant's days as far back as they are stored, None where there are none. Raises StoreError."""
	with opened_to_read(sites) as store:
		days = store.days_of(bench, site, now - KEPT_DAYS * DAY_SECONDS, now) if store else []
		if store is None or not days:
			return None
		today = int(now // DAY_SECONDS)
		return TenantDays(store.tenant(bench, site), days[0].day, in_order(days, today))


def growth_of(days: Sequence[Day], count: int) -> Growth:
	"""Return what grew between the first and the last of `days` of each tenant; of these the `count` fastest."""
	all_grown = grown(days)
	return Growth(
		tuple(one for one in all_grown if one.bytes > 0)[:count],
		len(all_grown),
		max((one.days for one in all_grown), default=0),
		sum(one.bytes_a_day for one in all_grown),
	)


def grown(days: Iterable[Day]) -> list[Grown]:
	"""Return how much each tenant grew, the fastest first; those with one day only are left out."""
	ends: dict[tuple[str, str], tuple[Day, Day]] = {}
	for day in sorted(days, key=lambda one: one.day):
		key = (day.bench, day.site)
		ends[key] = (ends[key][0] if key in ends else day, day)
	tenants = [
		Grown(*key, size, last.day - first.day)
		for key, (first, last) in ends.items()
		if last.day > first.day and (size := _difference(first, last)) is not None
	]
	return sorted(tenants, key=lambda one: (-one.bytes_a_day, one.bench, one.site))


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
	"""Return one entry for each day from the first of `days` to yesterday, None where it was not scanned.

	Today has one only if it was scanned: its scan may be due yet.
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
