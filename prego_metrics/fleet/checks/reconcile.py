"""Whether each node's count agrees with where tenants are placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from prego_metrics.fleet.checks.verdict import AGREES, DIFFERS, NEVER, Verdict
from prego_metrics.fleet.sources.records import HETZNER_API, Metrics


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
