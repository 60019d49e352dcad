"""What only a site's own database knows: its size, its apps, its users, failed jobs and stuck mails.

Each site is queried with its own credentials and fails alone, with one line that says why. What one version of Frappe
does not have is None.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone, tzinfo
from typing import Any

from prego_metrics.agent.base.messages import coded, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.tenants.inventory.database_session import (
	POSTGRES,
	Credentials,
	DatabaseError,
	Session,
	credentials,
	open_session,
)
from prego_metrics.tenants.inventory.site_folder import LocatedSite

CONCURRENCY = 4
# More than all queries of one session take by their limits on a slow server. PyMySQL bounds each read of a
# socket, and not their sum.
SITE_SECONDS = 150.0
STUCK_AFTER_SECONDS = 3600
_DAY_SECONDS = 86400
_MAX_APPS = 100
# The default of Frappe's System Settings (frappe/utils/data.py).
_FRAPPES_TIME_ZONE = "Asia/Kolkata"

_MARIADB_SIZE = (
	"SELECT COALESCE(SUM(data_length), 0), COALESCE(SUM(index_length), 0) "
	"FROM information_schema.tables WHERE table_schema = DATABASE()"
)
_POSTGRES_SIZE = (
	"SELECT COALESCE(SUM(pg_table_size(c.oid)), 0), COALESCE(SUM(pg_indexes_size(c.oid)), 0) "
	"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
	"WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
)


@dataclass(frozen=True)
class DatabaseUsage:
	"""What one site's database holds; None is unknown. error says why nothing or not everything could be read.

	Sizes are bytes as the server reports them, data and indexes apart. enabled_users leaves out Guest and
	Administrator; last_login_at is Unix seconds; failed_jobs_day counts the scheduled jobs that failed in
	the last day; stuck_mails are those queued for over an hour that ought to have gone.
	"""

	data_bytes: int | None = None
	index_bytes: int | None = None
	apps: Mapping[str, str] | None = field(default=None)
	enabled_users: int | None = None
	last_login_at: float | None = None
	failed_jobs_day: int | None = None
	stuck_mails: int | None = None
	error: str | None = None

	@property
	def bytes(self) -> int | None:
		"""Data and indexes together."""
		if self.data_bytes is None or self.index_bytes is None:
			return None
		return self.data_bytes + self.index_bytes


def read_database(
	located: LocatedSite, environ: Mapping[str, str], clock: Callable[[], float] = time.time
) -> DatabaseUsage:
	"""Query one site's database. Never raises for what can be wrong with it."""
	try:
		access = credentials(located.merged, environ)
		with open_session(access) as session:
			return _Queries(access, session, clock()).run()
	except DatabaseError as error:
		return DatabaseUsage(error=message_of(error))


