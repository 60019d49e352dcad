"""The contract's requests as data: what is sent, and what every control plane answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

PUSH = "/internal/server-metrics"
NODES = "/internal/nodes"
FULL: dict[str, Any] = {
	"node_id": "sg-1",
	"cpu_pct": 12.5,
	"memory_pct": 48.1,
	"disk_pct": 61.0,
	"tenant_count": 42,
	"source": "node_push",
}
EMPTY = {"cpu_pct": None, "memory_pct": None, "disk_pct": None, "tenant_count": 0, "source": "node_push"}


@dataclass(frozen=True)
class Case:
	"""One request. answer is a part of what is answered; row is what sg-1 then has, None for no row."""

	name: str
	status: int
	body: Any = None
	method: str = "POST"
	path: str = PUSH
	key: str | None = "right"
	answer: dict[str, Any] = field(default_factory=dict)
	row: dict[str, Any] | None = None

	@property
	def content(self) -> bytes | None:
		"""The body as bytes; text and bytes are sent as they stand."""
		if self.body is None or isinstance(self.body, bytes):
			return self.body
		return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def pushed(name: str, row: dict[str, Any] | None = None, **body: Any) -> Case:
	"""A push that is delivered; what row leaves out is what the control plane reads into an omitted field."""
	sent = {"node_id": "sg-1", **body}
	return Case(name, 200, sent, answer={"ok": True, "node_id": "sg-1"}, row={**EMPTY, **(row or body)})


def refused(at_fault: str, value: Any) -> Case:
	"""A push with one wrong value, which is named and not stored."""
	name = f"{at_fault} is {json.dumps(value)[:24]}"
	return Case(name, 400, {**FULL, at_fault: value}, answer={"field": at_fault})


CASES = [
	pushed("everything", {key: value for key, value in FULL.items() if key != "node_id"}, **FULL),
	pushed("an omitted tenant_count becomes 0", cpu_pct=1, memory_pct=2, disk_pct=3),
	pushed("percentages left out become NULL", tenant_count=7),
	pushed(
		"percentages that are null become NULL", cpu_pct=None, memory_pct=None, disk_pct=None, tenant_count=7
	),
	pushed("the limits", cpu_pct=0, memory_pct=100, disk_pct=100.0, tenant_count=2**53 - 1),
	pushed("a count that is whole as a float", {"tenant_count": 3}, tenant_count=3.0),
	pushed("a source of one's own", source="x" * 200, tenant_count=1),
	pushed("an unknown field", {"tenant_count": 1}, tenant_count=1, later=[1]),
	pushed("the sidecar's", cpu_pct=37.5, tenant_count=12, source="hetzner_api"),
	*(
		refused(name, value)
		for name in ("cpu_pct", "memory_pct", "disk_pct")
		for value in (-0.1, 100.1, "50", True, [])
	),
	*(refused("tenant_count", value) for value in (-1, 1.5, "3", None, True, 2**53, 1e300)),
	*(refused("node_id", value) for value in (None, "", 1, [], "\ud800")),
	*(refused("save_snapshot", value) for value in (None, 1, "true")),
	*(refused("source", value) for value in (None, "", 1)),
	Case("no node_id", 400, {"tenant_count": 1}, answer={"field": "node_id"}),
	*(
		Case(f"no JSON object: {body[:12]!r}", 400, body)
		for body in (
			b"",
			b"{",
			b"[]",
			b"null",
			b'"sg-1"',
			b'{"node_id": "\xff"}',
			b'{"cpu_pct": NaN}',
			b"[" * 60_000,
		)
	),
	Case("an unknown node", 404, {**FULL, "node_id": "sg-9"}, answer={"field": "node_id"}),
	Case("a node in another case", 404, {**FULL, "node_id": "SG-1"}, answer={"field": "node_id"}),
	Case("a node with a space", 404, {**FULL, "node_id": "sg-1 "}, answer={"field": "node_id"}),
	Case(
		"the largest body",
		200,
		json.dumps(FULL).ljust(65536),
		row={k: v for k, v in FULL.items() if k != "node_id"},
	),
	Case("a larger body", 413, json.dumps(FULL).ljust(65537)),
	Case("a wrong key", 401, FULL, key="wrong"),
	Case("no key", 401, FULL, key=None),
	Case("no key, no body, no such route", 401, method="GET", path="/internal/nothing", key=None),
	Case("another method for a push", 405, method="GET"),
	Case("another method for nodes", 405, method="DELETE", path=NODES),
	Case("another method for one node", 405, FULL, path=f"{NODES}/sg-1"),
	Case("a slash too many", 404, FULL, path=f"{PUSH}/"),
	Case("no such route", 404, method="GET", path="/internal/nothing"),
	Case("all nodes", 200, method="GET", path=NODES, answer={"ok": True}),
	Case("all nodes, a wrong key", 401, method="GET", path=NODES, key="wrong"),
	Case("one node that is there", 200, method="GET", path=f"{NODES}/sg-1", answer={"ok": True}),
	Case("one node that is not", 404, method="GET", path=f"{NODES}/sg-2", answer={"field": "node_id"}),
	Case("a node without a name", 404, method="GET", path=f"{NODES}/"),
	Case(
		"a new node", 201, {"node_id": "us-1", "region": "us", "host": "h"}, path=NODES, answer={"ok": True}
	),
	Case(
		"a node that is known",
		200,
		{"node_id": "sg-1", "region": "eu", "host": "h"},
		path=NODES,
		answer={"ok": True},
	),
	Case(
		"a region elsewhere",
		400,
		{"node_id": "x", "region": "de", "host": "h"},
		path=NODES,
		answer={"field": "region"},
	),
	Case(
		"a region in another case",
		400,
		{"node_id": "x", "region": "SG", "host": "h"},
		path=NODES,
		answer={"field": "region"},
	),
	Case(
		"a node without a host", 400, {"node_id": "x", "region": "sg"}, path=NODES, answer={"field": "host"}
	),
]

# Names that a registration takes and a path must carry: all of them are told apart, byte for byte.
NODE_IDS = [
	"sg-1", "SG-1", "a b", " a", "a/b", "a//b", "a/../b", "a%2Fb", "%", "%zz", "a%20b", "a+b", "a?b=c", "a#b", "a;b",
	"a\\b", "노드-1", "e\u0301", "\u00e9", "😀", "..a", "a:b@c", "'; DROP TABLE nodes; --", "a\nb", "\u202ea", "x" * 255,
]  # fmt: skip
