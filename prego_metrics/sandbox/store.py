"""What the stand-in remembers: nodes, their newest metrics, and snapshots, in SQLite as the Worker's D1.

The tables and the upsert behave as the real ones: a metric that a push leaves out becomes NULL, whatever
was stored before, and snapshots exist only once their migration is applied.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
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
	tenant_count INTEGER NOT NULL DEFAULT 0,
	source TEXT NOT NULL DEFAULT 'node_push',
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
CREATE INDEX IF NOT EXISTS server_metrics_snapshots_by_node
	ON server_metrics_snapshots (node_id, recorded_at);
"""

_REGISTER = """
INSERT INTO nodes (node_id, region, host) VALUES (?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET region = excluded.region, host = excluded.host
"""

_UPSERT = """
INSERT INTO server_metrics (node_id, cpu_pct, memory_pct, disk_pct, tenant_count, source, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET
	cpu_pct = excluded.cpu_pct,
	memory_pct = excluded.memory_pct,
	disk_pct = excluded.disk_pct,
	tenant_count = excluded.tenant_count,
	source = excluded.source,
	updated_at = excluded.updated_at
"""

_INSERT_SNAPSHOT = """
INSERT INTO server_metrics_snapshots
	(node_id, cpu_pct, memory_pct, disk_pct, tenant_count, source, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

_SELECT_NODES = """
SELECT
	nodes.node_id, region, host,
	cpu_pct, memory_pct, disk_pct, tenant_count, source, updated_at
FROM nodes LEFT JOIN server_metrics ON server_metrics.node_id = nodes.node_id
"""


@dataclass(frozen=True)
class Metrics:
	"""What one push says of a node; the defaults are what the Worker reads into fields left out."""

	node_id: str
	cpu_pct: float | None = None
	memory_pct: float | None = None
	disk_pct: float | None = None
	tenant_count: int = 0
	source: str = "node_push"


class UnknownNode(LookupError):
	"""No node is registered under exactly this node_id."""


class Store:
	"""The tables, usable from any thread.

	One connection behind one lock: an in-memory database is the property of its connection, and a lock
	makes each operation whole. Closing is final and may be repeated.
	"""

	def __init__(
		self,
		database: str = ":memory:",
		*,
		snapshots: bool = True,
		now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
	) -> None:
		self._now = now
		self._lock = threading.RLock()
		self._connection = sqlite3.connect(database, check_same_thread=False)
		try:
			self._connection.row_factory = sqlite3.Row
			self._connection.execute("PRAGMA foreign_keys = ON")
			self._connection.executescript(_SCHEMA)
			if snapshots:
				self.apply_snapshots_migration()
		except BaseException:
			self._connection.close()
			raise

	def apply_snapshots_migration(self) -> None:
		"""Create the snapshots table; from then on `save_snapshot` inserts. Repeating it changes nothing."""
		with self._lock:
			self._connection.executescript(_SNAPSHOTS_MIGRATION)

	@property
	def keeps_snapshots(self) -> bool:
		"""Whether the migration is applied, by this program or by another before it."""
		query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'server_metrics_snapshots'"
		return bool(self._select(query))

	def register_node(self, node_id: str, region: str | None, host: str | None) -> bool:
		"""Create the node or change its region and host; return whether it is new."""
		with self._lock, self._connection:
			is_new = self.node(node_id) is None
			self._connection.execute(_REGISTER, (node_id, region, host))
		return is_new

	def nodes(self) -> list[Row]:
		"""Return every node with its newest metrics, which are None where none were ever pushed."""
		return self._select(_SELECT_NODES + "ORDER BY nodes.node_id")

	def node(self, node_id: str) -> Row | None:
		"""Return one node as `nodes` does; node_id is compared byte for byte."""
		rows = self._select(_SELECT_NODES + "WHERE nodes.node_id = ?", node_id)
		return rows[0] if rows else None

	def save(self, metrics: Metrics, *, save_snapshot: bool = False, register_unknown: bool = False) -> bool:
		"""Replace the node's metrics; return whether a snapshot was kept too.

		Raises UnknownNode unless `register_unknown`, which creates the node without region and host.
		"""
		values = (*astuple(metrics), self._timestamp())
		with self._lock, self._connection:
			if self.node(metrics.node_id) is None:
				if not register_unknown:
					raise UnknownNode(metrics.node_id)
				self._connection.execute(_REGISTER, (metrics.node_id, None, None))
			self._connection.execute(_UPSERT, values)
			keep = save_snapshot and self.keeps_snapshots
			if keep:
				self._connection.execute(_INSERT_SNAPSHOT, values)
		return keep

	def server_metrics(self, node_id: str) -> Row | None:
		"""Return the node's row of server_metrics, or None before its first push."""
		rows = self._select("SELECT * FROM server_metrics WHERE node_id = ?", node_id)
		return rows[0] if rows else None

	def snapshots(self, node_id: str) -> list[Row]:
		"""Return the node's snapshots, oldest first; none while the migration is not applied."""
		with self._lock:
			if not self.keeps_snapshots:
				return []
			return self._select(
				"SELECT * FROM server_metrics_snapshots WHERE node_id = ? ORDER BY id", node_id
			)

	def age_metrics(self, node_id: str, updated_at: str) -> None:
		"""Set back the node's `updated_at`, for whoever tests or shows what a stale row leads to."""
		with self._lock, self._connection:
			self._connection.execute(
				"UPDATE server_metrics SET updated_at = ? WHERE node_id = ?", (updated_at, node_id)
			)

	def close(self) -> None:
		with self._lock:
			self._connection.close()

	def _select(self, query: str, *values: object) -> list[Row]:
		with self._lock:
			rows: list[Mapping[str, object]] = self._connection.execute(query, values).fetchall()
		return [dict(row) for row in rows]

	def _timestamp(self) -> str:
		"""Write the time as a Worker's `toISOString()` does: UTC, milliseconds, Z."""
		moment = self._now().astimezone(timezone.utc).isoformat(timespec="milliseconds")
		return moment.replace("+00:00", "Z")
