"""Which nodes the sidecar pushes, and what became of each.

A node is pushed only where nothing is lost by it: the row is an upsert without memory and disk, and would
blind placement to a node that pushes for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prego_metrics.agent.push.delivery import Delivery
from prego_metrics.agent.push.payload import Payload
from prego_metrics.agent.state.outcomes import DELIVERED
from prego_metrics.fleet.hetzner.api import RUNNING, HetznerError, HetznerServer
from prego_metrics.fleet.hetzner.mapping import MappedNode, describe_server
from prego_metrics.fleet.sources.records import HETZNER_API

PUSHED = "pushed"
WOULD_PUSH = "would_push"
LEFT_ALONE = "left_alone"
NOT_PUSHED = "not_pushed"
# A row further in the future than this is not explained by a clock, and could be fresh or stale.
MAX_CLOCK_SKEW_SECONDS = 60.0


class LastRow(NamedTuple):
	"""A node's row in an export of server_metrics; updated_at in seconds since the epoch. It is fresh up to its max age."""

	updated_at: float
	source: str
	max_age_seconds: float


@dataclass(frozen=True)
class Outcome:
	"""What became of a node, or of a server that is mapped to no node (node_id is None)."""

	node_id: str | None
	outcome: str
	reason: str | None = None
	server: str | None = None
	payload: Mapping[str, Any] | None = None
	warning: str | None = None


CpuOf = Callable[[HetznerServer], "float | None"]
Send = Callable[[Payload], Delivery]


def push_nodes(
	nodes: Iterable[MappedNode],
	counts: Mapping[str, int],
	rows: Mapping[str, LastRow] | None,
	cpu_of: CpuOf,
	send: Send | None,
	*,
	save_snapshot: bool,
) -> Iterator[Outcome]:
	"""Push each node that is to be pushed, and yield the outcome of every one. Without `send`, nothing is sent.

	counts has the tenants of each node, rows its last row; None without an export.
	Where the token, the rate limit, the key or the time end the run, each node that remains gets that as its
	reason, and nothing more is asked or sent.
	"""
	end_of_run: str | None = None
	for node in nodes:
		excluded = _exclude(node, counts, rows)
		if excluded:
			yield _outcome(node, *excluded)
		elif end_of_run:
			yield _outcome(node, NOT_PUSHED, end_of_run)
		else:
			outcome, end_of_run = _push_node(node, counts[node.node_id], cpu_of, send, save_snapshot)
			yield outcome


def _exclude(
	node: MappedNode, counts: Mapping[str, int], rows: Mapping[str, LastRow] | None
) -> tuple[str, str] | None:
	"""Return outcome and reason of a node that must not be pushed, or None if it may."""
	if node.server.status != RUNNING:
		return NOT_PUSHED, f"its {describe_server(node.server)} is {node.server.status}"
	if node.node_id not in counts:
		return NOT_PUSHED, "there is no tenant count for it, and an omitted one is read as 0"
	row = rows.get(node.node_id) if rows is not None else None
	if row is None or row.source == HETZNER_API:
		if node.agentless or rows is not None:
			return None
		return (
			NOT_PUSHED,
			"whether it pushes for itself is not known: give an export of server_metrics, or say agentless",
		)
	age = time.time() - row.updated_at
	if age < -MAX_CLOCK_SKEW_SECONDS:
		return NOT_PUSHED, f"its row is {-age:.0f} s in the future, so it may be fresh"
	if age > row.max_age_seconds:
		return None
	pushed = f"pushed for itself {max(0.0, age):.0f} s ago"
	if node.agentless:
		return NOT_PUSHED, f"it is marked agentless, but {pushed} ({row.source})"
	return LEFT_ALONE, f"it {pushed}"


def _push_node(
	node: MappedNode, tenant_count: int, cpu_of: CpuOf, send: Send | None, save_snapshot: bool
) -> tuple[Outcome, str | None]:
	"""Push one node; return what became of it, and why nothing more can be pushed, if so."""
	try:
		cpu_pct = cpu_of(node.server)
	except HetznerError as error:
		reason = f"its CPU could not be read: {error}"
		return _outcome(node, NOT_PUSHED, reason), (reason if error.final else None)
	payload = Payload(
		node_id=node.node_id,
		cpu_pct=cpu_pct,
		memory_pct=None,
		disk_pct=None,
		tenant_count=tenant_count,
		save_snapshot=save_snapshot,
		source=HETZNER_API,
	)
	if send is None:
		return _outcome(node, WOULD_PUSH, payload=payload), None
	delivery = send(payload)
	if delivery.outcome == DELIVERED:
		return _outcome(node, PUSHED, payload=payload), None
	final = delivery.status_code in (401, 403)
	return _outcome(node, NOT_PUSHED, delivery.error, payload), (delivery.error if final else None)


def _outcome(
	node: MappedNode, outcome: str, reason: str | None = None, payload: Payload | None = None
) -> Outcome:
	warning = None
	if payload and payload.cpu_pct is None:
		warning = "Hetzner has no CPU value of the last minutes: cpu_pct is left out"
	sent = payload.as_dict() if payload else None
	return Outcome(node.node_id, outcome, reason, node.server.name, sent, warning)
