"""What is worth telling a person: that pushes fail, stop or arrive again, that tenants or disk are gone.

A transition is recorded with its figures; its sentences are made when it is shown. Only `stale` is not
recorded but seen, by a tick that could not push: it may be that another holds the lock and never ends.
"""

from __future__ import annotations

from collections.abc import Callable

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.messages import Message, first_line, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.state.events import DISK_FULL, FAILING, RECOVERED, STALE, TENANTS_FELL, AlertEvent


def title(event: AlertEvent, node_id: str) -> Message:
	"""Return what happened to this node, in one line."""
	node = sanitize(node_id, 80)
	if event.kind == FAILING:
		return message("Node {node}: pushes fail", node=node)
	if event.kind == STALE:
		return message("Node {node}: pushes have stopped", node=node)
	if event.kind == RECOVERED:
		return message("Node {node}: pushes are delivered again", node=node)
	if event.kind == TENANTS_FELL:
		return message("Node {node}: the number of tenants fell", node=node)
	if event.kind == DISK_FULL:
		return message("Node {node}: a disk is nearly full", node=node)
	return message("Node {node}: the disk has room again", node=node)


def description(event: AlertEvent, show_time: Callable[[float], str] = iso_utc) -> Message:
	"""Return what happened in figures, and what to do; `show_time` writes seconds since the epoch."""
	at = show_time(event.at)
	since = at if event.since is None else show_time(event.since)
	if event.kind == FAILING:
		return message(
			"{failures} pushes in a row were not delivered, the first at {since}. The last one: {error}. Run "
			"`bench prego-metrics doctor` on the node: it names what is wrong and what to do.",
			failures=event.failures,
			since=since,
			error=_error(event),
		)
	if event.kind == STALE:
		return message(
			"The last push was delivered at {since}, and none was tried since, so the control plane no longer "
			"knows this node's load. Run `bench prego-metrics doctor` on the node: it names the trigger that stopped.",
			since=since,
		)
	if event.kind == RECOVERED and event.failures:
		return message(
			"Delivered at {at}, after {failures} pushes in a row that were not; the first of them was at {since}.",
			at=at,
			failures=event.failures,
			since=since,
		)
	if event.kind == RECOVERED:
		return message("Delivered at {at}; the push before was delivered at {since}.", at=at, since=since)
	if event.kind == TENANTS_FELL:
		return message(
			"The push at {at} counted {tenants} tenants, the one before {before}. If that is not meant so, look "
			"for a mount that is gone or a pattern that excludes too much: `bench prego-metrics tenants` on the "
			"node shows every site, counted or not, and why.",
			at=at,
			tenants=event.tenants,
			before=event.tenants_before,
		)
	if event.kind == DISK_FULL:
		return message(
			"{disk_pct} % of the fullest disk was used at {at}. Once it is full, sites stop working and the state "
			"of the pushes can no longer be written. Free some of it, or move a tenant.",
			disk_pct=event.disk_pct,
			at=at,
		)
	return message("{disk_pct} % of the fullest disk was used at {at}.", disk_pct=event.disk_pct, at=at)


def _error(event: AlertEvent) -> str:
	"""The reason's first line; some are lists of problems, and the sentence brings its own full stop."""
	line = first_line(event.error or "", 500)
	return (line.rstrip(".") if line.endswith(".") else line) or "-"
