"""The SQLite file that keeps the tenants' usage: the latest of each, and one row a day for 400 days.

It lies in the state folder, with the folder's own modes. Any app of the bench can write it, so it is hostile input: a
file that is not ours is an error that says so, and rows that are not ours are left out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import quote

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.state.store import FOLDER_NAME, StateFolder

FILE_NAME = "tenants.sqlite"
KEPT_DAYS = 400
DAY_SECONDS = 86400
_VERSION = 2
_BUSY_SECONDS = 5.0
# The slowest query reads four million days, in a second or two.
_MAX_SECONDS = 30.0
_STEPS_BETWEEN_CHECKS = 100_000
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

Opened = TypeVar("Opened", bound="UsageStore")


class StoreError(PregoMetricsError):
	"""The usage store cannot be read or written; the message says why."""

	default_code = "usage_unreadable"


class CorruptStore(StoreError):
	"""The file is not a SQLite database, or a damaged one."""


class UsageStore:
	"""The file, open for the time of a `with` block. Every method raises StoreError and nothing else."""

	writable = False

	def __init__(self, sites: str) -> None:
		self._sites = sites
		self.path = store_path(sites)
		self._give_up_at = 0.0

	def __enter__(self: Opened) -> Opened:
		with self._limited():
			if self.writable:
				StateFolder(self._sites).make_file(FILE_NAME)
			# Two processes may open it at once; a symlink in its place would be followed.
			if os.path.islink(self.path):
				raise StoreError(
					message("{path} is a symlink, which is not followed", path=sanitize(self.path))
				)
			uri = f"file:{quote(os.fsencode(self.path))}?mode=rw"
			self._connection = sqlite3.connect(
				uri, uri=True, timeout=_BUSY_SECONDS, isolation_level="IMMEDIATE"
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
			lambda: time.monotonic() > self._give_up_at, _STEPS_BETWEEN_CHECKS
		)
		if self.writable and self._version() == 0:
			with self._connection:  # commits, or rolls back
				self._connection.execute("BEGIN IMMEDIATE")
				if self._version() == 0:
					for statement in _SCHEMA.split(";"):
						self._connection.execute(statement)  # sqlite ignores the empty last one
					self._connection.execute(f"PRAGMA user_version = {_VERSION}")
		elif not self.writable:
			self._connection.execute("PRAGMA query_only = ON")
		version = self._version()
		if version not in (0, _VERSION):
			raise StoreError(
				message(
					"{path} has another version ({version}): move it away",
					path=sanitize(self.path),
					version=version,
				)
			)

	def _version(self) -> int:
		(version,) = self._connection.execute("PRAGMA user_version").fetchone()
		return int(version)

	@contextlib.contextmanager
	def _limited(self, seconds: float = _MAX_SECONDS) -> Iterator[None]:
		"""Bound the time of what SQLite does in the block, and raise its errors as StoreError."""
		self._give_up_at = time.monotonic() + seconds
		try:
			yield
		except (sqlite3.Error, OSError) as error:
			path = sanitize(self.path)
			reason = error.strerror or str(error) if isinstance(error, OSError) else sanitize(str(error), 200)
			# Only what SQLite finds wrong in the file itself is of this class and none below it.
			if type(error) is sqlite3.DatabaseError:
				raise CorruptStore(
					message(
						(
							"{path}: {error}. Run `prego-metrics tenants --scan`, which moves the file aside and "
							"starts a new one"
						),
						path=path,
						error=reason,
					)
				) from None
			raise StoreError(message("{path}: {reason}", path=path, reason=reason)) from None


def store_path(sites: str) -> str:
	"""Return where the usage store of a bench lies; before the first scan there is none."""
	return os.path.join(sites, FOLDER_NAME, FILE_NAME)
