"""The cache of the tenants' figures as the pages ask it: the largest, one tenant, first and last days.

Never all of it: a node may hold ten thousand tenants with 400 days each.
"""

from __future__ import annotations

from dataclasses import dataclass

from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.store import DAY_SECONDS, Day, TenantHistory, is_day, tenants_in


@dataclass(frozen=True)
class Ages:
	"""Of how many sites figures are kept, and when the oldest and the newest were read, in Unix seconds."""

	sites: int
	oldest_at: float
	newest_at: float


class TenantReader(TenantHistory):
	"""The file, open to be read. Every method raises HistoryError and nothing else."""

	def ages(self, now: float) -> Ages | None:
		"""Return how old the latest figures are, None before the first; a time after `now` is none of ours."""
		with self._said():
			sites, oldest_at, newest_at = self._connection.execute(
				"SELECT COUNT(*), MIN(read_at), MAX(read_at) FROM latest WHERE read_at BETWEEN 0 AND ?",
				(now + DAY_SECONDS,),
			).fetchone()
		return Ages(sites, oldest_at, newest_at) if sites else None

	def largest_tenants(self, most: int, name_contains: str = "") -> list[Tenant]:
		"""Return the latest figures of the largest tenants, whatever the case of what their name contains."""
		with self._said():
			rows = self._connection.execute(
				"SELECT content FROM latest WHERE instr(lower(site), lower(?)) > 0 "
				"ORDER BY total_bytes DESC, bench, site LIMIT ?",
				(name_contains, most),
			).fetchall()
		return list(tenants_in(rows))

	def tenant(self, bench: str, site: str) -> Tenant | None:
		"""Return a tenant's latest figures, None where there are none."""
		with self._said():
			rows = self._connection.execute(
				"SELECT content FROM latest WHERE bench = ? AND site = ?", (bench, site)
			).fetchall()
		return next(tenants_in(rows), None)

	def ends(self, since: float, until: float, name_contains: str = "") -> list[Day]:
		"""Return the first and the last day from `since` to `until` of each tenant that was last scanned.

		Two seeks for each tenant, however many days there are: the page asks this of ten thousand.
		"""
		days = {"since": int(since // DAY_SECONDS), "until": int(until // DAY_SECONDS)}
		of_one = "FROM days WHERE bench = l.bench AND site = l.site AND day BETWEEN :since AND :until"
		with self._said():
			rows = self._connection.execute(
				"SELECT d.bench, d.site, d.day, d.files_bytes, d.backups_bytes, d.database_bytes, d.enabled_users "
				"FROM latest AS l CROSS JOIN days AS d ON d.bench = l.bench AND d.site = l.site "
				f"AND d.day IN ((SELECT MIN(day) {of_one}), (SELECT MAX(day) {of_one})) "
				"WHERE instr(lower(l.site), lower(:contains)) > 0 ORDER BY d.day",
				{**days, "contains": name_contains},
			).fetchall()
		return [Day(*row) for row in rows if is_day(row)]

	def days_of(self, bench: str, site: str, since: float, until: float) -> list[Day]:
		"""Return one tenant's days from `since` to `until` (Unix seconds), oldest first."""
		with self._said():
			rows = self._connection.execute(
				"SELECT bench, site, day, files_bytes, backups_bytes, database_bytes, enabled_users FROM days "
				"WHERE bench = ? AND site = ? AND day BETWEEN ? AND ? ORDER BY day",
				(bench, site, int(since // DAY_SECONDS), int(until // DAY_SECONDS)),
			).fetchall()
		return [Day(*row) for row in rows if is_day(row)]
