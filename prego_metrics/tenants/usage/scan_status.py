"""When a usage scan is due, whether one is running, and how far the last one has come."""

from __future__ import annotations

import os
from dataclasses import dataclass

from prego_metrics.agent.base.kernel import is_locked
from prego_metrics.agent.state.store import FOLDER_NAME
from prego_metrics.tenants.usage.reader import opened_to_read

LOCK_NAME = "tenants.lock"
NIGHT_HOURS = range(1, 5)
ONCE_A_NIGHT_SECONDS = 6 * 3600.0
MISSED_SECONDS = 26 * 3600.0


@dataclass(frozen=True)
class ScanStatus:
	"""The last scan: when it began and ended (None: not yet, or it was killed), in Unix seconds.

	read counts the sites that it has read; oldest_read_at is when the site was read that was read longest ago,
	None where the store holds none.
	"""

	begun_at: float
	ended_at: float | None
	read: int
	oldest_read_at: float | None

	def age(self, now: float) -> float:
		"""Return in seconds how long ago the site was read that was read longest ago."""
		return max(0.0, now - (self.begun_at if self.oldest_read_at is None else self.oldest_read_at))


def is_due(status: ScanStatus | None, now: float, hour: int) -> bool:
	"""Tell whether to start or continue a scan: `hour` is the local one, of a clock that asks every hour.

	A new scan begins once a night, or by day where a night was missed, which happens to a site that nobody
	logs in to. What was begun is continued at any hour.
	"""
	if status is None or status.ended_at is None:
		return True
	age = now - status.begun_at
	return age < 0 or age >= MISSED_SECONDS or (hour in NIGHT_HOURS and age >= ONCE_A_NIGHT_SECONDS)


def is_under_way(sites: str) -> bool:
	"""Tell whether a process scans on this bench now, as far as the kernel tells."""
	return is_locked(os.path.join(sites, FOLDER_NAME, LOCK_NAME)) is True


def last_scan(sites: str) -> ScanStatus | None:
	"""Return how far the last scan has come, or None before the first. Raises StoreError."""
	with opened_to_read(sites) as store:
		times = store.scan_times() if store else None
		if store is None or times is None:
			return None
		read_at = store.read_times().values()
	return ScanStatus(
		times.begun_at,
		times.ended_at,
		sum(at >= times.begun_at for at in read_at),
		min(read_at, default=None),
	)
