"""The rows of an export as records: nodes, their newest metrics, and where tenants are placed.

The columns are the runbook's. A row that cannot be understood is an error that names it, never a row left
out: what is left out could be the node that stopped.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.push.payload import NODE_PUSH
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.fleet.sources.exports import Export, Row

# The source of the sidecar's rows.
HETZNER_API = "hetzner_api"
# Tenants without a site on any node; the platform's present and coming names for them.
STATUSES_WITHOUT_SITE = frozenset(("data_purged", "failed", "deleted"))
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}(\.0*)?")
_MAX_COUNT = 2**53

# Of a row whose node's interval is not known.
MAX_AGE_SECONDS = 300.0
Record = TypeVar("Record")


class Metrics(NamedTuple):
	"""One node's row of server_metrics.

	updated_at is as exported, None where nothing was pushed. tenant_count and push_interval, in seconds, are None where
	there is none.
	"""

	updated_at: object
	tenant_count: int | None
	source: str
	push_interval: float | None = None

	@property
	def max_age_seconds(self) -> float:
		"""Up to which age the row is fresh: as its node has it, or five minutes where its interval is not known."""
		return fresh_seconds(self.push_interval) if self.push_interval else MAX_AGE_SECONDS


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
	warnings: list[str] = []
	if not live:
		nodes.require("region")
		if not metrics.has("tenant_count"):
			warnings.append(f"{metrics.source} has no tenant_count: zeros are not judged")
	# With the placement, a missing count would let every zero pass.
	newest = read_metrics(metrics, "updated_at", *(["tenant_count"] if tenants else []))
	placed, more_warnings = read_placement(tenants) if tenants else (None, [])
	fleet = Fleet(read_regions(nodes), newest, placed, knows_regions=nodes.has("region"))
	return fleet, warnings + more_warnings


def read_regions(export: Export) -> dict[str, object]:
	"""Return each registered node's region, as exported. Raises ExportError, also without nodes."""
	if not export.rows:
		raise ExportError(
			export.source, "holds no nodes: the export failed, or the wrong database was queried"
		)
	return _by_node(export, lambda row, _: row.get("region"))


def read_metrics(export: Export, *needed: str) -> dict[str, Metrics]:
	"""Return each node's newest metrics; `needed` names the columns that must be there.

	No rows are no error. Raises ExportError.
	"""
	for column in needed:
		export.require(column)

	def metrics(row: Row, number: int) -> Metrics:
		source = NODE_PUSH if row.get("source") in (None, "") else row["source"]
		if not isinstance(source, str):
			raise _row_error(export, number, "the source is not a string")
		updated_at = row.get("updated_at")
		count = _count(row.get("tenant_count"), export, number)
		interval = _interval(row.get("push_interval"), export, number)
		return Metrics(None if updated_at == "" else updated_at, count, source, interval)

	return _by_node(export, metrics)


def read_placement(export: Export, statuses: Sequence[str] = ()) -> tuple[Counter[str], list[str]]:
	"""Count the tenants on each node: those with one of `statuses`, each one or several with commas between them.

	By default those that have a site. Returns warnings, too. Raises ExportError, also where no tenant is placed at
	all: such an export would agree with any zero.
	"""
	wanted = {status.strip().casefold() for names in statuses for status in names.split(",")} - {""}
	if statuses and not wanted:
		raise ExportError("--statuses", "names no status")
	if not export.rows:
		raise ExportError(
			export.source, "holds no tenants: the export failed, or there is nothing to compare"
		)
	if wanted:
		export.require("status")
	tenants = Counter(
		node_id
		for number, row, node_id in _node_ids(export, skip_empty=True)
		if _has_site(row, wanted, export, number)
	)
	if not tenants:
		status = f" with the status {sanitize(', '.join(sorted(wanted)))}" if wanted else ""
		raise ExportError(export.source, f"places no tenant on any node{status}")
	warning = f"{export.source} has no column status: every tenant in it counts"
	return tenants, [] if export.has("status") else [warning]


def _has_site(row: Row, wanted: set[str], export: Export, number: int) -> bool:
	status = row.get("status")
	if status is not None and not isinstance(status, str):
		raise _row_error(export, number, "the status is not a string")
	folded = (status or "").strip().casefold()
	return folded in wanted if wanted else folded not in STATUSES_WITHOUT_SITE


def _by_node(export: Export, read: Callable[[Row, int], Record]) -> dict[str, Record]:
	records: dict[str, Record] = {}
	for number, row, node_id in _node_ids(export):
		if node_id in records:
			name = sanitize(node_id, 100)
			raise ExportError(export.source, f"has several rows for {name}: one of them would hide another")
		records[node_id] = read(row, number)
	return records


def _node_ids(export: Export, *, skip_empty: bool = False) -> Iterator[tuple[int, Row, str]]:
	"""Yield each row with its number and its node_id; `skip_empty` leaves those without one out."""
	export.require("node_id")
	for number, row in enumerate(export.rows, 1):
		node_id = row.get("node_id")
		if skip_empty and node_id in (None, ""):
			continue
		if not isinstance(node_id, str) or not node_id:
			raise _row_error(export, number, f"node_id is {describe_value(node_id)}, and must be a string")
		yield number, row, node_id


def _count(value: object, export: Export, number: int) -> int | None:
	if value is None or value == "":
		return None
	if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
		value = int(value.strip().partition(".")[0])
	elif isinstance(value, float) and value.is_integer():
		value = int(value)
	if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
		described = describe_value(value)
		raise _row_error(export, number, f"tenant_count is {described}, and must be a whole number from 0")
	return value


def _interval(value: object, export: Export, number: int) -> float | None:
	if value is None or value == "":
		return None
	try:
		seconds = float(value) if isinstance(value, str | int | float) and value is not True else math.nan
	except (ValueError, OverflowError):
		seconds = math.nan
	if not 0 < seconds < math.inf:
		described = describe_value(value)
		raise _row_error(export, number, f"push_interval is {described}, and must be a number of seconds")
	return seconds


def _row_error(export: Export, number: int, problem: str) -> ExportError:
	return ExportError(export.source, f"row {number}: {problem}")


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
