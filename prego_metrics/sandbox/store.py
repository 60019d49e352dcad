"""Nodes, their newest metrics, and snapshots, in SQLite as in the Worker's D1.

A push replaces the whole row: a metric that it leaves out becomes NULL. Snapshots exist only once their
migration is applied.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import astuple, dataclass
from datetime import datetime, timezone

REGIONS = ("sg", "us", "eu")

Row = dict[str, object]

# A node that a push created under register_unknown has no known region or host: NULL, never a guess.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
	node_id TEXT PRIMARY KEY NOT NULL,
	region TEXT CHECK (region IN ('sg', 'us', 'eu')),
	host TEXT
);
CREATE TABLE IF NOT EXISTS server_metrics (
	node_id TEXT PRIMARY KEY NOT NULL REFERENCES nodes (node_id),
	cpu_pct REAL,
	memory_pct REAL,
	disk_pct REAL,
	tenant_count INTEGER NOT NULL,
	source TEXT NOT NULL,
	updated_at TEXT NOT NULL
);
"""

_SNAPSHOTS_MIGRATION = """
CREATE TABLE IF NOT EXISTS server_metrics_snapshots (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	node_id TEXT NOT NULL REFERENCES nodes (node_id),
	cpu_pct REAL,
	memory_pct REAL,
	disk_pct REAL,
	tenant_count INTEGER NOT NULL,
	source TEXT NOT NULL,
	recorded_at TEXT NOT NULL
);
"""

_REGISTER = """
INSERT INTO nodes (node_id, region, host) VALUES (?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET region = excluded.region, host = excluded.host
"""

_NODES = "SELECT * FROM nodes LEFT JOIN server_metrics USING (node_id)"


@dataclass(frozen=True)
class Metrics:
	"""One push of a node; the defaults are what the Worker reads into fields left out."""

	node_id: str
	cpu_pct: float | None = None
	memory_pct: float | None = None
	disk_pct: float | None = None
	tenant_count: int = 0
	source: str = "node_push"


class UnknownNode(LookupError):
	"""No node is registered under exactly this node_id."""


class Store:
	"""The tables, usable from any thread: one connection behind one lock.

	`database` is a path of SQLite's. Raises sqlite3.Error.
	"""

	def __init__(self, database: str = ":memory:", *, snapshots: bool = True) -> None:
		self._lock = threading.RLock()
		self._connection = sqlite3.connect(database, check_same_thread=False)
		try:
			self._connection.row_factory = sqlite3.Row
			self._connection.execute("PRAGMA foreign_keys = ON")
			self._connection.executescript(_SCHEMA + (_SNAPSHOTS_MIGRATION if snapshots else ""))
		except BaseException:
			self._connection.close()
			raise

	def sql(self, statement: str, *values: object) -> list[Row]:
		"""Run one statement, commit it, and return its rows."""
		with self._lock, self._connection:
			return [dict(row) for row in self._connection.execute(statement, values)]

	def register_node(self, node_id: str, region: str | None, host: str | None) -> bool:
		"""Create the node or change its region and host; return whether it is new."""
		with self._lock:
			is_new = self.node(node_id) is None
			self.sql(_REGISTER, node_id, region, host)
		return is_new

	def nodes(self) -> list[Row]:
		"""Return every node with its newest metrics, which are None before its first push."""
		return self.sql(f"{_NODES} ORDER BY node_id")

	def node(self, node_id: str) -> Row | None:
		"""Return one node as `nodes` does, or None; node_id is compared byte for byte."""
		return next(iter(self.sql(f"{_NODES} WHERE node_id = ?", node_id)), None)

	def save(self, metrics: Metrics, *, save_snapshot: bool = False, register_unknown: bool = False) -> bool:
		"""Replace the node's metrics; return whether a snapshot was saved too.

		Raises UnknownNode unless `register_unknown`, which creates the node without region and host.
		"""
		moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
		values = (*astuple(metrics), moment)
		with self._lock:
			if self.node(metrics.node_id) is None:
				if not register_unknown:
					raise UnknownNode(metrics.node_id)
				self.register_node(metrics.node_id, None, None)
			self.sql("INSERT OR REPLACE INTO server_metrics VALUES (?,?,?,?,?,?,?)", *values)
			saved = save_snapshot and self._keeps_snapshots()
			if saved:
				self.sql("INSERT INTO server_metrics_snapshots VALUES (NULL,?,?,?,?,?,?,?)", *values)
		return saved

	def server_metrics(self, node_id: str) -> Row | None:
		"""Return the node's row of server_metrics, or None before its first push."""
		return next(iter(self.sql("SELECT * FROM server_metrics WHERE node_id = ?", node_id)), None)

	def snapshots(self, node_id: str) -> list[Row]:
		"""Return the node's snapshots, oldest first; none without the migration."""
		if not self._keeps_snapshots():
			return []
		return self.sql("SELECT * FROM server_metrics_snapshots WHERE node_id = ? ORDER BY id", node_id)

	def close(self) -> None:
		"""Close the database; may be repeated."""
		with self._lock:
			self._connection.close()

	def _keeps_snapshots(self) -> bool:
		"""Tell whether the migration is applied, by this process or by another."""
		return bool(self.sql("SELECT 1 FROM sqlite_master WHERE name = 'server_metrics_snapshots'"))
