"""One run of the sidecar: from its options and environment to what became of each node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.kinds import BaseUrl
from prego_metrics.agent.config.secret_files import read_secret_file
from prego_metrics.agent.push.delivery import send
from prego_metrics.agent.push.payload import Payload
from prego_metrics.agent.state.outcomes import DELIVERED
from prego_metrics.fleet.hetzner.counts import count_tenants_of_nodes, read_counts, read_last_rows
from prego_metrics.fleet.hetzner.mapping import (
	NODE_LABEL,
	MappedNode,
	map_by_file,
	map_by_label,
	read_mapping_file,
)
from prego_metrics.fleet.hetzner.push_nodes import NOT_PUSHED, Known, Outcome, Send, Sent, push_nodes
from prego_metrics.fleet.hetzner.servers import HetznerApi
from prego_metrics.fleet.sources.control_plane import KeyFile

TOKEN_VARIABLE = "HCLOUD_TOKEN"
ENDPOINT_VARIABLE = "HCLOUD_ENDPOINT"
URL_VARIABLE = "PREGO_METRICS_CONTROL_PLANE_URL"
KEY_FILE_VARIABLE = "PREGO_METRICS_API_KEY_FILE"
DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"
ATTEMPT_SECONDS = 10.0
NODE_SECONDS = 20.0


@dataclass(frozen=True)
class SidecarOptions:
	"""The options of `hetzner push`; max_age and time_limit are in seconds."""

	label: str | None
	mapping: str | None
	selector: str | None
	counts: str | None
	tenants: str | None
	statuses: tuple[str, ...]
	metrics: str | None
	max_age: float
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
		statuses = [status for names in options.statuses for status in names.split(",") if status.strip()]
		counts, warnings = count_tenants_of_nodes(options.tenants, statuses)
		for warning in warnings:
			warn(warning)
	counts |= read_counts(options.counts) if options.counts else {}
	rows = read_last_rows(options.metrics) if options.metrics else None
	with HetznerApi(token, endpoint, seconds_left) as api:
		listing = api.list_servers(options.selector)
		if not listing.servers and not listing.unread:
			raise PregoMetricsError(
				"the project of this token holds no server"
				+ (" that --selector chooses" if options.selector else "")
			)
		if entries is None:
			mapping = map_by_label(listing.servers, options.label or NODE_LABEL)
		else:
			mapping = map_by_file(listing.servers, entries, complete=not listing.unread)
		outcomes = [Outcome(unmapped.node_id, NOT_PUSHED, unmapped.reason) for unmapped in mapping.unmapped]
		outcomes += push_nodes(
			track(mapping.nodes),
			Known(counts, rows, time.time(), options.max_age),
			lambda server: api.cpu_percent(server, time.time()),
			send_payload,
			save_snapshot=options.save_snapshot,
		)
	return outcomes, listing.unread


def _read_token(token_file: str | None, environ: Mapping[str, str]) -> Secret:
	token, source = environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
	if not token:
		if not token_file:
			raise PregoMetricsError(
				f"there is no token: set {TOKEN_VARIABLE}, or name a 0600 file with --token-file"
			)
		source = "--token-file"
		try:
			token = read_secret_file(token_file)
		except ValueError as error:
			raise PregoMetricsError(f"--token-file: {error}") from None
	if not token or not all(0x21 <= ord(character) <= 0x7E for character in token):
		raise PregoMetricsError(f"the token from {source} is empty or not printable ASCII without spaces")
	return Secret(token, source)


def _checked_url(value: str, source: str) -> str:
	try:
		return BaseUrl().parse(value)
	except ValueError as error:
		raise PregoMetricsError(f"{source} {error}") from None


def _sender(
	options: SidecarOptions,
	environ: Mapping[str, str],
	warn: Callable[[str], None],
	seconds_left: Callable[[], float],
) -> Send:
	"""Return the function that sends one payload within a node's share of the time."""
	source = "--control-plane-url" if options.control_plane_url else URL_VARIABLE
	url = options.control_plane_url or environ.get(URL_VARIABLE)
	if not url:
		raise PregoMetricsError(f"there is no control plane: set {URL_VARIABLE}, or --control-plane-url")
	base_url = _checked_url(url, source)
	key_file = KeyFile(options.api_key_file or environ.get(KEY_FILE_VARIABLE) or None)
	key, warnings = load_api_key(key_file, environ)
	for warning in warnings:
		warn(warning)

	def send_payload(payload: Payload) -> Sent:
		seconds = min(NODE_SECONDS, seconds_left())
		if seconds <= 0:
			return Sent("the time for this run is over", final=True)
		delivery = send(base_url, key, payload, attempt_seconds=ATTEMPT_SECONDS, deadline_seconds=seconds)
		if delivery.outcome == DELIVERED:
			return Sent(None)
		return Sent(delivery.error or "it was not delivered", final=delivery.status_code in (401, 403))

	return send_payload
