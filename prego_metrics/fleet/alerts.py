"""The alerts that follow from the verdicts on freshness: one for a failing node, one for many that stopped together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.fleet.verdicts import STALE, Verdict

# So many nodes, and more than half of those that ever pushed, do not stop together by themselves.
MASS_NODES = 3


@dataclass(frozen=True)
class Alert:
	"""An alert about a `node` or the `control_plane`; sentence is sanitized."""

	about: str
	sentence: str
	node_ids: tuple[str, ...]


def alerts_of(verdicts: Sequence[Verdict]) -> list[Alert]:
	"""Return the alerts: one for each failing node.

	Nodes that went stale when many stopped together are one alert, about the control plane.
	"""
	missed = _stopped_together(verdicts)
	stale = [verdict for verdict in missed if verdict.name == STALE]
	alerts = []
	if len(stale) < MASS_NODES:
		stale = []
	else:
		first, last = (iso_utc(verdict.updated) for verdict in (missed[0], missed[-1]))
		overdue = f", {len(missed) - len(stale)} overdue" if len(missed) > len(stale) else ""
		alerts.append(
			Alert(
				"control_plane",
				f"{len(missed)} of {len(verdicts)} nodes stopped together ({len(stale)} stale{overdue}; last "
				f"pushes {first} to {last}): check the control plane, its key and any proxy before it, not the nodes",
				tuple(sorted(verdict.node_id for verdict in stale)),
			)
		)
	together = {verdict.node_id for verdict in stale}
	return alerts + [
		Alert("node", f"{sanitize(verdict.node_id)}: {verdict.name}, {verdict.note}", (verdict.node_id,))
		for verdict in verdicts
		if verdict.failing and verdict.node_id not in together
	]


def _stopped_together(verdicts: Sequence[Verdict]) -> list[Verdict]:
	"""Return the nodes that one cause can have stopped, by their last pushes, or none if those are not the most.

	A node that missed a push stopped between its last push and the time when the next one was overdue: the cause came
	when that is true of most. Its nodes are those whose last push is no further from it than their rows are fresh.
	"""
	missed = [
		verdict
		for verdict in verdicts
		if verdict.age_seconds is not None and verdict.age_seconds > verdict.overdue_seconds
	]
	missed.sort(key=lambda verdict: verdict.updated)
	changes = [(verdict.updated, 1) for verdict in missed]
	changes += [(verdict.updated + verdict.overdue_seconds, -1) for verdict in missed]
	count = largest = 0
	moment = 0.0
	for at, change in sorted(changes, key=lambda each: (each[0], -each[1])):
		count += change
		if count > largest:
			largest, moment = count, at
	pushed = sum(verdict.updated_at_seconds is not None for verdict in verdicts)
	if 2 * largest <= pushed:
		return []
	return [verdict for verdict in missed if abs(verdict.updated - moment) <= verdict.max_age_seconds]
