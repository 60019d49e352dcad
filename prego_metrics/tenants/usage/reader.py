"""What is read of the usage store: the last scan, the largest tenants, growth, one tenant and its days.

Never all of it for a page: a node may hold ten thousand tenants with 400 days each.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.store import DAY_SECONDS, UsageStore, store_path
from prego_metrics.tenants.usage.stored_tenant import tenant_from_stored

_LATEST_SECOND = 1e11


class ScanTimes(NamedTuple):
	"""When the last scan began, and ended (None: it has not, or was killed). Unix seconds."""

	begun_at: float
	ended_at: float | None


class Ages(NamedTuple):
	"""How many sites were scanned, and when the oldest and the newest of them, in Unix seconds."""

	sites: int
	oldest_at: float
	newest_at: float


class Day(NamedTuple):
	"""The sizes of one tenant on one day; None is what was not read."""

	files_bytes: int | None
	backups_bytes: int | None
	database_bytes: int | None

	@property
	def total_bytes(self) -> int | None:
		"""All three, None where one was not read: a sum of the rest is no total."""
		known = [size for size in self if size is not None]
		return sum(known) if len(known) == len(self) else None


class Grown(NamedTuple):
	"""How much one tenant grew in some days, in bytes; only sizes that the first and the last of them have."""

	bench: str
	site: str
	days: int
	bytes: int

	@property
	def bytes_a_day(self) -> float:
		return self.bytes / self.days


class SiteSizes(NamedTuple):
	"""What a scrape shows of a site: bytes, and when its newest backup was written, in Unix seconds."""

	bench: str
	site: str
	files_bytes: int | None
	database_bytes: int | None
	backup_at: float | None


class UsageReader(UsageStore):
	"""The usage store, open to be read."""

	def scan_times(self) -> ScanTimes | None:
		"""Return when the last scan began and ended, None before the first."""
		for begun_at, ended_at in self._rows("SELECT begun_at, ended_at FROM scan"):
			if _is_time(begun_at) and (ended_at is None or _is_time(ended_at)):
				return ScanTimes(begun_at, ended_at)
		return None

	def read_times(self) -> dict[tuple[str, str], float]:
		"""Return when each tenant was last read, in Unix seconds, by bench and site."""
		rows = self._rows("SELECT bench, site, read_at FROM latest")
		return {(bench, site): at for bench, site, at in rows if _is_time(at)}

	def ages(self, now: float) -> Ages | None:
		"""Return how old the latest usage is, None before the first; times after `now` are left out."""
		[(sites, oldest_at, newest_at)] = self._rows(
			"SELECT COUNT(*), MIN(read_at), MAX(read_at) FROM latest WHERE read_at BETWEEN 0 AND ?",
			now + DAY_SECONDS,
		)
		return Ages(sites, oldest_at, newest_at) if sites else None

	def latest(self) -> list[Tenant]:
		return list(_tenants(self._rows("SELECT content FROM latest")))

	def tenant(self, bench: str, site: str) -> Tenant | None:
		"""Return a tenant's latest usage, None where there is none."""
		rows = self._rows("SELECT content FROM latest WHERE bench = ? AND site = ?", bench, site)
		return next(_tenants(rows), None)

	def largest_tenants(self, count: int, name_contains: str = "") -> list[Tenant]:
		"""Return the latest usage of the largest tenants, whatever the case of what their name contains."""
		rows = self._rows(
			"SELECT content FROM latest WHERE instr(lower(site), lower(?)) > 0 "
			"ORDER BY total_bytes DESC, bench, site LIMIT ?",
			name_contains,
			count,
		)
		return list(_tenants(rows))

	def largest_sizes(self, count: int) -> list[SiteSizes]:
		"""Return the sizes of the largest tenants without the rest: a scrape asks this of ten thousand."""
		rows = self._rows(
			"SELECT bench, site, files_bytes, database_bytes, backup_at FROM latest "
			"ORDER BY total_bytes DESC LIMIT ?",
			count,
		)
		return [SiteSizes(*row) for row in rows if _holds(row, (int, float))]

	def growth(self, since: float, until: float, name_contains: str = "") -> list[Grown]:
		"""Return how much each tenant grew from its first to its last day from `since` to `until`.

		Those with one day only are left out. A database that was not read on one of the two days has not grown from
		nothing. Two seeks for each tenant, however many days there are: the page asks this of ten thousand.
		"""
		day = "(SELECT {}(day) FROM days WHERE bench = l.bench AND site = l.site AND day BETWEEN ? AND ?)"
		days = int(since // DAY_SECONDS), int(until // DAY_SECONDS)
		differences = [f"last.{size} - first.{size}" for size in Day._fields]
		rows = self._rows(
			"SELECT l.bench, l.site, last.day - first.day, "
			+ " + ".join(f"COALESCE({difference}, 0)" for difference in differences)
			+ " FROM latest AS l "
			f"CROSS JOIN days AS first USING (bench, site) CROSS JOIN days AS last USING (bench, site) "
			f"WHERE first.day = {day.format('MIN')} AND last.day = {day.format('MAX')} AND last.day > first.day "
			f"AND COALESCE({', '.join(differences)}) IS NOT NULL AND instr(lower(l.site), lower(?)) > 0",
			*days,  # of the first day
			*days,  # of the last one
			name_contains,
		)
		return [Grown(*row) for row in rows if _holds(row, (int,))]

	def days_of(self, bench: str, site: str, since: float, until: float) -> dict[int, Day]:
		"""Return one tenant's days from `since` to `until` (Unix seconds), numbered from the epoch in UTC."""
		rows = self._rows(
			f"SELECT day, {', '.join(Day._fields)} FROM days WHERE bench = ? AND site = ? AND day BETWEEN ? AND ?",
			bench,
			site,
			int(since // DAY_SECONDS),
			int(until // DAY_SECONDS),
		)
		return {
			day: Day(*sizes)
			for day, *sizes in rows
			if all(size is None or (type(size) is int and size >= 0) for size in sizes)
		}

	def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
		with self._limited():
			return self._connection.execute(query, values).fetchall()


@contextlib.contextmanager
def opened_to_read(sites: str) -> Iterator[UsageReader | None]:
	"""Open the usage store of a bench for the time of a `with` block, None before the first scan. Raises StoreError."""
	if not os.path.lexists(store_path(sites)):
		yield None
		return
	with UsageReader(sites) as reader:
		yield reader


def stored_tenants(sites: str) -> list[Tenant]:
	"""Return the latest usage of each tenant, an empty list before the first scan. Raises StoreError."""
	with opened_to_read(sites) as reader:
		return reader.latest() if reader else []


def _tenants(rows: Iterable[tuple[Any, ...]]) -> Iterator[Tenant]:
	for (content,) in rows:
		try:
			yield tenant_from_stored(json.loads(content))
		except (ValueError, TypeError, RecursionError):
			continue  # not ours


def _holds(row: tuple[Any, ...], numbers: tuple[type, ...]) -> bool:
	"""Tell whether a row holds a bench and a site, and behind them numbers of these types or None."""
	return all(isinstance(name, str) for name in row[:2]) and all(
		value is None or type(value) in numbers for value in row[2:]
	)


def _is_time(value: Any) -> bool:
	return type(value) is float and 0 <= value < _LATEST_SECOND
