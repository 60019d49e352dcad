"""What can be alerted: pushes fail, stop or arrive again, the count fell, a disk is full or free again."""

from __future__ import annotations

from dataclasses import dataclass

FAILING = "failing"


STALE = "stale"


RECOVERED = "recovered"


TENANTS_FELL = "tenants_fell"


DISK_FULL = "disk_full"


DISK_FREED = "disk_freed"


KINDS = (FAILING, STALE, RECOVERED, TENANTS_FELL, DISK_FULL, DISK_FREED)


GOOD_NEWS = (RECOVERED, DISK_FREED)


@dataclass(frozen=True)
class AlertEvent:
	"""One change, at `at` in seconds since the epoch.

	id is that of the push that made it, for `stale` that of the last delivered one. since is when the first
	of the failed pushes was tried, or when the last one was delivered before nothing was.
	"""

	id: str
	at: float
	kind: str
	failures: int = 0
	error: str | None = None
	since: float | None = None
	tenants_before: int | None = None
	tenants: int | None = None
	disk_pct: float | None = None
