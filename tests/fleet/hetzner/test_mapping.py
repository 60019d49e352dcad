"""Mapping files: names, numbers and agentless nodes, or an error that says what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.fleet.hetzner.mapping import FileEntry, read_mapping_file


def test_a_mapping_gives_names_numbers_and_agentless_nodes(tmp_path: Path) -> None:
	file = tmp_path / "mapping.json"
	nodes = {"sg-1": "app-1", "sg-2": 4711, "us-1": {"server": "app-3", "agentless": True}}
	file.write_text(json.dumps({"nodes": nodes}))
	assert read_mapping_file(str(file)) == {
		"sg-1": FileEntry("app-1"),
		"sg-2": FileEntry(4711),
		"us-1": FileEntry("app-3", agentless=True),
	}


@pytest.mark.parametrize(
	("content", "problem"),
	[
		("{", "is not valid JSON"),
		("[]", "must be"),
		('{"nodes": {}}', "at least one node"),
		('{"nodes": {"sg-1": "a", "sg-1": "b"}}', "'sg-1' twice"),
		('{"nodes": {"sg-1": true}}', "the name of a server, or its number"),
		('{"nodes": {"sg-1": {"server": "a", "agentles": true}}}', "allowed are server and agentless"),
		('{"nodes": {"sg-1": {"server": "a", "agentless": "yes"}}}', "true or false"),
		('{"nodes": {"..": "a"}}', "node_id must"),
	],
)
def test_a_mapping_that_is_wrong_is_named_with_what_is_allowed(
	content: str, problem: str, tmp_path: Path
) -> None:
	(tmp_path / "mapping.json").write_text(content)
	with pytest.raises(PregoMetricsError, match=problem):
		read_mapping_file(str(tmp_path / "mapping.json"))


def test_a_mapping_that_is_not_a_file_is_an_error(tmp_path: Path) -> None:
	for path in (tmp_path, tmp_path / "none"):
		with pytest.raises(PregoMetricsError):
			read_mapping_file(str(path))
