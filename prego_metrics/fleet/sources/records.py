"""The rows of an export as records: nodes, their newest metrics, and where tenants are placed.

The columns are the runbook's. A row that cannot be understood is an error that names it, never a row left
out: what is left out could be the node that stopped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.push.payload import NODE_PUSH
from prego_metrics.fleet.sources.exports import Export, Row

# The source of the sidecar's rows.
HETZNER_API = "hetzner_api"
# Tenants without a site on any node; the platform's present and coming names for them.
STATUSES_WITHOUT_SITE = frozenset(("data_purged", "failed", "deleted"))
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}(\.0*)?")
_MAX_COUNT = 2**53


@dataclass(frozen=True)
class Metrics:
	"""One node's row of server_metrics.

	updated_at is as exported, None where nothing was pushed. tenant_count is None where there is none.
	"""

	node_id: str
	updated_at: object
	tenant_count: int | None
	source: str


@dataclass(frozen=True)
class Placement:
	"""How many tenants are placed on each node, and warnings about the export."""

	tenants: Counter[str]
	warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fleet:
	"""All that freshness is judged from: each registered node's region, metrics, and placed tenants if known."""

	nodes: Mapping[str, object]
	metrics: Mapping[str, Metrics]
	placed: Counter[str] | None = None
	knows_regions: bool = True


def read_fleet(
	nodes: Export, metrics: Export, tenants: Export | None = None, *, live: bool = False
) -> tuple[Fleet, list[str]]:
	"""Return the fleet, and warnings about the exports. Raises ExportError.

	`live`: the rows are those of the control plane's answer, which may lack columns.
	"""
	regions = read_regions(nodes, needed=not live)
	# With the placement, a missing count would let every zero pass.
	needed = ("updated_at", "tenant_count") if tenants else ("updated_at",)
	warnings: list[str] = []
	if not live and not metrics.has("tenant_count"):
		warnings.append(f"{metrics.source} has no tenant_count: zeros are not judged")
	newest = read_metrics(metrics, needed=needed)
	placed = None
	if tenants:
		placement = read_placement(tenants)
		warnings += placement.warnings
		placed = placement.tenants
	return Fleet(regions, newest, placed, knows_regions=nodes.has("region")), warnings


def read_regions(export: Export, *, needed: bool = True) -> dict[str, object]:
	"""Return each registered node's region, as exported; `needed`: there must be such a column.

	Raises ExportError, also without nodes.
	"""
	if not export.rows:
		raise ExportError(
			f"{export.source} holds no nodes: the export failed, or the wrong database was asked"
		)
	export.require("node_id")
	if needed:
		export.require("region")
	regions: dict[str, object] = {}
	for number, row in enumerate(export.rows, 1):
		node_id = _node_id(row.get("node_id"), export, number)
		_refuse_second(node_id in regions, node_id, export)
		regions[node_id] = row.get("region")
	return regions


def read_metrics(export: Export, *, needed: Collection[str]) -> dict[str, Metrics]:
	"""Return each node's newest metrics; `needed` names the columns that must be there.

	No rows are no error. Raises ExportError.
	"""
	for column in ("node_id", *needed):
		export.require(column)
	metrics: dict[str, Metrics] = {}
	for number, row in enumerate(export.rows, 1):
		node_id = _node_id(row.get("node_id"), export, number)
		_refuse_second(node_id in metrics, node_id, export)
		updated_at = row.get("updated_at")
		metrics[node_id] = Metrics(
			node_id,
			None if updated_at == "" else updated_at,
			_count(row.get("tenant_count"), export, number),
			_source(row.get("source"), export, number),
		)
	return metrics


def read_placement(export: Export, statuses: Iterable[str] = ()) -> Placement:
	"""Count the tenants on each node: those with one of `statuses`, by default those that have a site.

	Raises ExportError, also where no tenant is placed at all: such an export would agree with any zero.
	"""
	if not export.rows:
		raise ExportError(
			f"{export.source} holds no tenants: the export failed, or there is nothing to compare"
		)
	export.require("node_id")
	wanted = frozenset(status.strip().casefold() for status in statuses)
	if wanted:
		export.require("status")
	tenants: Counter[str] = Counter()
	for number, row in enumerate(export.rows, 1):
		node_id = row.get("node_id")
		if node_id in (None, "") or not _has_site(row, wanted, export, number):
			continue
		tenants[_node_id(node_id, export, number)] += 1
	if not tenants:
		raise ExportError(
			f"{export.source} places no tenant on any node"
			+ (f" with the status {sanitize(', '.join(sorted(wanted)))}" if wanted else "")
		)
	warning = f"{export.source} has no column status: every tenant in it counts"
	return Placement(tenants, () if export.has("status") else (warning,))


def _has_site(row: Row, wanted: frozenset[str], export: Export, number: int) -> bool:
	status = row.get("status")
	if status is not None and not isinstance(status, str):
		raise ExportError(f"{export.source}, row {number}: the status is not a string")
	folded = (status or "").strip().casefold()
	return folded in wanted if wanted else folded not in STATUSES_WITHOUT_SITE


def _node_id(value: object, export: Export, number: int) -> str:
	if not isinstance(value, str) or not value:
		raise ExportError(
			f"{export.source}, row {number}: node_id is {describe_value(value)}, and must be a string"
		)
	return value


def _refuse_second(known: bool, node_id: str, export: Export) -> None:
	if known:
		raise ExportError(
			f"{export.source} has several rows for {sanitize(node_id, 100)}: one of them would hide another"
		)


def _count(value: object, export: Export, number: int) -> int | None:
	if value is None or value == "":
		return None
	if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
		value = int(value.strip().partition(".")[0])
	elif isinstance(value, float) and value.is_integer():
		value = int(value)
	if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
		raise ExportError(
			f"{export.source}, row {number}: tenant_count is {describe_value(value)}, and must be a whole number "
			"from 0"
		)
	return value


def _source(value: object, export: Export, number: int) -> str:
	if value is None or value == "":
		return NODE_PUSH
	if not isinstance(value, str):
		raise ExportError(f"{export.source}, row {number}: the source is not a string")
	return value


def describe_value(value: object) -> str:
	"""Return a value of an export, sanitized and short."""
	if value is None:
		return "null"
	if isinstance(value, dict | list):
		return f"a JSON {'object' if isinstance(value, dict) else 'array'}"
	try:
		return sanitize(repr(value), 60)
	except ValueError:
		return "a number of thousands of digits"
