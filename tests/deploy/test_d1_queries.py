"""The queries for D1, on SQLite with the runbook's columns: they say what `prego-metrics fleet` says."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prego_metrics.fleet.sources.exports import Export
from prego_metrics.fleet.sources.records import STATUSES_WITHOUT_SITE as NO_SITE
from prego_metrics.fleet.sources.records import Fleet, read_metrics, read_regions
from prego_metrics.fleet.verdicts import judge_counts, judge_freshness

QUERIES = Path(__file__).parents[2] / "deploy/d1"
NOW = 1_780_000_000.0
SCHEMA = """
CREATE TABLE nodes (node_id TEXT PRIMARY KEY, region TEXT, host TEXT);
CREATE TABLE server_metrics (
	node_id TEXT PRIMARY KEY, cpu_pct REAL, memory_pct REAL, disk_pct REAL, tenant_count INTEGER, source TEXT, updated_at
);
CREATE TABLE tenants_master (id INTEGER PRIMARY KEY, node_id TEXT, status TEXT);
"""


class Database:
	"""The control plane's tables as SQLite, in which it is NOW; with a column that the platform may add, or without."""

	def __init__(self, *, keeps_intervals: bool = False) -> None:
		self.connection = sqlite3.connect(":memory:")
		self.connection.row_factory = sqlite3.Row
		self.connection.executescript(SCHEMA)
		if keeps_intervals:
			self.connection.execute("ALTER TABLE server_metrics ADD COLUMN push_interval REAL")

	def add(self, table: str, *rows: Sequence[Any]) -> None:
		columns = {
			"nodes": "node_id, region, host",
			"server_metrics": "node_id, updated_at, tenant_count, source",
			"tenants_master": "node_id, status",
		}[table]
		for row in rows:
			marks = ", ".join("?" * len(row))
			own_columns = columns + ", push_interval" * (table == "server_metrics" and len(row) == 5)
			self.connection.execute(f"INSERT INTO {table} ({own_columns}) VALUES ({marks})", row)

	def close(self) -> None:
		self.connection.close()

	def run(self, name: str) -> list[dict[str, Any]]:
		query = (
			(QUERIES / f"{name}.sql")
			.read_text()
			.replace("julianday('now')", f"({NOW} / 86400.0 + 2440587.5)")
		)
		return [dict(row) for row in self.connection.execute(query)]

	def export(self, table: str) -> Export:
		return Export(table, [dict(row) for row in self.connection.execute(f"SELECT * FROM {table}")])


@pytest.fixture
def database() -> Iterator[Database]:
	with closing(Database()) as database:
		yield database


def written(age: float, how: str) -> Any:
	moment = datetime.fromtimestamp(NOW - age, timezone.utc)
	if how == "seconds":
		return NOW - age
	if how == "milliseconds":
		return int((NOW - age) * 1000)
	if how == "text":
		return f"{(NOW - age) * 1000:.0f}.0"
	if how == "sqlite":
		return moment.strftime("%Y-%m-%d %H:%M:%S")
	if how == "zone":
		return moment.astimezone(timezone(timedelta(hours=8))).isoformat(timespec="seconds")
	return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


names = st.sampled_from(["a", "b", "c", "d", "A", "한", "x y"])
# Not at the limits themselves: SQLite's day numbers are exact to about 40 µs.
ages = st.sampled_from([-100, -4, 0, 10, 299, 301, 320, 350, 399, 659, 661, 5000, 10**6])
times = st.one_of(
	st.builds(
		written, ages, st.sampled_from(["seconds", "milliseconds", "text", "sqlite", "zone", "worker"])
	),
	st.sampled_from([None, "", "now", "yesterday", "2026-99-99"]),
)
fleets = st.fixed_dictionaries(
	{
		"nodes": st.dictionaries(names, st.sampled_from(["sg", "us", "eu", "SG", "", None]), min_size=1),
		"server_metrics": st.dictionaries(
			names,
			st.tuples(
				times,
				st.sampled_from([None, 0, 1, 2, 3]),
				st.sampled_from([None, "node_push", "hetzner_api"]),
				st.sampled_from([None, 5, 60.0, 300]),
			),
		),
		"tenants_master": st.lists(
			st.tuples(
				st.one_of(names, st.sampled_from([None, ""])),
				st.sampled_from([None, "active", "Active", "suspended", "Deleted", "failed", "data_purged "]),
			),
			max_size=8,
		),
	}
)


