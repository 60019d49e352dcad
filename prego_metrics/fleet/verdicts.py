"""The verdicts on the nodes, judged off the nodes from what the control plane has.

Freshness says which nodes are delivering; of several verdicts the first holds: unregistered, bad_region, never, stale,
zero, fresh. Reconciliation says whether each node's count agrees with where tenants are placed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.formatting import epoch_seconds
from prego_metrics.agent.setup.registration import REGIONS
from prego_metrics.fleet.sources.records import HETZNER_API, MAX_AGE_SECONDS, Fleet, Metrics, describe_value

UNREGISTERED = "unregistered"
BAD_REGION = "bad_region"
NEVER = "never"
STALE = "stale"
ZERO = "zero"
FRESH = "fresh"
DIFFERS = "differs"
AGREES = "agrees"

# The control plane's clock and ours may differ by so much; a time further ahead is a fault of its own.
FUTURE_SECONDS = 5.0


@dataclass(frozen=True)
class Verdict:
	"""One node. A zero that may be true is not failing.

	note is sanitized; node_id and source are as exported. age_seconds and placed are None where unknown.
	max_age_seconds is up to which age its push is fresh.
	"""

	node_id: str
	name: str
	failing: bool
	note: str = ""
	age_seconds: float | None = None
	updated_at_seconds: float | None = None
	tenant_count: int | None = None
	placed: int | None = None
	source: str | None = None
	max_age_seconds: float = MAX_AGE_SECONDS

	@property
	def updated(self) -> float:
		"""When its row was written, in seconds since the epoch; 0.0 if that is not known."""
		return self.updated_at_seconds or 0.0

	@property
	def overdue_seconds(self) -> float:
		"""From which age of its row on it has missed a push: a minute after the interval that the limit allows twice."""
		return min(self.max_age_seconds, self.max_age_seconds / 2 + 30.0)

	def as_dict(self) -> dict[str, object]:
		"""Return the verdict as `--json` prints it."""
		return {
			"node_id": self.node_id,
			"verdict": self.name,
			"failing": self.failing,
			"note": self.note,
			"age_seconds": None if self.age_seconds is None else round(self.age_seconds, 1),
			"max_age_seconds": self.max_age_seconds,
			"tenant_count": self.tenant_count,
			"placed": self.placed,
			"source": self.source,
		}


def judge_freshness(fleet: Fleet, now: float, max_age_seconds: float | None = None) -> list[Verdict]:
	"""Judge every node that is registered, has pushed, or has tenants, in the order of their names.

	Without max_age_seconds each node's follows from its push_interval, as the node itself has it.
	"""
	placed = fleet.placed if fleet.placed is not None else Counter[str]()
	node_ids = {*fleet.nodes, *fleet.metrics, *placed}
	return [_judge_node(node_id, fleet, now, max_age_seconds) for node_id in sorted(node_ids)]


def _judge_node(node_id: str, fleet: Fleet, now: float, asked_max_age: float | None) -> Verdict:
	metrics = fleet.metrics.get(node_id)
	placed = None if fleet.placed is None else fleet.placed[node_id]
	updated_at = _updated_at_seconds(metrics)
	age = None if updated_at is None else now - updated_at
	max_age = asked_max_age or (metrics.max_age_seconds if metrics else MAX_AGE_SECONDS)
	name, note = _name_and_note(node_id, fleet, metrics, placed, age, max_age)
	return Verdict(
		node_id,
		name,
		failing=name != FRESH and not (name == ZERO and placed is None),
		note=note,
		age_seconds=age,
		updated_at_seconds=updated_at,
		tenant_count=metrics.tenant_count if metrics else None,
		placed=placed,
		source=metrics.source if metrics else None,
		max_age_seconds=max_age,
	)


def _name_and_note(
	node_id: str,
	fleet: Fleet,
	metrics: Metrics | None,
	placed: int | None,
	age: float | None,
	max_age_seconds: float,
) -> tuple[str, str]:
	"""Return the first verdict that holds, and what to add to it. age is None without a readable updated_at."""
	if node_id not in fleet.nodes:
		activity = "pushes" if metrics else f"has {placed} tenants placed on it"
		return UNREGISTERED, f"{activity}, and is not in nodes"
	region = fleet.nodes[node_id]
	if fleet.knows_regions and region not in REGIONS:
		return BAD_REGION, f"region {describe_value(region)} is not one of {', '.join(REGIONS)}"
	if metrics is None or metrics.updated_at is None:
		return NEVER, "no push has arrived: check trigger, URL and key"
	if age is None:
		return STALE, f"updated_at {describe_value(metrics.updated_at)} is not a time"
	if age < -FUTURE_SECONDS:
		return STALE, f"updated_at lies {-age:.0f} s in the future: a clock is wrong"
	if age > max_age_seconds:
		return STALE, f"more than {max_age_seconds:g} s ago: pushes have stopped"
	if metrics.tenant_count == 0 and placed is None:
		return ZERO, "no tenants; --tenants shows whether that is true"
	if not metrics.tenant_count and placed:
		return ZERO, f"{placed} tenants are placed here: placement ignores its load"
	return FRESH, ""


def _updated_at_seconds(metrics: Metrics | None) -> float | None:
	try:
		return epoch_seconds(metrics.updated_at) if metrics else None
	except ValueError:
		return None


def judge_counts(
	metrics: Mapping[str, Metrics], placed: Counter[str], tolerance: int = 0
) -> tuple[list[Verdict], list[str]]:
	"""Compare every node that pushed or has tenants; return the verdicts, and the nodes that are not compared.

	Counts that differ by at most `tolerance` agree. The sidecar's counts come from tenants_master itself:
	comparing them would prove nothing.
	"""
	verdicts = []
	not_compared = []
	# In a live answer, a node that never pushed has a row of nulls.
	pushed = {
		node_id: row
		for node_id, row in metrics.items()
		if row.updated_at is not None or row.tenant_count is not None
	}
	for node_id in sorted(pushed.keys() | placed.keys()):
		row = pushed.get(node_id)
		if row and row.source == HETZNER_API:
			not_compared.append(node_id)
		else:
			verdicts.append(_judge_count(node_id, row, placed[node_id], tolerance))
	return verdicts, not_compared


def _judge_count(node_id: str, row: Metrics | None, placed: int, tolerance: int) -> Verdict:
	count = row.tenant_count if row else None
	if row is None:
		name, note = NEVER, f"{placed} tenants are placed here, and no push has arrived"
	elif count is None:
		name, note = DIFFERS, f"its row has no count, and {placed} tenants are placed here"
	elif abs(count - placed) > tolerance:
		name = DIFFERS
		note = f"{abs(count - placed)} {'more' if count > placed else 'fewer'} than are placed here"
	else:
		name, note = AGREES, ""
	return Verdict(
		node_id,
		name,
		failing=name != AGREES,
		note=note,
		tenant_count=count,
		placed=placed,
		source=row.source if row else None,
	)
