"""Which tenants are the largest, which grow fastest, and how one of them came to its size: from the usage store alone.

Sites that do not count are included: they use disk too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.reader import Ages, Day, Grown, opened_to_read
from prego_metrics.tenants.usage.store import DAY_SECONDS, KEPT_DAYS


@dataclass(frozen=True)
class Overview:
	"""The largest tenants and the fastest growing, and how old that is.

	`fastest` has those that grew, each with its latest usage; `tenants` were scanned on two days or more, at most
	`known_days` apart; `bytes_a_day` is the sum over these, what shrank included.
	"""

	ages: Ages
	unfinished: bool
	largest: list[Tenant]
	fastest: list[tuple[Grown, Tenant | None]]
	tenants: int
	known_days: int
	bytes_a_day: float


class TenantDays(NamedTuple):
	"""One tenant day by day from `first_day` (numbered from the epoch, UTC) on; None is a day without a scan."""

	tenant: Tenant | None
	first_day: int
	days: list[Day | None]


def overview(sites: str, now: float, *, days: int, count: int, name_contains: str = "") -> Overview | None:
	"""Return the `count` largest and fastest growing in the last `days`, None before the first scan.

	Raises StoreError.
	"""
	with opened_to_read(sites) as store:
		ages = store.ages(now) if store else None
		if store is None or ages is None:
			return None
		times = store.scan_times()
		all_grown = sorted(
			store.growth(now - days * DAY_SECONDS, now, name_contains),
			key=lambda one: (-one.bytes_a_day, one.bench, one.site),
		)
		return Overview(
			ages,
			unfinished=bool(times and times.ended_at is None),
			largest=store.largest_tenants(count, name_contains),
			fastest=[(one, store.tenant(one.bench, one.site)) for one in all_grown[:count] if one.bytes > 0],
			tenants=len(all_grown),
			known_days=max((one.days for one in all_grown), default=0),
			bytes_a_day=sum(one.bytes_a_day for one in all_grown),
		)


def tenant_days(sites: str, bench: str, site: str, now: float) -> TenantDays | None:
	"""Return a tenant's days as far back as they are stored, None where there are none. Raises StoreError.

	They end yesterday, or today if it was scanned: today's scan may be due yet.
	"""
	with opened_to_read(sites) as store:
		days = store.days_of(bench, site, now - KEPT_DAYS * DAY_SECONDS, now) if store else {}
		if store is None or not days:
			return None
		last_day = max(int(now // DAY_SECONDS) - 1, *days)
		in_order = [days.get(day) for day in range(min(days), last_day + 1)]
		return TenantDays(store.tenant(bench, site), min(days), in_order)
