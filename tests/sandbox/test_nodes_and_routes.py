"""Snapshots, nodes, routes and methods, and the line that each answer is told by."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from asking import FULL_PAYLOAD, KEY, PUSH, Client

from prego_metrics.sandbox.server import LocalControlPlane

# Snapshots


def test_a_snapshot_is_kept_when_asked_for(client: Client, control_plane: LocalControlPlane) -> None:
	client.push(**FULL_PAYLOAD)
	first = client.push(**FULL_PAYLOAD, save_snapshot=True)
	second = client.push(node_id="sg-1", save_snapshot=True)
	client.push(**FULL_PAYLOAD, save_snapshot=False)

	assert first.json()["snapshot_saved"] is second.json()["snapshot_saved"] is True
	snapshots = control_plane.store.snapshots("sg-1")
	assert [(row["memory_pct"], row["tenant_count"]) for row in snapshots] == [(48.1, 42), (None, 0)]


def test_a_snapshot_is_accepted_and_ignored_until_the_migration(session: requests.Session) -> None:
	with LocalControlPlane(KEY, snapshots=False) as control_plane:
		client = Client(session, control_plane)
		control_plane.store.register_node("sg-1", "sg", "10.0.0.1")

		answer = client.push(**FULL_PAYLOAD, save_snapshot=True)
		assert (answer.status_code, answer.json()["snapshot_saved"]) == (200, False)
		assert control_plane.store.snapshots("sg-1") == []
		assert control_plane.store.server_metrics("sg-1") is not None


# Nodes


def test_all_nodes_are_listed_with_their_newest_metrics(client: Client) -> None:
	client.call("POST", "/internal/nodes", json={"node_id": "eu-1", "region": "eu", "host": "eu.example"})
	client.push(**FULL_PAYLOAD)

	answer = client.call("GET", "/internal/nodes")

	assert answer.status_code == 200
	assert answer.headers["Content-Type"] == "application/json"
	silent, pushed = answer.json()["nodes"]
	assert silent == {
		"node_id": "eu-1",
		"region": "eu",
		"host": "eu.example",
		"cpu_pct": None,
		"memory_pct": None,
		"disk_pct": None,
		"tenant_count": None,
		"source": None,
		"updated_at": None,
	}
	assert pushed.pop("updated_at")
	assert pushed == FULL_PAYLOAD | {"region": "sg", "host": "10.0.0.1"}


@pytest.mark.parametrize(
	("node_id", "path"),
	[
		("sg-1", "sg-1"),
		("sg 1", "sg%201"),
		("sg/1", "sg%2F1"),
		("sg//1/", "sg//1/"),
		("노드-1", "%EB%85%B8%EB%93%9C-1"),
		("sg-1\n", "sg-1%0A"),
		("a+b?c#d", "a+b%3Fc%23d"),
	],
)
def test_one_node_is_found_by_its_url_decoded_name(
	client: Client, control_plane: LocalControlPlane, node_id: str, path: str
) -> None:
	control_plane.store.register_node(node_id, "us", "10.0.0.2")

	answer = client.call("GET", f"/internal/nodes/{path}")

	assert answer.status_code == 200
	assert answer.json()["node"]["node_id"] == node_id


@pytest.mark.parametrize("path", ["SG-1", "sg-1/", "%20sg-1", "sg-1%20", "sg-2", "%FF"])
def test_one_node_under_another_spelling_is_a_404(client: Client, path: str) -> None:
	answer = client.call("GET", f"/internal/nodes/{path}")

	assert (answer.status_code, answer.json()["field"]) == (404, "node_id")


def test_a_node_is_registered_once_and_changed_after(
	client: Client, control_plane: LocalControlPlane
) -> None:
	first = client.call("POST", "/internal/nodes", json={"node_id": "us-1", "region": "us", "host": "one"})
	second = client.call("POST", "/internal/nodes", json={"node_id": "us-1", "region": "eu", "host": "two"})

	assert (first.status_code, second.status_code) == (201, 200)
	node = control_plane.store.node("us-1")
	assert node is not None
	assert (node["region"], node["host"]) == ("eu", "two")
	assert second.json() == {"ok": True, "node": node}


@pytest.mark.parametrize(
	("field", "value"),
	[
		("node_id", None),
		("node_id", ""),
		("region", "SG"),
		("region", None),
		("region", []),
		("region", "de"),
		("host", ""),
		("host", 7),
	],
)
def test_a_wrong_node_is_a_400_that_names_its_field(client: Client, field: str, value: Any) -> None:
	body = {"node_id": "us-1", "region": "us", "host": "one"}

	wrong = client.call("POST", "/internal/nodes", json=body | {field: value})
	missing = client.call("POST", "/internal/nodes", json={key: body[key] for key in body if key != field})

	assert (wrong.status_code, wrong.json()["field"]) == (400, field)
	assert missing.json() == {"error": f"{field} is required", "field": field}


# Routes and methods


@pytest.mark.parametrize(
	("method", "path", "allowed"),
	[
		("GET", PUSH, "POST"),
		("PUT", PUSH, "POST"),
		("OPTIONS", PUSH, "POST"),
		("DELETE", "/internal/nodes", "GET, HEAD, POST"),
		("POST", "/internal/nodes/sg-1", "GET, HEAD"),
	],
)
def test_another_method_is_a_405_that_names_the_allowed_ones(
	client: Client, method: str, path: str, allowed: str
) -> None:
	answer = client.call(method, path)

	assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
	assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
	"path",
	[
		"/",
		"/healthz",
		"/internal",
		"/internal/",
		"/internal/server-metrics/",
		"/internal/nodes/",
		"/internally",
	],
)
def test_an_unknown_route_is_a_404(client: Client, path: str) -> None:
	answer = client.call("POST", path, json=FULL_PAYLOAD)

	assert (answer.status_code, answer.json()) == (404, {"error": "no such route"})


def test_a_failing_store_is_a_500_in_json(client: Client, control_plane: LocalControlPlane) -> None:
	control_plane.store.close()

	answer = client.push(**FULL_PAYLOAD)

	assert answer.status_code == 500
	assert answer.json() == {"error": "the local control plane failed to answer"}


# Lines for the command line


def test_each_answer_is_one_line_without_query_control_characters_or_key(session: requests.Session) -> None:
	lines: list[str] = []
	with LocalControlPlane(KEY, on_request=lines.append) as control_plane:
		client = Client(session, control_plane)
		client.call("GET", "/internal/nodes?secret=1")
		client.call("GET", f"/internal/nodes/{KEY}")
		client.call("GET", f"/internal/nodes/%{ord(KEY[0]):x}{KEY[1:]}")
		client.call("GET", "/%1b[31m%0Ared")
		client.push(node_id="sg-1")

	assert lines == [
		"GET /internal/nodes 200",
		"GET /internal/nodes/[key] 404",
		"GET /internal/nodes/[key] 404",
		"GET /\\x1b[31m\\x0ared 404",
		f"POST {PUSH} 404",
	]


def test_nothing_is_printed(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
	client.push(**FULL_PAYLOAD)
	client.call("GET", f"/internal/nodes/{KEY}")
	client.call("GET", "/", authorization=None)

	assert capfd.readouterr() == ("", "")
