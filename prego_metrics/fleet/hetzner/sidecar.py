"""One run of the sidecar: from its options and environment to what became of each node.

Exports are read as `prego-metrics fleet` reads them, and must be recent: a node whose row was stale an hour ago may
push for itself again, and an old count is too low.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.errors import ExportError, PregoMetricsError
from prego_metrics.agent.base.formatting import epoch_seconds
from prego_metrics.agent.base.messages import coded, message_of
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.api_key import checked_key, load_api_key
from prego_metrics.agent.config.kinds import BaseUrl
from prego_metrics.agent.config.secret_files import read_secret_file
from prego_metrics.agent.push.delivery import Delivery, send
from prego_metrics.agent.push.payload import Payload
from prego_metrics.fleet.hetzner.api import ATTEMPT_SECONDS, HetznerApi
from prego_metrics.fleet.hetzner.mapping import (
	NODE_LABEL,
	MappedNode,
	map_by_file,
	map_by_label,
	read_mapping_file,
)
from prego_metrics.fleet.hetzner.push_nodes import NOT_PUSHED, LastRow, Outcome, Send, push_nodes
from prego_metrics.fleet.sources.exports import read_export
from prego_metrics.fleet.sources.records import read_metrics, read_placement

TOKEN_VARIABLE = "HCLOUD_TOKEN"
ENDPOINT_VARIABLE = "HCLOUD_ENDPOINT"
DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"
NODE_SECONDS = 20.0
MAX_AGE_SECONDS = 300.0


@dataclass(frozen=True)
class SidecarOptions:
	"""The options of `hetzner push`; max_age and time_limit are in seconds. Without max_age each row has its own."""

	label: str | None
	mapping: str | None
	selector: str | None
	counts: str | None
	tenants: str | None
	statuses: tuple[str, ...]
	metrics: str | None
	max_age: float | None
	control_plane_url: str | None
	api_key_file: str | None
	token_file: str | None
	time_limit: float
	save_snapshot: bool
	dry_run: bool


def run_sidecar(
	options: SidecarOptions,
	environ: Mapping[str, str],
	*,
	warn: Callable[[str], None],
	track: Callable[[list[MappedNode]], Iterable[MappedNode]],
) -> tuple[list[Outcome], list[str]]:
	"""Read everything first, then push; return each node's outcome, and the servers that could not be listed.

	`track` passes the nodes on one by one, and may show the progress. Raises PregoMetricsError where nothing
	could be read or configured.
	"""
	ends_at = time.monotonic() + options.time_limit

	def seconds_left() -> float:
		return ends_at - time.monotonic()

	token = _read_token(options.token_file, environ)
	endpoint = _checked_url(environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT, ENDPOINT_VARIABLE)
	send_payload = None if options.dry_run else _sender(options, environ, warn, seconds_left)
	entries = read_mapping_file(options.mapping) if options.mapping else None
	counts: dict[str, int] = {}
	if options.tenants:
		# A node without a row has no count: it is not known whether the export should have had one.
		placed, warnings = read_placement(read_export(options.tenants, MAX_AGE_SECONDS), options.statuses)
		for warning in warnings:
			warn(warning)
		counts.update(placed)
	if options.counts:
		counts.update(read_counts(options.counts))
	rows = read_last_rows(options.metrics, options.max_age) if options.metrics else None
	api = HetznerApi(endpoint, token, seconds_left)
	with contextlib.closing(api):
		servers, unread = api.list_servers(options.selector)
		if not servers and not unread:
			raise PregoMetricsError(coded("hetzner_no_server", selector=options.selector or "none"))
		if entries is None:
			nodes, unmapped = map_by_label(servers, options.label or NODE_LABEL)
		else:
			nodes, unmapped = map_by_file(servers, entries)
		outcomes = [Outcome(node_id, NOT_PUSHED, reason) for node_id, reason in unmapped]
		outcomes += push_nodes(
			track(nodes),
			counts,
			rows,
			api.cpu_percent,
			send_payload,
			save_snapshot=options.save_snapshot,
		)
	return outcomes, unread


def _read_token(token_file: str | None, environ: Mapping[str, str]) -> Secret:
	token, source = environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
	if not token:
		source = "--token-file"
		if not token_file:
			raise PregoMetricsError(coded("option_missing", option=source, variable=TOKEN_VARIABLE))
		try:
			token = read_secret_file(token_file)
		except ValueError as error:
			raise PregoMetricsError(
				coded("option_invalid", option=source, problem=message_of(error))
			) from None
	return checked_key(token, source)


def _checked_url(value: str, option: str) -> str:
	try:
		return BaseUrl().parse(value)
	except ValueError as error:
		raise PregoMetricsError(coded("option_invalid", option=option, problem=message_of(error))) from None


def _sender(
	options: SidecarOptions,
	environ: Mapping[str, str],
	warn: Callable[[str], None],
	seconds_left: Callable[[], float],
) -> Send:
	"""Return the function that sends one payload within a node's share of the time."""
	if not options.control_plane_url:
		variable = "PREGO_METRICS_CONTROL_PLANE_URL"
		raise PregoMetricsError(coded("option_missing", option="--control-plane-url", variable=variable))
	base_url = _checked_url(options.control_plane_url, "--control-plane-url")
	key, warnings = load_api_key(options.api_key_file, environ)
	for warning in warnings:
		warn(warning)

	def send_payload(payload: Payload) -> Delivery:
		seconds = max(0.1, min(NODE_SECONDS, seconds_left()))
		return send(base_url, key, payload, attempt_seconds=ATTEMPT_SECONDS, deadline_seconds=seconds)

	return send_payload


def read_last_rows(path: str, max_age: float | None) -> dict[str, LastRow]:
	"""Return each node's row of an export of server_metrics that is at most five minutes old.

	Without max_age a row is fresh as long as its node's push_interval says, or for five minutes. An export without rows
	is one of a fleet of which no node ever pushed. Raises ExportError.
	"""
	rows: dict[str, LastRow] = {}
	export = read_export(path, MAX_AGE_SECONDS)
	for node_id, metrics in read_metrics(export, "updated_at").items():
		if metrics.updated_at is not None:
			try:
				rows[node_id] = LastRow(
					epoch_seconds(metrics.updated_at), metrics.source, max_age or metrics.max_age_seconds
				)
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
