"""Which nodes are delivering, judged off the nodes from what the control plane has.

Of several verdicts the first holds: unregistered, bad_region, never, stale, zero, fresh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.fleet.checks.verdict import (
	BAD_REGION,
	FRESH,
	NEVER,
	STALE,
	UNREGISTERED,
	ZERO,
	Alert,
	Verdict,
)
from prego_metrics.fleet.sources.records import Metrics
from prego_metrics.fleet.sources.timestamps import epoch_seconds

REGIONS = ("sg", "us", "eu")
MAX_AGE_SECONDS = 300.0
# The control plane's clock and ours may differ by so much; a time further ahead is a fault of its own.
FUTURE_SECONDS = 5.0
# So many nodes, and more than half of those that ever pushed, do not stop within a minute by themselves.
MASS_NODES = 3
MASS_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class Fleet:
	"""What freshness is judged from. regions and placed are None where they are not known."""

	nodes: Sequence[str]
	metrics: Mapping[str, Metrics]
	regions: Mapping[str, object] | None = None
	placed: Counter[str] | None = None


def judge_freshness(fleet: Fleet, now: float, max_age_seconds: float = MAX_AGE_SECONDS) -> list[Verdict]:
	"""Judge every node that is registered, has pushed, or has tenants, in the order of their names."""
	known = frozenset(fleet.nodes)
	placed = fleet.placed if fleet.placed is not None else Counter[str]()
	return [
		_judged(node_id, fleet, node_id in known, now, max_age_seconds)
		for node_id in sorted(known | fleet.metrics.keys() | placed.keys())
	]


def _judged(node_id: str, fleet: Fleet, registered: bool, now: float, max_age_seconds: float) -> Verdict:
	metrics = fleet.metrics.get(node_id)
	placed = None if fleet.placed is None else fleet.placed[node_id]
	moment, unreadable = _moment(metrics)
	age = None if moment is None else now - moment

	def verdict(name: str, note: str = "", *, failing: bool = True) -> Verdict:
		return Verdict(
			node_id,
			name,
			failing=failing,
			note=note,
			age_seconds=age,
			updated_at_seconds=moment,
			tenant_count=metrics.tenant_count if metrics else None,
			placed=placed,
			source=metrics.source if metrics else None,
		)

	if not registered:
		what = "pushes" if metrics else f"has {placed} tenants placed on it"
		return verdict(UNREGISTERED, f"{what}, and is not in nodes")
	if fleet.regions is not None and fleet.regions[node_id] not in REGIONS:
		return verdict(BAD_REGION, f"region {_shown(fleet.regions[node_id])} is none of {', '.join(REGIONS)}")
	if metrics is None or metrics.updated_at is None:
		return verdict(NEVER, "no push has arrived: trigger, URL or key")
	if unreadable or age is None:
		return verdict(STALE, f"updated_at {_shown(metrics.updated_at)} is no time")
	if age < -FUTURE_SECONDS:
		return verdict(STALE, f"updated_at lies {-age:.0f} s in the future: a clock is wrong")
	if age > max_age_seconds:
		return verdict(STALE, f"more than {max_age_seconds:g} s ago: pushes have stopped")
	if metrics.tenant_count == 0 or (metrics.tenant_count is None and placed):
		if placed is None:
			return verdict(ZERO, "no tenants, which may be true: --tenants tells", failing=False)
		if placed:
			return verdict(ZERO, f"{placed} tenants are placed here: placement ignores its load")
	return verdict(FRESH, failing=False)


def _moment(metrics: Metrics | None) -> tuple[float | None, bool]:
	"""Return when the row was written, and whether that is there and cannot be read."""
	if metrics is None or metrics.updated_at is None:
		return None, False
	try:
		return epoch_seconds(metrics.updated_at), False
	except ValueError:
		return None, True


def alerts_of(verdicts: Sequence[Verdict]) -> list[Alert]:
	"""Return what somebody is to be told: one alert for each failing node.

	Nodes that went stale within the same minute, when they are many, are one alert together: about the
	control plane.
	"""
	mass = _gone_together(verdicts)
	alerts = []
	if mass:
		first, last = (iso_utc(seconds) for seconds in (mass[0].updated, mass[-1].updated))
		alerts.append(
			Alert(
				"control_plane",
				f"{len(mass)} of {len(verdicts)} nodes went stale within the same minute ({first} to {last}): "
				"look at the control plane, its key and what stands before it, not at the nodes",
				tuple(sorted(verdict.node_id for verdict in mass)),
			)
		)
	together = {verdict.node_id for verdict in mass}
	return alerts + [
		Alert("node", f"{sanitize(verdict.node_id)}: {verdict.name}, {verdict.note}", (verdict.node_id,))
		for verdict in verdicts
		if verdict.failing and verdict.node_id not in together
	]


def _gone_together(verdicts: Sequence[Verdict]) -> list[Verdict]:
	"""Return the most stale nodes whose last pushes lie within one minute, oldest first, or none if few."""
	stopped = sorted(
		(
			verdict
			for verdict in verdicts
			if verdict.name == STALE and verdict.age_seconds is not None and verdict.age_seconds > 0
		),
		key=lambda verdict: verdict.updated,
	)
	best: list[Verdict] = []
	start = 0
	for end, verdict in enumerate(stopped):
		while verdict.updated - stopped[start].updated > MASS_WINDOW_SECONDS:
			start += 1
		if end - start + 1 > len(best):
			best = stopped[start : end + 1]
	pushed = sum(verdict.updated_at_seconds is not None for verdict in verdicts)
	return best if len(best) >= MASS_NODES and 2 * len(best) > pushed else []


def _shown(value: object) -> str:
	if value is None:
		return "NULL"
	try:
		return sanitize(repr(value) if isinstance(value, str) else str(value), 60)
	except ValueError:
		return "of thousands of digits"
