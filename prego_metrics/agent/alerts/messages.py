"""What is worth telling a person: that pushes fail, stop or arrive again, that tenants or disk are gone.

A transition is recorded with its figures; its sentences are made when it is shown. Only `stale` is not
recorded but seen, by a tick that could not push: it may be that another holds the lock and never ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prego_metrics.agent.base.messages import Wording, first_line, wording
from prego_metrics.agent.base.sanitize import printable
from prego_metrics.agent.push.result import iso_utc

FAILING = "failing"
STALE = "stale"
RECOVERED = "recovered"
TENANTS_FELL = "tenants_fell"
DISK_FULL = "disk_full"
DISK_FREED = "disk_freed"
KINDS = (FAILING, STALE, RECOVERED, TENANTS_FELL, DISK_FULL, DISK_FREED)
GOOD_NEWS = (RECOVERED, DISK_FREED)


@dataclass(frozen=True)
class Transition:
	"""One change, at `at` in seconds since the epoch.

	id is that of the push that made it, for `stale` that of the last delivered one. since is when the first
	of the failed pushes was tried, or when the last one was delivered before nothing was.
	"""

	id: str
	at: float
	kind: str
	failures: int = 0
	error: str | None = None
	since: float | None = None
	tenants_before: int | None = None
	tenants: int | None = None
	disk_pct: float | None = None


def title(transition: Transition, node_id: str) -> Wording:
	"""Return what happened to this node, in one line."""
	node = printable(node_id, 80)
	if transition.kind == FAILING:
		return wording("Node {node}: pushes fail", node=node)
	if transition.kind == STALE:
		return wording("Node {node}: pushes have stopped", node=node)
	if transition.kind == RECOVERED:
		return wording("Node {node}: pushes are delivered again", node=node)
	if transition.kind == TENANTS_FELL:
		return wording("Node {node}: the number of tenants fell", node=node)
	if transition.kind == DISK_FULL:
		return wording("Node {node}: a disk is nearly full", node=node)
	return wording("Node {node}: the disk has room again", node=node)


def description(transition: Transition, show_time: Callable[[float], str] = iso_utc) -> Wording:
	"""Return what happened in figures, and what to do; `show_time` writes seconds since the epoch."""
	at = show_time(transition.at)
	since = at if transition.since is None else show_time(transition.since)
	if transition.kind == FAILING:
		return wording(
			"{failures} pushes in a row were not delivered, the first at {since}. The last one: {error}. Run "
			"`bench prego-metrics doctor` on the node: it names what is wrong and what to do.",
			failures=transition.failures,
			since=since,
			error=_error(transition),
		)
	if transition.kind == STALE:
		return wording(
			"The last push was delivered at {since}, and none was tried since, so the control plane no longer "
			"knows this node's load. Run `bench prego-metrics doctor` on the node: it names the driver that stopped.",
			since=since,
		)
	if transition.kind == RECOVERED and transition.failures:
		return wording(
			"Delivered at {at}, after {failures} pushes in a row that were not; the first of them was at {since}.",
			at=at,
			failures=transition.failures,
			since=since,
		)
	if transition.kind == RECOVERED:
		return wording("Delivered at {at}; the push before was delivered at {since}.", at=at, since=since)
	if transition.kind == TENANTS_FELL:
		return wording(
			"The push at {at} counted {tenants} tenants, the one before {before}. If that is not meant so, look "
			"for a mount that is gone or a pattern that excludes too much: `bench prego-metrics tenants` on the "
			"node shows every site, counted or not, and why.",
			at=at,
			tenants=transition.tenants,
			before=transition.tenants_before,
		)
	if transition.kind == DISK_FULL:
		return wording(
			"{disk_pct} % of the fullest disk was used at {at}. Once it is full, sites stop working and the state "
			"of the pushes can no longer be written. Free some of it, or move a tenant.",
			disk_pct=transition.disk_pct,
			at=at,
		)
	return wording("{disk_pct} % of the fullest disk was used at {at}.", disk_pct=transition.disk_pct, at=at)


def _error(transition: Transition) -> str:
	"""The reason's first line; some are lists of problems, and the sentence brings its own full stop."""
	line = first_line(transition.error or "", 500)
	return (line.rstrip(".") if line.endswith(".") else line) or "-"