class _Queries:
	"""The queries of one open session; those after the size may each be refused alone."""

	def __init__(self, access: Credentials, session: Session, now: float) -> None:
		self._access = access
		self._session = session
		self._now = now
		self._zone: tzinfo = timezone.utc
		self._errors: list[str] = []

	def run(self) -> DatabaseUsage:
		size = self._session.rows(_POSTGRES_SIZE if self._access.kind == POSTGRES else _MARIADB_SIZE)
		usage = DatabaseUsage(data_bytes=int(size[0][0]), index_bytes=int(size[0][1]))
		self._zone = self._time_zone()
		return replace(
			usage,
			apps=self._apps(),
			enabled_users=self._count(
				"SELECT COUNT(*) FROM `tabUser` WHERE enabled = 1 AND name NOT IN ('Guest', 'Administrator')"
			),
			last_login_at=self._last_login(),
			failed_jobs_day=self._count(
				"SELECT COUNT(*) FROM `tabScheduled Job Log` WHERE status = 'Failed' AND creation >= %s",
				self._local(self._now - _DAY_SECONDS),
			),
			stuck_mails=self._count(
				"SELECT COUNT(*) FROM `tabEmail Queue` WHERE status IN ('Not Sent', 'Sending', 'Partially Sent') "
				"AND creation < %s AND (send_after IS NULL OR send_after < %s)",
				*[self._local(self._now - STUCK_AFTER_SECONDS)] * 2,
			),
			error=self._errors[0] if self._errors else None,
		)

	def _rows(self, query: str, *values: object) -> Sequence[Sequence[Any]] | None:
		"""Return the rows of a query, or None and keep why not."""
		try:
			return self._session.rows(query, *values)
		except DatabaseError as error:
			self._errors.append(message_of(error))
			return None

	def _count(self, query: str, *values: object) -> int | None:
		rows = self._rows(query, *values)
		return int(rows[0][0]) if rows else None

	def _apps(self) -> dict[str, str] | None:
		rows = self._rows(
			f"SELECT app_name, app_version FROM `tabInstalled Application` ORDER BY idx LIMIT {_MAX_APPS}"
		)
		if rows is None:
			return None
		return {sanitize(str(name), 140): sanitize(str(version or ""), 140) for name, version in rows}

	def _last_login(self) -> float | None:
		rows = self._rows("SELECT MAX(last_login) FROM `tabUser` WHERE name <> 'Guest'")
		try:
			local = datetime.fromisoformat(str(rows[0][0])) if rows and rows[0][0] else None
			return local.replace(tzinfo=self._zone).timestamp() if local else None
		except (ValueError, OverflowError):
			return None  # a field of text: it may hold anything

	def _time_zone(self) -> tzinfo:
		from zoneinfo import ZoneInfo

		rows = self._rows(
			"SELECT value FROM `tabSingles` WHERE doctype = 'System Settings' AND field = 'time_zone'"
		)
		named = str(rows[0][0]) if rows and rows[0][0] else _FRAPPES_TIME_ZONE
		try:
			return ZoneInfo(named)
		except (ValueError, OSError, LookupError):
			return timezone.utc

	def _local(self, at: float) -> str:
		# Frappe writes the site's own wall clock.
		moment = datetime.fromtimestamp(at, timezone.utc)
		return moment.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S")


def read_databases(
	sites: Sequence[LocatedSite],
	environ: Mapping[str, str],
	*,
	concurrency: int = CONCURRENCY,
	limit_seconds: float = SITE_SECONDS,
) -> Iterator[tuple[LocatedSite, DatabaseUsage]]:
	"""Query the sites' databases, at most `concurrency` at a time, and give each answer as it comes.

	In threads, also a single one: an exception that is raised from outside into the caller (a job's time-out,
	Ctrl-C) must not carry frames that hold a password. They are daemons, so that none outlives the caller. One
	that has no answer after `limit_seconds` is waited for no longer.
	"""
	answers: queue.SimpleQueue[tuple[int, DatabaseUsage]] = queue.SimpleQueue()
	waiting = iter(range(len(sites)))
	given_up_at: dict[int, float] = {}

	def work(number: int) -> None:
		try:
			usage = read_database(sites[number], environ)
		except Exception as error:  # noqa: BLE001 the others must be queried, and the caller must not wait forever
			kind = type(error).__name__
			usage = DatabaseUsage(error=coded("database_failed", error=kind))
		answers.put((number, usage))

	def start_next() -> None:
		number = next(waiting, None)
		if number is not None:
			given_up_at[number] = time.monotonic() + limit_seconds
			threading.Thread(target=work, args=(number,), daemon=True).start()

	for _ in range(concurrency):
		start_next()
	while given_up_at:
		first = min(given_up_at, key=lambda number: given_up_at[number])
		try:
			number, usage = answers.get(timeout=max(0.0, given_up_at[first] - time.monotonic()))
		except queue.Empty:
			late = coded("database_late", seconds=f"{limit_seconds:g}")
			number, usage = first, DatabaseUsage(error=late)
		if given_up_at.pop(number, None) is not None:  # else it answers too late
			start_next()
			yield sites[number], usage
