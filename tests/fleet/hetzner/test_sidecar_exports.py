"""The sidecar's counts and rows from files: a wrong one is an error, never a zero."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.fleet.hetzner.sidecar import MAX_AGE_SECONDS, read_counts, read_last_rows
from prego_metrics.fleet.sources.exports import read_export
from prego_metrics.fleet.sources.records import read_placement

Written = Callable[[str], str]


@pytest.fixture
def file(tmp_path: Path) -> Written:
	"""`file(content)` writes a file and returns its path."""

	def write(content: str) -> str:
		path = tmp_path / "given"
		path.write_text(content)
		return str(path)

	return write


@pytest.mark.parametrize(
	"content",
	[
		'[{"node_id": "sg-1", "tenant_count": 42}, {"node_id": "한국-1", "tenant_count": 0}]',
		"node_id,tenant_count\nsg-1,42\n한국-1,0\n",
	],
	ids=["rows", "csv"],
)
def test_counts_come_as_rows_in_json_or_csv(content: str, file: Written) -> None:
	assert read_counts(file(content)) == {"sg-1": 42, "한국-1": 0}


@pytest.mark.parametrize(
	"content",
	[
		"",
		"{}",
		'{"sg-1": 42}',
		"[]",
		'[{"node_id": "sg-1", "tenant_count": -1}]',
		'[{"node_id": "sg-1", "tenant_count": true}]',
		'[{"node_id": "sg-1", "tenant_count": 1.5}]',
		'[{"node_id": "sg-1", "tenant_count": null}]',
		'[{"node_id": "sg-1", "tenant_count": "many"}]',
		"node_id,tenant_count\nsg-1,\n",
		"node_id,tenant_count\nsg-1,1\nsg-1,2\n",
		'[{"tenant_count": 1}]',
		'[{"success": false, "error": "no such table"}]',
	],
)
def test_a_count_that_is_none_is_an_error_and_never_a_zero(content: str, file: Written) -> None:
	with pytest.raises(ExportError):
		read_counts(file(content))


def test_tenants_are_counted_by_node_and_by_the_statuses_asked_for(file: Written) -> None:
	rows = [
		{"node_id": "sg-1", "status": "active"},
		{"node_id": "sg-1", "status": "data_purged"},
		{"node_id": "us-1", "status": "suspended"},
		{"node_id": None, "status": "provisioning"},
	]
	path = file(json.dumps([{"results": rows, "success": True}]))
	assert read_placement(read_export(path)) == ({"sg-1": 1, "us-1": 1}, [])
	assert read_placement(read_export(path), ("data_purged",)) == ({"sg-1": 1}, [])


@pytest.mark.parametrize(
	"content",
	["[]", '[{"results": [], "success": true}]', '[{"results": [], "success": false}]', '{"results": null}'],
)
def test_an_export_of_tenants_that_is_empty_or_failed_is_an_error(content: str, file: Written) -> None:
	with pytest.raises(ExportError):
		read_placement(read_export(file(content)))


@pytest.mark.parametrize(
	"reading", [lambda path: read_last_rows(path, None), lambda path: read_export(path, MAX_AGE_SECONDS)]
)
def test_an_export_must_not_be_older_than_five_minutes(reading: Callable[[str], Any], file: Written) -> None:
	path = file('[{"node_id": "sg-1", "updated_at": 1790000000}]')
	reading(path)
	os.utime(path, (0, time.time() - 310))
	with pytest.raises(ExportError, match=r"was written 3\d\d s ago"):
		reading(path)


def test_a_row_without_a_time_was_never_pushed_and_one_that_cannot_be_read_is_an_error(file: Written) -> None:
	assert read_last_rows(file('[{"node_id": "sg-1", "updated_at": null}]'), None) == {}
	with pytest.raises(ExportError, match="node sg-1 is not a time"):
		read_last_rows(file('[{"node_id": "sg-1", "updated_at": "yesterday"}]'), None)


def test_a_row_is_fresh_as_long_as_its_own_node_or_the_operator_says(file: Written) -> None:
	rows = "node_id,updated_at,push_interval\nslow,0,300\nquick,0,60\nunknown,0,\n"
	for max_age, expected in ((None, [660, 300, 300]), (90.0, [90, 90, 90])):
		found = read_last_rows(file(rows), max_age)
		assert [found[name].max_age_seconds for name in ("slow", "quick", "unknown")] == expected
