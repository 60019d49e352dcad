"""How many more average tenants the node could take: a forecast with a range, and never part of a push.

Disk is forecast from the sizes that were collected of each tenant, memory from the host's use now, shared
equally among the tenants. What the system itself uses is in that share, so memory is forecast too low
rather than too high.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.store import Day

# Quartiles of fewer are no quartiles.
LEAST_TENANTS = 4
Key = tuple[str, str]  # bench and site


class CapacityUnknown(PregoMetricsError):
	"""There is too little to forecast from; the message says what is missing."""


@dataclass(frozen=True)
class Resource:
	"""A disk or the memory now, in bytes; what is used and what is available are all of it."""

	used_bytes: int
	available_bytes: int

	def room_bytes(self, threshold_pct: float) -> float:
		"""Return what may still be used before the threshold is passed; 0 where it is passed already."""
		return max(0.0, (self.used_bytes + self.available_bytes) * threshold_pct / 100 - self.used_bytes)


@dataclass(frozen=True)
class Range:
	"""More tenants that fit: if they are large, as the average, and if they are small."""

	low: int
	expected: int
	high: int


@dataclass(frozen=True)
class Sizes:
	"""What a tenant takes on disk, in bytes: files, backups and database, as far as they were read.

	not_read_whole counts the tenants of whose files and backups something is missing, without_database those
	whose database was not read.
	"""

	tenants: int
	lower_quartile: float
	mean: float
	upper_quartile: float
	without_database: int
	not_read_whole: int


@dataclass(frozen=True)
class Grown:
	"""What one tenant grew between its first and last day; only figures that both days have."""

	bench: str
	site: str
	bytes: int
	days: int

	@property
	def bytes_a_day(self) -> float:
		return self.bytes / self.days


@dataclass(frozen=True)
class Forecast:
	"""How many more fit, by disk and by memory; `limit` is which of the two the expected number is from."""

	disk: Range
	memory: Range
	fits: Range
	limit: str


def tenant_sizes(tenants: Iterable[Tenant], counted: Collection[Key]) -> Sizes:
	"""Return what the tenants that count now take. Raises CapacityUnknown where too few were read."""
	known = [
		tenant
		for tenant in tenants
		if (tenant.site.bench, tenant.site.name) in counted and tenant.files_bytes is not None
	]
	if len(known) < LEAST_TENANTS:
		raise CapacityUnknown(
			f"the sizes of {len(known)} tenants are known, and a forecast needs those of {LEAST_TENANTS}: "
			"collect them with `prego-metrics tenants --collect`"
		)
	sizes = [tenant.total_bytes for tenant in known]
	lower, _, upper = statistics.quantiles(sizes, n=4, method="inclusive")
	mean = statistics.fmean(sizes)
	if mean <= 0:
		raise CapacityUnknown(
			"the tenants that were read take nothing on disk: there is no size to forecast with"
		)
	without = sum(tenant.database_bytes is None for tenant in known)
	partly = sum(
		tenant.backups_bytes is None or bool(tenant.disk and tenant.disk.all_unreadable) for tenant in known
	)
	return Sizes(len(known), lower, mean, upper, without, partly)


def forecast(
	sizes: Sizes, disk: Resource, memory: Resource, tenants: int, *, disk_pct: float, memory_pct: float
) -> Forecast:
	"""Return how many more fit before a threshold is passed; `tenants` share the memory that is used now."""
	by_disk = _fitting(
		disk.room_bytes(disk_pct),
		# A few very large ones may lift the mean above the upper quartile.
		max(sizes.upper_quartile, sizes.mean),
		sizes.mean,
		min(sizes.lower_quartile or sizes.mean, sizes.mean),
	)
	each = memory.used_bytes / tenants
	by_memory = _fitting(memory.room_bytes(memory_pct), each, each, each)
	fits = Range(
		min(by_disk.low, by_memory.low),
		min(by_disk.expected, by_memory.expected),
		min(by_disk.high, by_memory.high),
	)
	return Forecast(by_disk, by_memory, fits, "disk" if by_disk.expected <= by_memory.expected else "memory")


def _fitting(room: float, large: float, average: float, small: float) -> Range:
	return Range(int(room // large), int(room // average), int(room // small))


def grown(days: Sequence[Day], counted: Collection[Key]) -> list[Grown]:
	"""Return what each tenant that counts now grew, the fastest first; those with one day only are left out."""
	ends: dict[Key, tuple[Day, Day]] = {}
	for day in sorted(days, key=lambda one: one.day):
		key = (day.bench, day.site)
		if key in counted:
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
