"""What the sidecar reads from exports: when each node last pushed, and tenant counts.

Exports are read as `prego-metrics fleet` reads them, and must be recent: a node whose row was stale an hour
ago may push for itself again, and an old count is too low.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.times import epoch_seconds
from prego_metrics.fleet.hetzner.push_nodes import LastRow
from prego_metrics.fleet.sources.exports import read_export
from prego_metrics.fleet.sources.records import read_metrics, read_placement

MAX_AGE_SECONDS = 300.0


def read_last_rows(path: str) -> dict[str, LastRow]:
	"""Return each node's row of an export of server_metrics that is at most five minutes old.

	An export without rows is one of a fleet of which no node ever pushed. Raises ExportError.
	"""
	_check_age(path)
	rows: dict[str, LastRow] = {}
	export = read_export(path)
	for node_id, metrics in read_metrics(export, needed=("updated_at",)).items():
		if metrics.updated_at is None:
			continue
		try:
			moment = epoch_seconds(metrics.updated_at)
		except ValueError as error:
			raise ExportError(
				f"{export.source}: the updated_at of node {sanitize(node_id, 80)} {error}"
			) from None
		rows[node_id] = LastRow(moment, metrics.source)
	return rows


def count_tenants_of_nodes(path: str, statuses: Iterable[str] = ()) -> tuple[dict[str, int], tuple[str, ...]]:
	"""Return how many tenants an export of tenants_master places on each node, and what to be warned of.

	A node without a row has no count: it is not known whether the export should have had one. Raises
	ExportError, also where no tenant is placed at all.
	"""
	_check_age(path)
	placement = read_placement(read_export(path), statuses)
	return dict(placement.tenants), placement.warnings


def read_counts(path: str) -> dict[str, int]:
	"""Return the counts of a file with rows of node_id and tenant_count.

	Raises ExportError.
	"""
	export = read_export(path)
	counts: dict[str, int] = {}
	for node_id, metrics in read_metrics(export, needed=("tenant_count",)).items():
		if metrics.tenant_count is None:
			raise ExportError(f"{export.source} has no count for node {sanitize(node_id, 80)}")
		counts[node_id] = metrics.tenant_count
	if not counts:
		raise ExportError(f"{export.source} holds no count")
	return counts


def _check_age(path: str) -> None:
	try:
		age = time.time() - os.stat(path).st_mtime
	except OSError as error:
		raise ExportError(f"{sanitize(path)} cannot be read: {error.strerror}") from None
	if age > MAX_AGE_SECONDS:
		raise ExportError(
			f"{sanitize(path)} was written {age:.0f} s ago: export it again, at most {MAX_AGE_SECONDS:.0f} s "
			"before the push"
		)
