"""What was scanned of the tenants: the latest figures of each, and one row a day for 400 days.

A SQLite file in the state folder, with the folder's own modes. It is input too, since any app of the bench can
write it: a file that is none of ours is an error that says so, and figures that are none are left out.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.state.store import FOLDER_NAME, StateFolder
from prego_metrics.tenants.inventory.tenant import Tenant, tenant_as_stored, tenant_from_dict

FILE_NAME = "tenants.sqlite"
# The first that was set aside may hold a year's history: only the last is ever replaced.
SET_ASIDE_NAMES = (f"{FILE_NAME}.set-aside", f"{FILE_NAME}.set-aside-2", f"{FILE_NAME}.set-aside-3")
KEPT_DAYS = 400
DAY_SECONDS = 86400
_VERSION = 2
_BUSY_SECONDS = 5.0
_LATEST_SECOND = 1e11
# The slowest question is asked of four million days, and takes a second or two.
_MAX_SECONDS = 30.0
_STEPS_BETWEEN_LOOKS = 100_000
_SCHEMA = """
CREATE TABLE latest (
	bench TEXT, site TEXT, read_at REAL NOT NULL, content TEXT NOT NULL, total_bytes INTEGER, files_bytes INTEGER,
	database_bytes INTEGER, backup_at REAL, PRIMARY KEY (bench, site)
) WITHOUT ROWID;
CREATE TABLE days (
	bench TEXT, site TEXT, day INTEGER, files_bytes INTEGER, backups_bytes INTEGER, database_bytes INTEGER,
	enabled_users INTEGER, PRIMARY KEY (bench, site, day)
) WITHOUT ROWID;
CREATE TABLE scan (id INTEGER PRIMARY KEY CHECK (id = 1), begun_at REAL NOT NULL, ended_at REAL);
"""


Opened = TypeVar("Opened", bound="TenantHistory")


class HistoryError(PregoMetricsError):
	"""The file of the tenants' figures cannot be read or written; the message says why."""

	default_code = "usage_unreadable"


class CorruptHistory(HistoryError):
	"""The file is no SQLite database, or a damaged one."""


@dataclass(frozen=True)
class ScanTimes:
	"""When the last scan began, and ended (None: it has not, or was killed). Unix seconds."""

	begun_at: float
	ended_at: float | None


@dataclass(frozen=True)
class Day:
	"""One tenant on one day, numbered from the epoch in UTC; None is what was not scanned."""

	bench: str
	site: str
	day: int
	files_bytes: int | None
	backups_bytes: int | None
	database_bytes: int | None
	enabled_users: int | None

	@property
	def total_bytes(self) -> int:
		return sum(size or 0 for size in (self.files_bytes, self.backups_bytes, self.database_bytes))


