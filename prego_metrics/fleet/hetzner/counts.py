"""What the sidecar reads from exports: when each node last pushed, and tenant counts.

Exports are read as `prego-metrics fleet` reads them, and must be recent: a node whose row was stale an hour
ago may push for itself again, and an old count is too low.
"""

from __future__ import annotations

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.times import epoch_seconds
from prego_metrics.fleet.hetzner.push_nodes import LastRow
from prego_metrics.fleet.sources.exports import read_export
from prego_metrics.fleet.sources.records import read_metrics

MAX_AGE_SECONDS = 300.0


def read_last_rows(path: str) -> dict[str, LastRow]:
	"""Return each node's row of an export of server_metrics that is at most five minutes old.

	An export without rows is one of a fleet of which no node ever pushed. Raises ExportError.
	"""
	rows: dict[str, LastRow] = {}
	export = read_export(path, MAX_AGE_SECONDS)
	for node_id, metrics in read_metrics(export, "updated_at").items():
		if metrics.updated_at is not None:
			try:
				rows[node_id] = LastRow(epoch_seconds(metrics.updated_at), metrics.source)
			except ValueError as error:
				problem = f"the updated_at of node {sanitize(node_id, 80)} {error}"
				raise ExportError(export.source, problem) from None
	return rows


def read_counts(path: str) -> dict[str, int]:
	"""Return the counts of a file with rows of node_id and tenant_count. Raises ExportError."""
	export = read_export(path)
	counts: dict[str, int] = {}
	for node_id, metrics in read_metrics(export, "tenant_count").items():
		if metrics.tenant_count is None:
			raise ExportError(export.source, f"has no count for node {sanitize(node_id, 80)}")
		counts[node_id] = metrics.tenant_count
	if not counts:
		raise ExportError(export.source, "holds no count")
	return counts
