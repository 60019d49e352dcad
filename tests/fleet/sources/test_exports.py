"""Exports that failed, are cut off, or are hostile: a verdict or exit 2, never a silent "all well"."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fleet_exports import ago, metrics, node, run_fleet, tenant, wrangler
from hypothesis import given
from hypothesis import strategies as st
from strategies import hostile_texts, json_values

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.formatting import epoch_seconds
from prego_metrics.fleet.sources.exports import read_export
from prego_metrics.fleet.sources.records import read_placement

VERDICTS = {"fresh", "stale", "never", "zero", "unregistered", "bad_region", "differs", "agrees"}


def fresh_row() -> str:
	"""One fresh row; made when it is asked for, since the suite may take longer than a row stays fresh."""
	return json.dumps([metrics("sg-1")])


def judged(folder: Path, nodes: bytes | str | None = None, pushed: bytes | str | None = None) -> Any:
	"""Run `fleet freshness` on these files; what is not given is a good export."""
	files = []
	for name, content, good in (
		("nodes", nodes, json.dumps([node("sg-1")])),
		("metrics", pushed, fresh_row()),
	):
		path = folder / name
		content = good if content is None else content
		path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
		files += [f"--{name}", path]
	return run_fleet("freshness", *files, "--json")


@pytest.mark.parametrize("which", ["nodes", "pushed"])
@pytest.mark.parametrize(
	"content",
	[
		"",
		" \n",
		b"\xff\xfe\x00",
		b"\x89PNG\r\n\x1a\n\x00",
		b"SQLite format 3\0garbage",
		"node_id;region\nsg-1;sg\n",
		"node_id\tregion\nsg-1\tsg\n",
		json.dumps([node("sg-1")]).encode("utf-16"),
		json.dumps({"nodes": [node("sg-1")]}),
		json.dumps(node("sg-1")),
		pytest.param("⛅️ wrangler 4.164.0\n" + fresh_row()[:-5], id="cut off behind a banner"),
		"{",
		pytest.param(fresh_row()[:-5], id="cut off"),
		"null",
		"NaN",
		"42",
		'"text"',
		"[1]",
		"[null]",
		"[[]]",
		"[" * 100_000,
		'[{"node_id": ' + "9" * 5000 + "}]",
		'[{"success": true}]',
		'[{"success": true, "results": null}]',
		'[{"success": true, "results": {}}]',
		'[{"success": false, "results": []}]',
		'[{"success": false, "results": [{"node_id": "sg-1", "region": "sg"}]}]',
		'[{"success": "true", "results": []}]',
		'[{"results": [], "success": true}, {"results": [], "success": true}]',
		'{"error": {"text": "no such table: nodes"}}',
		'{"success": false, "errors": [{"code": 7500}], "result": []}',
		'{"success": true}',
		"▲ [ERROR] A request to the Cloudflare API failed.",
		"node_id,region\nsg-1",
		'node_id,region\n"sg-1,sg\n',
		"node_id,node_id\na,b\n",
		"server,zone\na,b\n",
		"<html>503</html>",
	],
)
def test_an_export_that_failed_is_an_error_and_exit_2(tmp_path: Path, which: str, content: Any) -> None:
	result = judged(tmp_path, **{which: content})
	assert result.code == 2
	assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
	assert (result.json["ok"], result.json["error_code"]) == (False, "export_invalid")


@pytest.mark.parametrize("content", ['[{"results": [], "success": true}]', "[]", "node_id,region\n"])
def test_no_nodes_at_all_is_exit_2(tmp_path: Path, content: str) -> None:
	result = judged(tmp_path, nodes=content)
	assert (result.code, "holds no nodes" in result.stderr) == (2, True)


@pytest.mark.parametrize("content", ['[{"results": [], "success": true}]', "[]", "node_id,updated_at\n"])
def test_no_metrics_at_all_is_never_for_every_node(tmp_path: Path, content: str) -> None:
	result = judged(tmp_path, pushed=content)
	assert (result.code, result.verdicts()) == (1, {"sg-1": "never"})


@pytest.mark.parametrize(
	("which", "rows", "words"),
	[
		("nodes", [node("sg-1"), node("sg-1")], "several rows for sg-1"),
		("nodes", [{"node_id": "sg-1"}], "has no column region"),
		("nodes", [node("sg-1"), node(None)], "row 2: node_id is null"),  # type: ignore[arg-type]
		("nodes", [node(7)], "row 1: node_id is 7"),  # type: ignore[arg-type]
		("nodes", [node([])], "row 1: node_id is a JSON array"),  # type: ignore[arg-type]
		("pushed", [metrics("sg-1"), metrics("sg-1", 9999)], "several rows for sg-1"),
		("pushed", [{"node_id": "sg-1", "tenant_count": 1}], "has no column updated_at"),
		("pushed", [metrics("sg-1", tenant_count="many")], "row 1: tenant_count is 'many'"),
		("pushed", [metrics("sg-1", tenant_count=float("nan"))], "row 1: tenant_count is nan"),
		("pushed", [metrics("sg-1", tenant_count=10**400)], "row 1: tenant_count is 1000"),
	],
)
def test_a_row_that_cannot_be_understood_is_named(tmp_path: Path, which: str, rows: Any, words: str) -> None:
	result = judged(tmp_path, **{which: json.dumps(rows)})
	assert (result.code, words in result.stderr) == (2, True)


def test_without_a_count_zeros_are_not_judged_and_that_is_said(tmp_path: Path) -> None:
	rows = json.dumps([{"node_id": "sg-1", "updated_at": ago(5)}])
	result = judged(tmp_path, pushed=rows)
	assert (result.code, "zeros are not judged" in result.stderr) == (0, True)
	tenants = wrangler(tmp_path / "tenants", tenant("sg-1"))
	files = ["--nodes", tmp_path / "nodes", "--metrics", tmp_path / "metrics", "--tenants", tenants]
	assert run_fleet("freshness", *files).code == 2


def test_a_file_that_is_not_there_or_never_ends_is_exit_2(tmp_path: Path) -> None:
	(tmp_path / "nodes").write_text(json.dumps([node("sg-1")]))
	for path in (tmp_path / "none", tmp_path, "/dev/null"):
		assert run_fleet("freshness", "--nodes", tmp_path / "nodes", "--metrics", path).code == 2


@pytest.mark.parametrize(
	"banner",
	[
		"⛅️ wrangler 4.164.0\n───────────────────\n🌀 Executing on remote database metrics (6f1e…):\n",
		"\n ⛅️ wrangler 4.1 (update available 4.2)\n-----\n\n▲ [WARNING] [env.x] is unused\n\n",
		"\ufeff",
	],
	ids=["executing", "warning", "byte order mark"],
)
def test_a_banner_before_the_json_is_skipped(tmp_path: Path, banner: str) -> None:
	exported = json.dumps([{"results": [node("sg-1")], "success": True}], indent=2)
	result = judged(tmp_path, nodes=banner + exported, pushed=banner + fresh_row())
	assert (result.code, result.verdicts()) == (0, {"sg-1": "fresh"})


def test_an_export_may_come_through_a_pipe(tmp_path: Path) -> None:
	(tmp_path / "nodes").write_text(json.dumps([node("sg-1")]))
	reading, writing = os.pipe()
	os.write(writing, fresh_row().encode())
	os.close(writing)
	try:
		result = run_fleet("freshness", "--nodes", tmp_path / "nodes", "--metrics", f"/dev/fd/{reading}")
	finally:
		os.close(reading)
	assert result.code == 0


rows = st.lists(
	st.dictionaries(
		st.sampled_from(["node_id", "region", "updated_at", "tenant_count", "source", "status", "x"]),
		st.one_of(json_values, st.sampled_from(["sg-1", "sg", 0, 1, "active", "2026-01-01 00:00:00"])),
		max_size=6,
	),
	max_size=4,
)
exports = st.one_of(
	st.binary(max_size=60),
	hostile_texts.map(lambda text: text.encode("utf-8", "surrogateescape")),
	rows.map(lambda found: json.dumps(found).encode()),
	rows.map(lambda found: json.dumps([{"results": found, "success": True}]).encode()),
	json_values.map(lambda value: json.dumps([value]).encode()),
	st.lists(st.lists(hostile_texts, max_size=3), max_size=3).map(
		lambda lines: "\n".join(
			",".join(line) for line in [["node_id", "region", "updated_at"], *lines]
		).encode("utf-8", "surrogateescape")
	),
)


@given(nodes=exports, pushed=exports, tenants=exports)
def test_whatever_the_exports_hold_there_is_a_verdict_or_exit_2(
	tmp_path_factory: pytest.TempPathFactory, nodes: bytes, pushed: bytes, tenants: bytes
) -> None:
	folder = tmp_path_factory.getbasetemp()
	paths = {}
	for name, content in (("nodes", nodes), ("metrics", pushed), ("tenants", tenants)):
		paths[name] = folder / f"hostile-{name}"
		paths[name].write_bytes(content)
	for options in (
		["freshness", "--nodes", paths["nodes"], "--metrics", paths["metrics"]],
		[
			"freshness",
			"--nodes",
			paths["nodes"],
			"--metrics",
			paths["metrics"],
			"--tenants",
			paths["tenants"],
		],
		["reconcile", "--metrics", paths["metrics"], "--tenants", paths["tenants"]],
	):
		table, result = run_fleet(*options), run_fleet(*options, "--json")
		assert table.code == result.code
		answer = result.json
		if result.code == 2:
			assert (answer["ok"], answer["nodes"]) == (False, []) and answer["error"]
			assert table.stdout == "" and table.stderr.startswith("Error: ")
			continue
		assert answer["ok"] is (result.code == 0)
		assert {entry["verdict"] for entry in answer["nodes"]} <= VERDICTS
		assert answer["ok"] is not any(entry["failing"] for entry in answer["nodes"])
		assert answer["nodes"] or "nothing was compared" in result.stderr
		assert not set(table.stdout) & set("\x00\x07\x1b\x7f\x9b\u202e\u2028")


@given(json_values)
def test_any_value_is_a_time_or_a_value_error(value: Any) -> None:
	try:
		datetime.fromtimestamp(epoch_seconds(value), timezone.utc)
	except ValueError as error:
		assert str(error) == "is not a time"


@pytest.mark.parametrize(
	("text", "seconds"),
	[
		("2026-11-26T10:00:00+0800", 1795658400.0),
		("2026-11-26T10:00:00 +08", 1795658400.0),
		("2026-11-26T10:00:00.1234567+08:00", 1795658400.123456),
		("2026-11-26 10:00:00,5Z", 1795687200.5),
		("2026-11-26 10:00", 1795687200.0),
		("2026-11-26", 1795651200.0),
	],
)
def test_a_time_is_read_with_any_offset_and_fraction_on_every_python(text: str, seconds: float) -> None:
	assert epoch_seconds(text) == seconds


@pytest.mark.parametrize(
	"text",
	["2026-13-01", "2026-02-30 00:00:00", "2026-01-01T25:00", "2026-01-01T00:00:00+24:00", "now", "1e9", "١"],
)
def test_a_time_that_no_calendar_has_is_none(text: str) -> None:
	with pytest.raises(ValueError, match="is not a time"):
		epoch_seconds(text)


def test_a_csv_that_ends_within_a_line_was_cut_off(tmp_path: Path) -> None:
	whole = "name,status,node_id\nacme,active,sg-1\nbeta,active,sg-1\n"
	placed = tmp_path / "tenants.csv"
	for cut in range(len("name,status,node_id\na"), len(whole)):
		placed.write_text(whole[:cut])
		if whole[cut - 1] == "\n":
			continue  # nobody can see that
		with pytest.raises(ExportError):
			read_placement(read_export(str(placed)))
	placed.write_text(whole)
	assert read_placement(read_export(str(placed)))[0] == {"sg-1": 2}
