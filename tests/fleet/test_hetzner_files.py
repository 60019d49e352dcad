"""What the sidecar is given in files: mappings, counts, exports; one that is wrong is never a silent zero."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from prego_metrics.agent.base.errors import ExportError, PregoMetricsError
from prego_metrics.fleet.hetzner.counts import (
	count_tenants_of_nodes,
	read_counts,
	read_last_rows,
)
from prego_metrics.fleet.hetzner.mapping import FileEntry, read_mapping_file


@pytest.fixture
def file(tmp_path: Path):
	"""`file(text)` writes a file and returns its path."""

	def write(text: str) -> str:
		path = tmp_path / "given"
		path.write_text(text)
		return str(path)

	return write


@pytest.mark.parametrize(
	"text",
	[
		'[{"node_id": "sg-1", "tenant_count": 42}, {"node_id": "한국-1", "tenant_count": 0}]',
		"node_id,tenant_count\nsg-1,42\n한국-1,0\n",
	],
	ids=["rows", "csv"],
)
def test_counts_come_as_rows_in_json_or_csv(text: str, file) -> None:
	assert read_counts(file(text)) == {"sg-1": 42, "한국-1": 0}


@pytest.mark.parametrize(
	"text",
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
def test_a_count_that_is_none_is_an_error_and_never_a_zero(text: str, file) -> None:
	with pytest.raises(ExportError):
		read_counts(file(text))


def test_tenants_are_counted_by_node_and_by_the_statuses_asked_for(file) -> None:
	rows = [
		{"node_id": "sg-1", "status": "active"},
		{"node_id": "sg-1", "status": "data_purged"},
		{"node_id": "us-1", "status": "suspended"},
		{"node_id": None, "status": "provisioning"},
	]
	path = file(json.dumps([{"results": rows, "success": True}]))
	assert count_tenants_of_nodes(path) == ({"sg-1": 1, "us-1": 1}, ())
	assert count_tenants_of_nodes(path, ("data_purged",)) == ({"sg-1": 1}, ())


@pytest.mark.parametrize(
	"text",
	["[]", '[{"results": [], "success": true}]', '[{"results": [], "success": false}]', '{"results": null}'],
)
def test_an_export_of_tenants_that_is_empty_or_failed_is_an_error(text: str, file) -> None:
	with pytest.raises(ExportError):
		count_tenants_of_nodes(file(text))


@pytest.mark.parametrize("reading", [read_last_rows, count_tenants_of_nodes])
def test_an_export_must_not_be_older_than_five_minutes(reading, file) -> None:
	path = file('[{"node_id": "sg-1", "updated_at": 1790000000}]')
	reading(path)
	os.utime(path, (0, time.time() - 310))
	with pytest.raises(ExportError, match=r"was written 3\d\d s ago"):
		reading(path)


def test_a_row_without_a_time_was_never_pushed_and_one_that_cannot_be_read_is_an_error(file) -> None:
	assert read_last_rows(file('[{"node_id": "sg-1", "updated_at": null}]')) == {}
	with pytest.raises(ExportError, match="node sg-1 is not a time"):
		read_last_rows(file('[{"node_id": "sg-1", "updated_at": "yesterday"}]'))


def test_a_mapping_gives_names_numbers_and_agentless_nodes(file) -> None:
	nodes = {"sg-1": "app-1", "sg-2": 4711, "us-1": {"server": "app-3", "agentless": True}}
	assert read_mapping_file(file(json.dumps({"nodes": nodes}))) == {
		"sg-1": FileEntry("app-1"),
		"sg-2": FileEntry(4711),
		"us-1": FileEntry("app-3", agentless=True),
	}


@pytest.mark.parametrize(
	("text", "words"),
	[
		("{", "is not JSON"),
		("[]", "must be"),
		('{"nodes": {}}', "at least one node"),
		('{"nodes": {"sg-1": "a", "sg-1": "b"}}', "'sg-1' twice"),
		('{"nodes": {"sg-1": true}}', "the name of a server, or its number"),
		('{"nodes": {"sg-1": {"server": "a", "agentles": true}}}', "allowed are server and agentless"),
		('{"nodes": {"sg-1": {"server": "a", "agentless": "yes"}}}', "true or false"),
		('{"nodes": {"..": "a"}}', "node_id must"),
	],
)
def test_a_mapping_that_is_wrong_is_named_with_what_is_allowed(text: str, words: str, file) -> None:
	with pytest.raises(PregoMetricsError, match=words):
		read_mapping_file(file(text))


WORKFLOWS = sorted((Path(__file__).parents[2] / "deploy/github-actions").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_its_actions_and_gives_secrets_by_the_environment_alone(workflow: Path) -> None:
	text = workflow.read_text()
	used = re.findall(r"uses: (\S+)", text)
	assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)
	permissions = re.search(r"^permissions:(?: \{\}|\n  contents: read)$", text, re.M)
	assert permissions and "contents: write" not in text
	assert re.findall(r"^.*\$\{\{ secrets\..*$", text, re.M) == re.findall(
		r"^ +[A-Z_]+: \$\{\{ secrets\.[A-Z_]+ \}\}$", text, re.M
	)
