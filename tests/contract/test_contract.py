"""The contract: a Worker on D1 and the local control plane answer the same, case by case."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from contract_cases import CASES, FULL, NODE_IDS, NODES, PUSH, Case
from contract_planes import KEY, Plane, WorkerPlane
from fleet_exports import ago, run_fleet

from prego_metrics.agent.push.payload import Payload

RunAgent = Callable[..., Any]


def call(
	plane: Plane, method: str, path: str, content: Any = None, key: str | None = KEY
) -> requests.Response:
	headers = {} if key is None else {"Authorization": f"Bearer {key}"}
	with requests.Session() as session:
		session.trust_env = False
		request = session.prepare_request(requests.Request(method, plane.url, headers=headers, data=content))
		request.url = plane.url + path  # as it stands: requests would tidy it
		return session.send(request, timeout=10, allow_redirects=False)


def rows(plane: Plane, statement: str, *values: Any) -> list[dict[str, Any]]:
	return list(plane.sql(statement, *values)[0]["results"])


def row_of(plane: Plane, node_id: str = "sg-1") -> dict[str, Any] | None:
	"""Return the runbook's columns of a node's row."""
	found = rows(plane, "SELECT * FROM server_metrics WHERE node_id = ?", node_id)
	return {name: found[0][name] for name in found[0] if name != "push_interval"} if found else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_is_answered_as_the_contract_says(plane: Plane, case: Case) -> None:
	key = {"right": KEY, "wrong": "wrong", None: None}[case.key]
	answer = call(plane, case.method, case.path, case.content, key)
	assert answer.status_code == case.status, answer.text
	expected = answer.json()
	assert case.answer.items() <= expected.items()
	assert case.status < 400 or isinstance(expected["error"], str)
	row = row_of(plane)
	if row is not None:
		assert row.pop("node_id") == "sg-1" and row.pop("updated_at").endswith("Z")
	assert row == case.row


def test_a_body_in_chunks_counts_as_a_whole(plane: Plane) -> None:
	body = json.dumps(FULL).encode()
	assert call(plane, "POST", PUSH, iter([body, b" " * 100])).status_code == 200
	assert call(plane, "POST", PUSH, iter([body, b" " * 65536])).status_code == 413


def test_a_second_push_replaces_the_whole_row(plane: Plane) -> None:
	call(plane, "POST", PUSH, json.dumps(FULL))
	first = row_of(plane)
	call(plane, "POST", PUSH, json.dumps({"node_id": "sg-1", "tenant_count": 1}))
	second = row_of(plane)
	assert first and second and first["memory_pct"] == 48.1
	assert (second["cpu_pct"], second["memory_pct"], second["tenant_count"]) == (None, None, 1)
	assert second["updated_at"] >= first["updated_at"]
	assert len(rows(plane, "SELECT * FROM server_metrics")) == 1


def test_a_snapshot_is_inserted_where_its_migration_is_applied_and_else_ignored(plane: Plane) -> None:
	for wanted in (True, True, False):
		answer = call(plane, "POST", PUSH, json.dumps({**FULL, "save_snapshot": wanted}))
		assert (answer.status_code, answer.json()["snapshot_saved"]) == (200, wanted and plane.snapshots)
	if plane.snapshots:
		kept = rows(plane, "SELECT * FROM server_metrics_snapshots")
		assert [snapshot["tenant_count"] for snapshot in kept] == [42, 42]


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_a_name_is_kept_byte_for_byte_from_registration_to_row(plane: Plane, node_id: str) -> None:
	path = f"{NODES}/{quote(node_id, safe='')}"
	known = node_id == "sg-1"
	assert call(plane, "GET", path).status_code == (200 if known else 404)
	body = json.dumps({"node_id": node_id, "region": "eu", "host": "h"})
	assert call(plane, "POST", NODES, body).status_code == (200 if known else 201)
	assert call(plane, "POST", PUSH, json.dumps({"node_id": node_id, "tenant_count": 5})).status_code == 200
	shown = call(plane, "GET", path).json()["node"]
	assert (shown["node_id"], shown["region"], shown["tenant_count"]) == (node_id, "eu", 5)
	listed = call(plane, "GET", NODES).json()["nodes"]
	assert {node["node_id"] for node in listed} == {"sg-1", node_id}
	assert row_of(plane, node_id)


# The node's own commands


@pytest.fixture
def push(plane: Plane, run_agent: RunAgent, bench_folder: Path, settings: Callable[..., Path]) -> RunAgent:
	"""`push("push", node_id="sg-1", key=KEY)` runs a command of the node against the control plane."""

	def run(*arguments: str, node_id: str = "sg-1", key: str = KEY) -> Any:
		settings(bench_folder, node_id=node_id, control_plane_url=plane.url)
		return run_agent(*arguments, "--bench", bench_folder, INTERNAL_API_KEY=key)

	return run


def test_the_node_s_push_is_delivered_and_its_row_is_what_it_said(plane: Plane, push: RunAgent) -> None:
	outcome = push("push", "--save-snapshot", "--json")
	result = json.loads(outcome.stdout)
	assert (outcome.returncode, result["outcome"], result["status_code"]) == (0, "delivered", 200)
	row = row_of(plane)
	assert row and row["tenant_count"] == 3 and row["source"] == "node_push"
	for name in ("cpu_pct", "memory_pct", "disk_pct"):
		assert row[name] == result["payload"].get(name)
	if plane.snapshots:
		assert len(rows(plane, "SELECT * FROM server_metrics_snapshots")) == 1


@pytest.mark.parametrize(("options", "status"), [({"key": "wrong"}, 401), ({"node_id": "nowhere"}, 404)])
def test_a_push_that_is_refused_says_why(
	plane: Plane, push: RunAgent, options: dict[str, str], status: int
) -> None:
	outcome = push("push", "--json", **options)
	result = json.loads(outcome.stdout)
	assert (outcome.returncode, result["outcome"], result["status_code"]) == (1, "refused", status)
	assert row_of(plane) is None


# A run of the doctor watches the CPU for a second: these stand for all.
@pytest.mark.parametrize("node_id", ["sg-1", "a/../b", "a%2Fb", " a?b=c#d", "노드-1"])
def test_the_doctor_finds_the_node_under_its_name_and_writes_nothing(
	plane: Plane, push: RunAgent, node_id: str
) -> None:
	body = json.dumps({"node_id": node_id, "region": "eu", "host": "h"})
	assert call(plane, "POST", NODES, body).ok
	checks = json.loads(push("doctor", "--json", node_id=node_id).stdout)["checks"]
	found = next(check for check in checks if check["name"] == "control_plane")
	assert found["state"] == "pass", found
	assert rows(plane, "SELECT * FROM server_metrics") == []


@pytest.mark.parametrize(
	("options", "code"), [({"key": "wrong"}, "key_refused"), ({"node_id": "nowhere"}, "node_unknown")]
)
def test_the_doctor_tells_a_wrong_key_from_a_wrong_name(
	push: RunAgent, options: dict[str, str], code: str
) -> None:
	checks = json.loads(push("doctor", "--json", **options).stdout)["checks"]
	check = next(check for check in checks if check["name"] == "control_plane")
	assert (check["state"], check["code"]) == ("fail", code), check


# Off the node


def test_the_sidecar_s_payload_leaves_memory_and_disk_unknown(plane: Plane) -> None:
	payload = Payload(
		"sg-1", cpu_pct=37.5, memory_pct=None, disk_pct=None, tenant_count=12, source="hetzner_api"
	)
	assert call(plane, "POST", PUSH, payload.encoded()).status_code == 200
	row = row_of(plane)
	assert row and (row["cpu_pct"], row["memory_pct"], row["disk_pct"]) == (37.5, None, None)
	assert (row["tenant_count"], row["source"]) == (12, "hetzner_api")


def test_the_fleet_is_judged_the_same_from_exports_and_live(plane: Plane, tmp_path: Path) -> None:
	for name, region in (("fresh", "sg"), ("stale", "us"), ("zero", "eu"), ("sidecar", "eu")):
		body = {"node_id": name, "region": region, "host": "h"}
		assert call(plane, "POST", NODES, json.dumps(body)).status_code == 201
		count = 0 if name == "zero" else 2
		more = {"source": "hetzner_api"} if name == "sidecar" else {}
		call(plane, "POST", PUSH, json.dumps({"node_id": name, "tenant_count": count, **more}))
		for _ in range(2):
			plane.sql("INSERT INTO tenants_master (node_id, status) VALUES (?, 'active')", name)
	plane.sql("UPDATE server_metrics SET updated_at = ? WHERE node_id = 'stale'", ago(400))
	exports = {}
	for table in ("nodes", "server_metrics", "tenants_master"):
		exports[table] = tmp_path / f"{table}.json"
		exports[table].write_text(json.dumps(plane.sql(f"SELECT * FROM {table}")))
	tenants = ["--tenants", exports["tenants_master"], "--json"]
	live = ["--control-plane-url", plane.url]
	freshness = [
		run_fleet("freshness", "--nodes", exports["nodes"], "--metrics", exports["server_metrics"], *tenants),
		run_fleet("freshness", *live, *tenants, INTERNAL_API_KEY=KEY),
	]
	for result in freshness:
		assert (result.code, result.stderr) == (1, "")
		assert result.verdicts() == {
			"fresh": "fresh", "sg-1": "never", "sidecar": "fresh", "stale": "stale", "zero": "zero",
		}  # fmt: skip
	reconciled = [
		run_fleet("reconcile", "--metrics", exports["server_metrics"], *tenants),
		run_fleet("reconcile", *live, *tenants, INTERNAL_API_KEY=KEY),
	]
	for result in reconciled:
		assert result.code == 1 and result.json["not_compared"] == ["sidecar"]
	assert reconciled[0].verdicts() == {"fresh": "agrees", "stale": "agrees", "zero": "differs"}
	assert reconciled[1].verdicts() == reconciled[0].verdicts()


def test_a_node_is_judged_by_the_interval_that_it_said_where_the_control_plane_keeps_it(
	plane: Plane, run_agent: RunAgent, bench_folder: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	settings(bench_folder, node_id="sg-1", control_plane_url=plane.url, push_interval=300)
	assert run_agent("push", "--bench", bench_folder, INTERNAL_API_KEY=KEY).returncode == 0
	plane.sql("UPDATE server_metrics SET updated_at = ?", ago(400))
	verdict = "fresh" if plane.intervals else "stale"
	live = run_fleet("freshness", "--control-plane-url", plane.url, "--json", INTERNAL_API_KEY=KEY)
	exports = []
	for table in ("nodes", "server_metrics"):
		exports += [f"--{table.removeprefix('server_')}", tmp_path / f"{table}.json"]
		exports[-1].write_text(json.dumps(plane.sql(f"SELECT * FROM {table}")))
	exported = run_fleet("freshness", *exports, "--json")
	query = (Path(__file__).parents[2] / "deploy/d1/freshness.sql").read_text()
	assert live.verdicts() == exported.verdicts() == {"sg-1": verdict}
	assert [row["verdict"] for row in rows(plane, query)] == [verdict]


UPSERT = (
	"INSERT INTO server_metrics (node_id, tenant_count, updated_at) VALUES ('sg-1', 4, 'now') "
	"ON CONFLICT (node_id) DO UPDATE SET tenant_count = excluded.tenant_count, updated_at = excluded.updated_at"
)
REPLACE = (
	"INSERT OR REPLACE INTO server_metrics (node_id, tenant_count, updated_at) VALUES ('sg-1', 5, 'now')"
)
SNAPSHOT = "INSERT INTO server_metrics_snapshots (node_id, tenant_count, source, recorded_at) VALUES ('sg-1', 1, '', 'now')"


def test_d1_counts_the_rows_that_scaling_out_says(plane: Plane) -> None:
	"""What docs/scaling.md takes for the rows that Cloudflare bills."""
	if not isinstance(plane, WorkerPlane):
		pytest.skip("the local control plane is no D1")

	def written(statement: str) -> int:
		return int(plane.sql(statement)[0]["meta"]["rows_written"])

	assert call(plane, "POST", PUSH, json.dumps(FULL)).ok
	assert [written(UPSERT), written(UPSERT), written(REPLACE), written(REPLACE)] == [1, 1, 2, 2]
	if plane.snapshots:
		assert written(SNAPSHOT) == 1
	plane.sql("CREATE INDEX by_time ON server_metrics (updated_at)")
	try:
		assert [written(UPSERT.replace("now", "later")), written(REPLACE)] == [2, 3]
	finally:
		plane.sql("DROP INDEX by_time")


def test_snapshots_grow_and_are_pruned_as_scaling_out_says(plane: Plane) -> None:
	if not isinstance(plane, WorkerPlane) or not plane.snapshots:
		pytest.skip("no D1 that keeps snapshots")
	document = (Path(__file__).parents[2] / "docs/scaling.md").read_text()
	prune = re.findall(r"```sql\n(.*?)```", document, re.DOTALL)[0]
	before = plane.sql("SELECT 1")[0]["meta"]["size_after"]
	# The first 12,345 are older than 30 days, each by a minute less than the one before.
	plane.sql(
		"WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 19999) "
		"INSERT INTO server_metrics_snapshots "
		"(node_id, cpu_pct, memory_pct, disk_pct, tenant_count, source, recorded_at) "
		"SELECT 'sg-1', 12.5, 48.1, 61.2, 42, 'node_push', "
		"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-30 days', (n - 12345) || ' minutes') FROM number"
	)
	grown = plane.sql("SELECT 1")[0]["meta"]["size_after"] - before
	assert 70 < grown / 20_000 < 85
	used = [plane.sql(prune)[0]["meta"] for _ in range(3)]
	assert [meta["rows_written"] for meta in used] == [10_000, 2345 + 1, 0]
	assert max(meta["rows_read"] for meta in used) <= 30_001


def test_the_queries_for_d1_run_there(plane: Plane) -> None:
	call(plane, "POST", PUSH, json.dumps(FULL))
	queries = sorted((Path(__file__).parents[2] / "deploy/d1").glob("*.sql"))
	assert len(queries) == 3
	expected = {path.stem: rows(plane, path.read_text()) for path in queries}
	assert [row["verdict"] for row in expected["freshness"]] == ["fresh"]
	assert [row["verdict"] for row in expected["reconcile"]] == ["differs"]
	assert expected["never_pushed"] == []


def test_a_live_reconciliation_counts_a_node_that_never_pushed(plane: Plane, tmp_path: Path) -> None:
	plane.sql("INSERT INTO tenants_master (node_id, status) VALUES ('sg-1', 'active')")
	tenants = tmp_path / "tenants.json"
	tenants.write_text(json.dumps(plane.sql("SELECT * FROM tenants_master")))
	result = run_fleet(
		"reconcile", "--control-plane-url", plane.url, "--tenants", tenants, "--json", INTERNAL_API_KEY=KEY
	)
	assert (result.code, result.verdicts()) == (1, {"sg-1": "never"})
