"""The row of `nodes` as SQL: whatever a node is called, it is one INSERT of exactly that row."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.kinds import NodeId
from prego_metrics.agent.setup.registration import NodesRow, region_of_zone, sql_text


def is_node_id(text: str) -> bool:
	return NodeId().accept(text) is not None


hostile = st.one_of(
	st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
	st.text(st.sampled_from("'\";-/*\\|()%_\u202e\u200b 한"), min_size=1, max_size=30),
).filter(is_node_id)


@given(hostile)
@example("'); DROP TABLE nodes; --")
@example("'")
@example("''' || char(0) || '")
@example("\u202e'; DELETE FROM nodes; --")
@example("a\\'b")
@example("한국-1")
def test_any_node_id_becomes_one_insert_of_exactly_that_node(node_id: str) -> None:
	sql = NodesRow(node_id, "sg", "203.0.113.5").sql
	assert sqlite3.complete_statement(sql)
	with closing(sqlite3.connect(":memory:")) as database:
		database.execute("CREATE TABLE nodes (node_id TEXT PRIMARY KEY, region TEXT, host TEXT)")
		database.execute("INSERT INTO nodes VALUES ('kept', 'eu', 'h')")
		# execute refuses more than one statement.
		database.execute(sql)
		rows = set(database.execute("SELECT node_id, region, host FROM nodes"))
	assert rows == {("kept", "eu", "h"), (node_id, "sg", "203.0.113.5")}


@given(hostile)
def test_the_statement_can_be_shown_and_copied_as_it_stands(node_id: str) -> None:
	shown = sql_text(node_id).replace("\\", "")
	assert sanitize(shown) == shown


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_text_is_evaluated_to_itself(text: str) -> None:
	with closing(sqlite3.connect(":memory:")) as database:
		assert database.execute(f"SELECT {sql_text(text)}").fetchone() == (text,)


def test_what_is_not_known_is_no_row_that_could_be_run() -> None:
	row = NodesRow("sg-1", None, None)
	assert not row.complete
	with closing(sqlite3.connect(":memory:")) as database:
		database.execute("CREATE TABLE nodes (node_id TEXT, region TEXT, host TEXT)")
		with pytest.raises(sqlite3.OperationalError, match="no such column: REGION"):
			database.execute(row.sql)


@pytest.mark.parametrize(
	("zone", "region"),
	[
		("eu-central", "eu"),
		("us-east", "us"),
		("us-west", "us"),
		("ap-southeast", "sg"),
		("", None),
		("ap-x", None),
	],
)
def test_hetzners_zones_are_the_platforms_regions(zone: str, region: str | None) -> None:
	assert region_of_zone(zone) == region
