"""The fleet as the control plane itself tells it: `GET /internal/nodes` with the key.

The exact shape of that answer is not published. It is read leniently, and what was not found is said: a
list of objects with a node_id, each with its newest metrics beside it or in an object within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.errors import ExportError, Problem
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.kinds import BaseUrl
from prego_metrics.agent.http.deadline import within_deadline
from prego_metrics.agent.push.delivery import NODES_ROUTE
from prego_metrics.fleet.sources.exports import Export, Row, parsed_json
from prego_metrics.fleet.sources.records import Columns

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_MORE_FOLLOWS = ("next", "next_cursor", "cursor", "next_page", "has_more")
_LISTS = ("nodes", "results", "result", "data", "items")


@dataclass(frozen=True)
class KeyFile:
	"""What load_api_key needs to know, off the nodes."""

	api_key_file: str | None
	problems: tuple[Problem, ...] = ()


def ask_nodes(url: str, api_key_file: str | None, environ: Mapping[str, str]) -> object:
	"""Return what `GET /internal/nodes` answers at the base URL `url`. Raises PregoMetricsError."""
	from prego_metrics.agent.http.client import Client, NoAnswer

	try:
		base_url = BaseUrl().parse(url)
	except ValueError as error:
		raise ExportError(f"--control-plane-url {error}") from None
	key, _ = load_api_key(KeyFile(api_key_file), environ)
	client = Client(base_url, key)
	answer = within_deadline(
		lambda: client.request(
			"GET",
			NODES_ROUTE,
			TIMEOUT_SECONDS,
			words_of_success=True,
			words_bytes=MAX_ANSWER_BYTES,
			words_seconds=TIMEOUT_SECONDS,
		),
		client.abandon,
		2 * TIMEOUT_SECONDS,
	)
	source = f"GET {sanitize(base_url)}{NODES_ROUTE}"
	if answer is None or isinstance(answer, NoAnswer | str):
		reason = answer.reason if isinstance(answer, NoAnswer) else answer or "no answer in time"
		raise ExportError(f"{source}: {reason}")
	status_code, words = getattr(answer, "status_code", None), str(getattr(answer, "words", ""))
	if status_code != 200:
		raise ExportError(f"{source} answers {status_code} {key.excerpt(words)}".rstrip())
	return parsed_json(words, f"the answer of {source}")


def live_exports(content: object, columns: Columns) -> tuple[Export, Export, tuple[str, ...]]:
	"""Return nodes and metrics from an answer of `GET /internal/nodes`, and warnings of what was not found.

	Raises ExportError where no list of nodes is found, more of it follows, or no time of any push is told.
	"""
	source = f"the answer of GET {NODES_ROUTE}"
	nodes = _list_of_nodes(content, columns)
	if nodes is None:
		raise ExportError(f"{source} holds no list of nodes with {sanitize(columns.node_id)}")
	if isinstance(content, dict) and any(content.get(name) for name in _MORE_FOLLOWS):
		raise ExportError(f"{source} is one page of several: judge the fleet from an export of D1")
	rows = _metrics_rows(nodes, columns)
	if nodes and not any(columns.updated_at in row for row in rows) and not _nested_name(nodes, columns):
		raise ExportError(
			f"{source} tells no {sanitize(columns.updated_at)} of metrics: judge the fleet from an export of D1"
		)
	exports = Export(source, nodes), Export(source, rows)
	missing = [
		name
		for export, name in (
			(exports[0], columns.region),
			(exports[1], columns.tenant_count),
			(exports[1], columns.source),
		)
		if not export.has(name)
	]
	return *exports, tuple(f"{source} has no {sanitize(name)}: it is not judged" for name in missing)


def _list_of_nodes(content: object, columns: Columns, depth: int = 4) -> list[Row] | None:
	"""Return the list of nodes from where answers usually hold it, or None."""
	if depth == 0:
		return None
	if isinstance(content, list):
		is_nodes = all(isinstance(entry, dict) and columns.node_id in entry for entry in content)
		if is_nodes:
			return content
		return _list_of_nodes(content[0], columns, depth - 1) if len(content) == 1 else None
	if isinstance(content, dict):
		for name in _LISTS:
			if name in content:
				found = _list_of_nodes(content[name], columns, depth - 1)
				if found is not None:
					return found
	return None


def _nested_name(nodes: list[Row], columns: Columns) -> str | None:
	"""Return the name under which nodes hold an object with their metrics, or null instead of it."""
	for node in nodes:
		for name, value in node.items():
			if isinstance(value, dict) and columns.updated_at in value:
				return name
	for node in nodes:
		for name, value in node.items():
			if value is None and "metrics" in name:
				return name
	return None


def _metrics_rows(nodes: list[Row], columns: Columns) -> list[Row]:
	"""Return each node's metrics; of flat ones only those beside a count.

	A bare updated_at may be that of the node's registration.
	"""
	nested = _nested_name(nodes, columns)
	if nested is None:
		flat = any(columns.tenant_count in node for node in nodes)
		return list(nodes) if flat else []
	rows: list[Row] = []
	for node in nodes:
		metrics = node.get(nested)
		if isinstance(metrics, dict):
			rows.append({**metrics, columns.node_id: node[columns.node_id]})
		elif metrics is not None:
			raise ExportError(f"the answer of GET {NODES_ROUTE}: {sanitize(nested, 40)} is no object")
	return rows
