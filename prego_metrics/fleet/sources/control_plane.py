"""The fleet live from the control plane: `GET /internal/nodes` with the key.

The exact shape of that answer is not published: it is read as a list of objects with a node_id, wherever it
stands, each with its newest metrics beside it or in an object within it.
"""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.errors import ExportError, PregoMetricsError
from prego_metrics.agent.base.messages import coded, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.kinds import BaseUrl
from prego_metrics.agent.push.read_back import NODES_ROUTE
from prego_metrics.fleet.sources.exports import Export, Row, parsed_json

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_MORE_FOLLOWS = ("next", "next_cursor", "cursor", "next_page", "has_more")


def ask_nodes(url: str, api_key_file: str | None, environ: Mapping[str, str]) -> object:
	"""Return what `GET /internal/nodes` answers at the base URL `url`. Raises PregoMetricsError."""
	from prego_metrics.agent.http.answers import fault_in
	from prego_metrics.agent.http.client import Client, NoAnswer

	try:
		base_url = BaseUrl().parse(url)
	except ValueError as error:
		problem = coded("option_invalid", option="--control-plane-url", problem=message_of(error))
		raise PregoMetricsError(problem) from None
	key, _ = load_api_key(api_key_file, environ)
	answer = Client(base_url, key).get(
		NODES_ROUTE,
		TIMEOUT_SECONDS,
		2 * TIMEOUT_SECONDS,
		body_limit_bytes=MAX_ANSWER_BYTES,
		body_seconds=TIMEOUT_SECONDS,
	)
	if isinstance(answer, NoAnswer):
		raise PregoMetricsError(answer.reason)
	if fault := fault_in(answer, key):
		raise PregoMetricsError(fault)
	return parsed_json(answer.body, f"the answer of GET {sanitize(base_url)}{NODES_ROUTE}")


def live_exports(content: object) -> tuple[Export, Export, list[str]]:
	"""Return nodes and metrics from an answer of `GET /internal/nodes`, and warnings about missing columns.

	Raises ExportError where there is no list of nodes, more of it follows, or no node has the time of a push.
	"""
	source = f"the answer of GET {NODES_ROUTE}"
	nodes = _list_of_nodes(content)
	if nodes is None:
		raise ExportError(source, "holds no list of nodes with node_id")
	if isinstance(content, dict) and any(content.get(name) for name in _MORE_FOLLOWS):
		raise ExportError(source, "is one page of several: judge the fleet from an export of D1")
	rows = _metrics_rows(nodes)
	if nodes and not rows and not any("metrics" in name for node in nodes for name in node):
		raise ExportError(source, "has no updated_at of metrics: judge the fleet from an export of D1")
	node_export, metrics_export = Export(source, nodes), Export(source, rows)
	missing = [] if node_export.has("region") else ["region"]
	missing += [name for name in ("tenant_count", "source") if not metrics_export.has(name)]
	return node_export, metrics_export, [f"{source} has no {name}: it is not judged" for name in missing]


def _list_of_nodes(content: object, depth: int = 4) -> list[Row] | None:
	"""Return the longest list of objects with a node_id in an answer, or None."""
	if isinstance(content, list) and all(isinstance(entry, dict) and "node_id" in entry for entry in content):
		return content
	parts = content.values() if isinstance(content, dict) and depth else ()
	lists = [rows for part in parts if (rows := _list_of_nodes(part, depth - 1)) is not None]
	return max(lists, key=len, default=None)


def _metrics_rows(nodes: list[Row]) -> list[Row]:
	"""Return each node's metrics: an object within it that has an updated_at, else those beside its node_id.

	Beside it, they need a count: a bare updated_at may be that of the node's registration.
	"""
	rows: list[Row] = []
	for node in nodes:
		inner = [value for value in node.values() if isinstance(value, dict) and "updated_at" in value]
		rows += [{**metrics, "node_id": node["node_id"]} for metrics in inner[:1]]
	return rows or [node for node in nodes if "tenant_count" in node and "updated_at" in node]