class TenantHistory:
	"""The file, open for the time of a `with` block. Every method raises HistoryError and nothing else."""

	def __init__(self, sites: str, *, write: bool = False) -> None:
		self._folder = StateFolder(sites)
		self.path = os.path.join(sites, FOLDER_NAME, FILE_NAME)
		self._write = write
		self._give_up_at = 0.0

	def __enter__(self: Opened) -> Opened:
		with self._said():
			if self._write:
				self._folder.make_file(FILE_NAME)
			# Two processes may open it at once; a symlink in its place would be followed.
			if os.path.islink(self.path):
				raise HistoryError(
					message("{path} is a symlink, and is not followed", path=sanitize(self.path))
				)
			self._connection = sqlite3.connect(
				f"file:{_as_uri(self.path)}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
			)
			try:
				self._prepare()
			except BaseException:
				self._connection.close()
				raise
		return self

	def __exit__(self, *_: object) -> None:
		self._connection.close()

	def _prepare(self) -> None:
		# A table may be a view by now, and a view may never end.
		self._connection.execute("PRAGMA trusted_schema = OFF")
		self._connection.set_progress_handler(
			lambda: time.monotonic() > self._give_up_at, _STEPS_BETWEEN_LOOKS
		)
		if not self._write:
			self._connection.execute("PRAGMA query_only = ON")
		(version,) = self._connection.execute("PRAGMA user_version").fetchone()
		if version == 0 and self._write:
			with self._transaction():
				(version,) = self._connection.execute("PRAGMA user_version").fetchone()
				if version == 0:
					for statement in filter(str.strip, _SCHEMA.split(";")):
						self._connection.execute(statement)
					self._connection.execute(f"PRAGMA user_version = {_VERSION}")
		elif version not in (0, _VERSION):
			raise HistoryError(
				message(
					"{path} is of another version ({version}): move it away",
					path=sanitize(self.path),
					version=version,
				)
			)

	@contextlib.contextmanager
	def _transaction(self) -> Iterator[None]:
		self._connection.execute("BEGIN IMMEDIATE")
		try:
			yield
		except BaseException:
			self._connection.execute("ROLLBACK")
			raise
		self._connection.execute("COMMIT")

	@contextlib.contextmanager
	def _said(self, most_seconds: float = _MAX_SECONDS) -> Iterator[None]:
		self._give_up_at = time.monotonic() + most_seconds
		try:
			yield
		except sqlite3.Error as error:
			error_text = sanitize(str(error), 200)
			# Only what SQLite finds wrong in the file itself is of this class and none below it.
			if type(error) is sqlite3.DatabaseError:
				raise CorruptHistory(
					message(
						"{path}: {error}. Run `prego-metrics tenants --scan`: it sets the file aside and starts "
						"a new one",
						path=sanitize(self.path),
						error=error_text,
					)
				) from None
			raise HistoryError(self._trouble(error_text)) from None
		except OSError as error:
			raise HistoryError(self._trouble(error.strerror or str(error))) from None

	def _trouble(self, reason: str) -> Message:
		return message("{path}: {reason}", path=sanitize(self.path), reason=reason)

	def check(self) -> None:
		"""Read the whole file. Raises CorruptHistory where it is damaged."""
		with self._said(math.inf):
			(found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
			if found != "ok":
				raise sqlite3.DatabaseError(found)

	def scan_times(self) -> ScanTimes | None:
		"""Return when the last scan began and ended, None before the first."""
		with self._said():
			row = self._connection.execute("SELECT begun_at, ended_at FROM scan").fetchone()
		if row is None or not _is_time(row[0]) or not (row[1] is None or _is_time(row[1])):
			return None
		return ScanTimes(*row)

	def begin(self, now: float) -> None:
		"""Note that a new scan begins."""
		with self._said():
			self._connection.execute("REPLACE INTO scan VALUES (1, ?, NULL)", (now,))

	def read_times(self) -> dict[tuple[str, str], float]:
		"""Return when each tenant was last read, in Unix seconds, by bench and site."""
		with self._said():
			rows = self._connection.execute("SELECT bench, site, read_at FROM latest").fetchall()
		return {(bench, site): at for bench, site, at in rows if _is_time(at)}

	def keep(self, tenant: Tenant) -> None:
		"""Keep a tenant's figures: as the latest, and as this day's."""
		key = (tenant.site.bench, tenant.site.name)
		users = tenant.database.enabled_users if tenant.database else None
		content = json.dumps(tenant_as_stored(tenant))
		with self._said(), self._transaction():
			self._connection.execute(
				"REPLACE INTO latest VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
				(
					*key,
					tenant.read_at,
					content,
					tenant.total_bytes,
					tenant.files_bytes,
					tenant.database_bytes,
					tenant.disk.backups.newest_at if tenant.disk else None,
				),
			)
			self._connection.execute(
				"REPLACE INTO days VALUES (?, ?, ?, ?, ?, ?, ?)",
				(
					*key,
					int(tenant.read_at // DAY_SECONDS),
					tenant.files_bytes,
					tenant.backups_bytes,
					tenant.database_bytes,
					users,
				),
			)

	def end(self, now: float, present: Collection[tuple[str, str]]) -> None:
		"""Note that the scan is over: forget the latest of sites that are gone, and days too old.

		So are days to come, of a clock that went back: growth would be reckoned from them.
		"""
		with self._said(), self._transaction():
			known = self._connection.execute("SELECT bench, site FROM latest").fetchall()
			gone = [key for key in known if tuple(key) not in present]
			self._connection.executemany("DELETE FROM latest WHERE bench = ? AND site = ?", gone)
			today = int(now // DAY_SECONDS)
			self._connection.execute("DELETE FROM days WHERE day <= ? OR day > ?", (today - KEPT_DAYS, today))
			self._connection.execute("UPDATE scan SET ended_at = ?", (now,))

	def latest(self) -> list[Tenant]:
		"""Return the latest figures of each tenant; what is none of ours is left out."""
		with self._said():
			rows = self._connection.execute("SELECT content FROM latest").fetchall()
		return list(tenants_in(rows))

	def largest(self, most: int) -> list[tuple[Any, ...]]:
		"""Return bench, site, bytes of files and database, and the newest backup's time, the largest first.

		Without reading all that is known of them: a scrape asks this of ten thousand.
		"""
		with self._said():
			rows = self._connection.execute(
				"SELECT bench, site, files_bytes, database_bytes, backup_at FROM latest "
				"ORDER BY total_bytes DESC LIMIT ?",
				(most,),
			).fetchall()
		return [row for row in rows if _is_plain(row)]


def set_aside_if_corrupt(sites: str) -> str | None:
	"""Move a damaged file away, to be looked at later; return what was done in words, or None.

	Only who holds the scan's lock may ask for that. Raises HistoryError.
	"""
	try:
		with TenantHistory(sites, write=True) as history:
			history.check()
		return None
	except CorruptHistory:
		folder = os.path.join(sites, FOLDER_NAME)
		path = os.path.join(folder, FILE_NAME)
	free = (name for name in SET_ASIDE_NAMES if not os.path.lexists(os.path.join(folder, name)))
	name = next(free, SET_ASIDE_NAMES[-1])
	try:
		os.replace(path, os.path.join(folder, name))
		# SQLite would play the old file's journal back into the new file.
		with contextlib.suppress(FileNotFoundError):
			os.replace(f"{path}-journal", os.path.join(folder, f"{name}-journal"))
	except OSError as error:
		raise HistoryError(f"{sanitize(path)} is damaged and cannot be set aside: {error.strerror}") from None
	return f"{sanitize(path)} was damaged: it was set aside as {name}, and a new one is begun"


def cached_series(sites: str, most: int) -> list[tuple[Any, ...]]:
	"""Return what `TenantHistory.largest` has, an empty list before the first scan. Raises HistoryError."""
	if not os.path.lexists(os.path.join(sites, FOLDER_NAME, FILE_NAME)):
		return []
	with TenantHistory(sites) as history:
		return history.largest(most)


def cached_tenants(sites: str) -> list[Tenant]:
	"""Return what was last scanned, an empty list before the first scan. Raises HistoryError."""
	if not os.path.lexists(os.path.join(sites, FOLDER_NAME, FILE_NAME)):
		return []
	with TenantHistory(sites) as history:
		return history.latest()


def tenants_in(rows: list[tuple[Any]]) -> Iterator[Tenant]:
	"""Yield what the column `content` holds; what is none of ours is left out."""
	for (content,) in rows:
		try:
			yield tenant_from_dict(json.loads(content))
		except (ValueError, TypeError, RecursionError):
			continue


def _is_plain(row: tuple[Any, ...]) -> bool:
	return all(isinstance(text, str) for text in row[:2]) and all(
		number is None or type(number) in (int, float) for number in row[2:]
	)


def is_day(row: tuple[Any, ...]) -> bool:
	"""Tell whether a row of `days` holds texts and amounts."""
	texts, numbers = row[:2], row[2:]
	return all(isinstance(text, str) for text in texts) and all(
		number is None or (type(number) is int and number >= 0) for number in numbers
	)


def _is_time(value: Any) -> bool:
	return type(value) is float and 0 <= value < _LATEST_SECOND


def _as_uri(path: str) -> str:
	from urllib.parse import quote

	return quote(os.fsencode(path))