@given(fleets, st.booleans())
def test_the_queries_agree_with_the_commands(found: dict[str, Any], keeps_intervals: bool) -> None:
	with closing(Database(keeps_intervals=keeps_intervals)) as database:
		database.add("nodes", *((name, region, "h") for name, region in found["nodes"].items()))
		columns = 4 if keeps_intervals else 3
		pushes = found["server_metrics"].items()
		database.add("server_metrics", *((name, *row[:columns]) for name, row in pushes))
		database.add("tenants_master", *found["tenants_master"])
		regions = read_regions(database.export("nodes"))
		pushed = read_metrics(database.export("server_metrics"))
		placed = Counter(
			node_id
			for node_id, status in found["tenants_master"]
			if node_id and (status or "").strip().lower() not in NO_SITE
		)

		verdicts = judge_freshness(Fleet(regions, pushed, placed), NOW)
		assert {row["node_id"]: row["verdict"] for row in database.run("freshness")} == {
			verdict.node_id: verdict.name for verdict in verdicts
		}
		counts, _ = judge_counts(pushed, placed)
		assert {row["node_id"]: row["verdict"] for row in database.run("reconcile")} == {
			verdict.node_id: verdict.name for verdict in counts
		}
		never = {name for name in regions if name not in pushed or pushed[name].updated_at is None}
		assert {row["node_id"] for row in database.run("never_pushed")} == never


def test_a_well_kept_database_is_fresh_and_agrees(database: Database) -> None:
	database.add("nodes", ("sg-1", "sg", "10.0.0.1"))
	database.add("server_metrics", ("sg-1", NOW - 10, 1, "node_push"))
	database.add("tenants_master", ("sg-1", "active"))
	assert [row["verdict"] for row in database.run("freshness") + database.run("reconcile")] == [
		"fresh",
		"agrees",
	]
	assert database.run("never_pushed") == []


def test_every_query_is_one_statement_that_reads_and_is_listed() -> None:
	listed = (QUERIES / "README.md").read_text()
	queries = sorted(QUERIES.glob("*.sql"))
	assert [path.stem for path in queries] == ["freshness", "never_pushed", "reconcile"]
	for path in queries:
		text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("--"))
		assert text.count(";") == 1 and text.rstrip().endswith(";")
		assert text.split()[0] in ("WITH", "SELECT")
		assert f"`{path.name}`" in listed


@pytest.mark.parametrize("query", ["freshness", "never_pushed", "reconcile"])
def test_10_000_nodes_with_three_tenants_each_take_less_than_a_tenth_of_a_second(
	database: Database, query: str
) -> None:
	"""Counted in steps of SQLite's virtual machine, which no other load slows: 4.5 million take about 0.1 s."""
	nodes = [f"sg-{number}" for number in range(10_000)]
	database.add("nodes", *((node_id, "sg", "h") for node_id in nodes))
	database.add("server_metrics", *((node_id, written(10, "worker"), 3, "node_push") for node_id in nodes))
	database.add("tenants_master", *((node_id, "active") for node_id in nodes * 3))
	thousands_of_steps = 0

	def count() -> int:
		nonlocal thousands_of_steps
		thousands_of_steps += 1
		return 0

	database.connection.set_progress_handler(count, 1000)
	database.run(query)
	assert 0 < thousands_of_steps < 4500
