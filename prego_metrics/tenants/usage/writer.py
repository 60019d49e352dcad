"""What a scan writes into the usage store, and how a damaged one is moved away."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
from collections.abc import Collection

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.reader import UsageReader
from prego_metrics.tenants.usage.store import DAY_SECONDS, FILE_NAME, KEPT_DAYS, CorruptStore, StoreError
from prego_metrics.tenants.usage.stored_tenant import tenant_as_stored

# The first that was set aside may hold a year's history: only the last is ever replaced.
SET_ASIDE_NAMES = (f"{FILE_NAME}.set-aside", f"{FILE_NAME}.set-aside-2", f"{FILE_NAME}.set-aside-3")


class UsageWriter(UsageReader):
	"""The usage store, open to be read and written; made if it is not there."""

	writable = True

	def check(self) -> None:
		"""Read the whole file. Raises CorruptStore where it is damaged."""
		with self._limited(math.inf):
			(verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
			if verdict != "ok":
				raise sqlite3.DatabaseError(verdict)

	def begin_scan(self, now: float) -> None:
		with self._limited(), self._connection:
			self._connection.execute("REPLACE INTO scan VALUES (1, ?, NULL)", (now,))

	def save(self, tenant: Tenant) -> None:
		"""Save a tenant's usage: as its latest, and as this day's."""
		site, disk, database = tenant.site, tenant.disk, tenant.database
		files, backups, data = tenant.files_bytes, tenant.backups_bytes, tenant.database_bytes
		content, total = json.dumps(tenant_as_stored(tenant)), tenant.total_bytes
		backup_at = disk.backups.newest_at if disk else None
		latest = (site.bench, site.name, tenant.read_at, content, total, files, data, backup_at)
		users = database.enabled_users if database else None
		day = (site.bench, site.name, int(tenant.read_at // DAY_SECONDS), files, backups, data, users)
		with self._limited(), self._connection:
			self._connection.execute("REPLACE INTO latest VALUES (?, ?, ?, ?, ?, ?, ?, ?)", latest)
			self._connection.execute("REPLACE INTO days VALUES (?, ?, ?, ?, ?, ?, ?)", day)

	def end_scan(self, now: float, present: Collection[tuple[str, str]]) -> None:
		"""Note that the scan is over, and delete the latest of sites that are gone and days that are too old.

		So are days to come, of a clock that went back: growth would be computed from them.
		"""
		today = int(now // DAY_SECONDS)
		with self._limited(), self._connection:
			stored = self._connection.execute("SELECT bench, site FROM latest").fetchall()
			gone = [key for key in stored if key not in present]
			self._connection.executemany("DELETE FROM latest WHERE bench = ? AND site = ?", gone)
			self._connection.execute("DELETE FROM days WHERE day <= ? OR day > ?", (today - KEPT_DAYS, today))
			self._connection.execute("UPDATE scan SET ended_at = ?", (now,))


def set_aside_if_corrupt(sites: str) -> str | None:
	"""Move a damaged file away, to be looked at later; return what was done, or None.

	Only for the holder of the scan's lock. Raises StoreError.
	"""
	writer = UsageWriter(sites)
	try:
		with writer:
			writer.check()
		return None
	except CorruptStore:
		pass
	folder = os.path.dirname(writer.path)
	free = (name for name in SET_ASIDE_NAMES if not os.path.lexists(os.path.join(folder, name)))
	name = next(free, SET_ASIDE_NAMES[-1])
	try:
		os.replace(writer.path, os.path.join(folder, name))
		# SQLite would play the old file's journal back into the new file.
		with contextlib.suppress(FileNotFoundError):
			os.replace(f"{writer.path}-journal", os.path.join(folder, f"{name}-journal"))
	except OSError as error:
		raise StoreError(
			f"{sanitize(writer.path)} is damaged and cannot be moved aside: {error.strerror}"
		) from None
	return f"{sanitize(writer.path)} was damaged: moved to {name}, and a new file was started"
