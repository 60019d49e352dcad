"""Who may push to the local control plane, and what becomes of a push."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from asking import FULL_PAYLOAD, KEY, PUSH, Client, raw_exchange

from prego_metrics.sandbox.server import LocalControlPlane

# The bearer


@pytest.mark.parametrize(
	"authorization",
	[
		None,
		"",
		"Bearer",
		"Bearer wrong",
		KEY,
		f"bearer {KEY}",
		f"Bearer  {KEY}",
		f"Bearer {KEY}x",
		f"Bearer {KEY[:-1]}",
		f"Bearer {KEY.upper()}",
		f"Basic {KEY}",
		"Bearer ÿ".encode("latin-1"),
	],
)
def test_anything_but_the_exact_bearer_is_a_401(client: Client, authorization: Any) -> None:
	answer = client.call("POST", PUSH, authorization=authorization, json=FULL_PAYLOAD)

	assert answer.status_code == 401
	assert list(answer.json()) == ["error"]
	assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
	("method", "path"),
	[
		("GET", "/internal"),
		("GET", "/internal/no-such-route"),
		("DELETE", PUSH),
		("GET", "/internal/nodes/nowhere"),
		("GET", "//internal/nodes"),
		("GET", "/%69nternal/nodes"),
		("POST", "/internal/nodes"),
	],
)
def test_without_the_key_nothing_is_told_of_routes_methods_or_nodes(
	client: Client, method: str, path: str
) -> None:
	assert client.call(method, path, authorization=None).status_code == 401


def test_without_the_key_an_oversized_body_is_a_401_and_not_read(control_plane: LocalControlPlane) -> None:
	answer = raw_exchange(
		control_plane, f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n".encode()
	)

	assert answer == 401


# A push


def test_a_full_push_becomes_the_nodes_row(client: Client, control_plane: LocalControlPlane) -> None:
	answer = client.push(**FULL_PAYLOAD)

	assert (answer.status_code, answer.json()) == (
		200,
		{"ok": True, "node_id": "sg-1", "snapshot_saved": False},
	)
	row = control_plane.store.server_metrics("sg-1")
	assert row is not None
	assert row.pop("updated_at").endswith("Z")
	assert row == FULL_PAYLOAD


def test_what_a_push_leaves_out_becomes_null_zero_and_node_push(
	client: Client, control_plane: LocalControlPlane
) -> None:
	client.push(**FULL_PAYLOAD | {"source": "hetzner_api"})
	client.push(node_id="sg-1", cpu_pct=3)

	row = control_plane.store.server_metrics("sg-1")
	assert row is not None
	del row["updated_at"]
	assert row == {
		"node_id": "sg-1",
		"cpu_pct": 3.0,
		"memory_pct": None,
		"disk_pct": None,
		"tenant_count": 0,
		"source": "node_push",
	}


def test_null_percentages_the_limits_and_unknown_fields_are_accepted(
	client: Client, control_plane: LocalControlPlane
) -> None:
	answer = client.push(
		node_id="sg-1",
		cpu_pct=None,
		memory_pct=0,
		disk_pct=100,
		source="x" * 640,
		tenant_count=3.0,
		later=[1],
	)

	assert answer.status_code == 200
	row = control_plane.store.server_metrics("sg-1")
	assert row is not None
	assert (row["cpu_pct"], row["memory_pct"], row["disk_pct"]) == (None, 0.0, 100.0)


@pytest.mark.parametrize("node_id", ["SG-1", " sg-1", "sg-1 ", "sg-1\n", "sg-1\0", "sg‑1", "sg-2", "%73g-1"])
def test_a_node_that_is_not_registered_exactly_is_a_404(
	client: Client, control_plane: LocalControlPlane, node_id: str
) -> None:
	answer = client.push(**FULL_PAYLOAD | {"node_id": node_id})

	assert answer.status_code == 404
	assert answer.json()["field"] == "node_id"
	assert [node["node_id"] for node in control_plane.store.nodes()] == ["sg-1"]


def test_an_unknown_node_is_created_when_the_option_says_so(session: requests.Session) -> None:
	with LocalControlPlane(KEY, register_unknown=True) as control_plane:
		client = Client(session, control_plane)

		assert client.push(node_id="eu-9", tenant_count=7).status_code == 200
		node = client.call("GET", "/internal/nodes/eu-9").json()["node"]
		assert (node["region"], node["host"], node["tenant_count"]) == (None, None, 7)
