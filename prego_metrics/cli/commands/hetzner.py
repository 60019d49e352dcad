"""`prego-metrics hetzner push`: the sidecar for nodes that cannot push for themselves; runs off the nodes."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.cli.ui.output import fail

if TYPE_CHECKING:
	from prego_metrics.agent.base.secrets import Secret
	from prego_metrics.fleet.hetzner.mapping import FileEntry, MappedNode, ServerMapping
	from prego_metrics.fleet.hetzner.push import Outcome, Send
	from prego_metrics.fleet.hetzner.servers import HetznerApi, Listing

TOKEN_VARIABLE = "HCLOUD_TOKEN"
ENDPOINT_VARIABLE = "HCLOUD_ENDPOINT"
URL_VARIABLE = "PREGO_METRICS_CONTROL_PLANE_URL"
KEY_FILE_VARIABLE = "PREGO_METRICS_API_KEY_FILE"
DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"
ATTEMPT_SECONDS = 10.0
NODE_SECONDS = 20.0


@dataclass(frozen=True)
class Order:
	"""What the options of `hetzner push` say."""

	label: str | None
	by_name: bool
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


@click.group(short_help="Push for nodes that cannot push for themselves.")
def hetzner() -> None:
	"""Push for nodes that cannot push for themselves, from the Hetzner Cloud API. Runs off the nodes."""


@hetzner.command(short_help="Push a row for each node that does not push for itself.")
@click.option("--label", metavar="KEY", help="Map by this label of the servers. Default: prego-node-id.")
@click.option("--by-name", is_flag=True, help="Map by name: the server is called as the node is.")
@click.option("--mapping", metavar="FILE", help='Map by a file: {"nodes": {NODE_ID: SERVER, …}}.')
@click.option("--selector", metavar="TEXT", help="Look only at servers that this label selector chooses.")
@click.option("--counts", metavar="FILE", help="Tenant counts: rows of node_id and tenant_count.")
@click.option("--tenants", metavar="FILE", help="Export of tenants_master, counted by node_id.")
@click.option(
	"--statuses",
	multiple=True,
	metavar="STATUS",
	help="Tenants to count, by status (repeatable, or with commas). Default: all but data_purged, failed, "
	"deleted.",
)
@click.option(
	"--metrics", metavar="FILE", help="Export of server_metrics, at most 300 s old: who pushes for itself."
)
@click.option(
	"--max-age",
	type=click.FloatRange(min=1),
	default=300.0,
	metavar="S",
	help="Seconds up to which a row is fresh. Default: 300.",
)
@click.option("--control-plane-url", metavar="URL", help=f"Base URL. Default: {URL_VARIABLE}.")
@click.option("--api-key-file", metavar="FILE", help=f"0600 file with the key. Default: {KEY_FILE_VARIABLE}.")
@click.option("--token-file", metavar="FILE", help=f"0600 file with the token, if {TOKEN_VARIABLE} is unset.")
@click.option(
	"--time-limit",
	type=click.FloatRange(min=1, max=86400),
	default=240.0,
	metavar="S",
	help="Seconds that the run may last. Default: 240.",
)
@click.option("--save-snapshot", is_flag=True, help="Ask the control plane to keep snapshots as well.")
@click.option("--dry-run", is_flag=True, help="Read everything, send nothing; needs no key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def push(as_json: bool, **options: Any) -> None:
	"""Push a row with source hetzner_api for each node that does not push for itself.

	HCLOUD_TOKEN (read-only is enough) and INTERNAL_API_KEY come from the environment or a 0600 file, never
	from an option. HCLOUD_ENDPOINT names another API, https:// or on loopback.

	CPU is the mean of the last five minutes, divided by the server's cores. Memory and disk are not in the
	API and are left out. A node without a tenant count is not pushed. A node is pushed if --metrics shows
	it stale, never seen or last pushed from here, or if the mapping says that it is agentless.

	Exit codes: 0 every node is pushed or pushes for itself, 1 some are not (the last line says how many),
	2 nothing could be read or configured.
	"""
	order = Order(**options)
	try:
		_check(order)
		outcomes, unread = _run(order, os.environ)
	except PregoMetricsError as error:
		fail(str(error), json_with={"ok": False, "nodes": []} if as_json else None)
	sys.exit(_tell(outcomes, unread, as_json=as_json))


def _check(order: Order) -> None:
	if sum((order.label is not None, order.by_name, order.mapping is not None)) > 1:
		raise click.UsageError("--label, --by-name and --mapping exclude each other")
	if not order.counts and not order.tenants:
		raise click.UsageError(
			"tenant counts are needed, --counts FILE or --tenants FILE: an omitted one is read as 0"
		)
	if order.statuses and not order.tenants:
		raise click.UsageError("--statuses goes with --tenants")
	if not (math.isfinite(order.max_age) and math.isfinite(order.time_limit)):
		raise click.UsageError("--max-age and --time-limit must be numbers of seconds")


def _run(order: Order, environ: Mapping[str, str]) -> tuple[list[Outcome], list[str]]:
	"""Read all that is needed, then push; return what became of each, and what could not be listed."""
	from prego_metrics.fleet.hetzner.counts import count_tenants_of_nodes, read_counts, read_last_rows
	from prego_metrics.fleet.hetzner.mapping import read_mapping_file
	from prego_metrics.fleet.hetzner.push import Known, Outcome, push_nodes

	ends = time.monotonic() + order.time_limit

	def time_left() -> float:
		return ends - time.monotonic()

	token = _token(order, environ)
	send = None if order.dry_run else _sender(order, environ, time_left)
	entries = read_mapping_file(order.mapping) if order.mapping else None
	counts: dict[str, int] = {}
	if order.tenants:
		statuses = [status for text in order.statuses for status in text.split(",") if status.strip()]
		counts, warnings = count_tenants_of_nodes(order.tenants, statuses)
		_warn(warnings)
	counts |= read_counts(order.counts) if order.counts else {}
	rows = read_last_rows(order.metrics) if order.metrics else None
	with _api(token, _endpoint(environ), time_left) as api:
		listing = api.list_servers(order.selector)
		if not listing.servers and not listing.unread:
			raise PregoMetricsError(
				"the project of this token holds no server"
				+ (" that --selector chooses" if order.selector else "")
			)
		mapping = _mapped(order, listing, entries)
		known = Known(counts, rows, time.time(), order.max_age)
		outcomes = [Outcome(odd.node_id, "not_pushed", odd.reason) for odd in mapping.unmapped]
		with _progress(mapping.nodes) as nodes:
			outcomes += push_nodes(
				nodes,
				known,
				lambda server: api.cpu_percent(server, time.time()),
				send,
				save_snapshot=order.save_snapshot,
			)
	return outcomes, listing.unread


def _mapped(order: Order, listing: Listing, entries: Mapping[str, FileEntry] | None) -> ServerMapping:
	from prego_metrics.fleet.hetzner.mapping import NODE_LABEL, map_by_file, map_by_label, map_by_name

	if entries is not None:
		return map_by_file(listing.servers, entries, complete=not listing.unread)
	if order.by_name:
		return map_by_name(listing.servers)
	return map_by_label(listing.servers, order.label or NODE_LABEL)


def _token(order: Order, environ: Mapping[str, str]) -> Secret:
	from prego_metrics.agent.base.secrets import Secret
	from prego_metrics.agent.config.secret_files import read_secret_file

	text, source = environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
	if not text:
		if not order.token_file:
			raise PregoMetricsError(
				f"there is no token: set {TOKEN_VARIABLE}, or name a 0600 file by --token-file"
			)
		source = "--token-file"
		try:
			text = read_secret_file(order.token_file)
		except ValueError as error:
			raise PregoMetricsError(f"--token-file: {error}") from None
	if not text or not all(0x21 <= ord(character) <= 0x7E for character in text):
		raise PregoMetricsError(f"the token from {source} is empty or no printable ASCII without spaces")
	return Secret(text, source)


def _endpoint(environ: Mapping[str, str]) -> str:
	return _url(environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT, ENDPOINT_VARIABLE)


def _url(value: str, source: str) -> str:
	from prego_metrics.agent.config.kinds import BaseUrl

	try:
		return BaseUrl().parse(value)
	except ValueError as error:
		raise PregoMetricsError(f"{source} {error}") from None


def _sender(order: Order, environ: Mapping[str, str], time_left: Any) -> Send:
	from prego_metrics.agent.config.api_key import load_api_key
	from prego_metrics.fleet.hetzner.push import control_plane_sender
	from prego_metrics.fleet.sources.control_plane import KeyFile

	url = order.control_plane_url or environ.get(URL_VARIABLE)
	if not url:
		raise PregoMetricsError(f"there is no control plane: set {URL_VARIABLE}, or --control-plane-url")
	source = "--control-plane-url" if order.control_plane_url else URL_VARIABLE
	key, warnings = load_api_key(
		KeyFile(order.api_key_file or environ.get(KEY_FILE_VARIABLE) or None), environ
	)
	_warn(warnings)
	return control_plane_sender(
		_url(url, source), key, time_left, attempt_seconds=ATTEMPT_SECONDS, node_seconds=NODE_SECONDS
	)


def _warn(warnings: Iterable[str]) -> None:
	for warning in warnings:
		click.echo(f"Warning: {warning}", err=True)


def _api(token: Secret, endpoint: str, time_left: Any) -> HetznerApi:
	try:
		import hcloud  # noqa: F401
	except ImportError:
		raise PregoMetricsError(
			"the hcloud library is not installed: pip install 'prego_metrics[hetzner]'"
		) from None
	from prego_metrics.fleet.hetzner.servers import HetznerApi

	return HetznerApi(token, endpoint, time_left)


@contextmanager
def _progress(nodes: list[MappedNode]) -> Iterator[Any]:
	"""Give the nodes one by one, with a bar on a terminal's stderr while they are worked off."""
	if not sys.stderr.isatty():
		yield nodes
		return
	from rich.console import Console
	from rich.progress import Progress

	with Progress(console=Console(stderr=True), transient=True) as progress:
		yield progress.track(nodes, description="Nodes")


def _tell(outcomes: list[Outcome], unread: list[str], *, as_json: bool) -> int:
	"""Print what became of every node, and return the exit code."""
	from prego_metrics.fleet.hetzner.push import LEFT_ALONE, NOT_PUSHED, PUSHED, WOULD_PUSH

	failed = [outcome for outcome in outcomes if outcome.outcome == NOT_PUSHED]
	alone = [outcome for outcome in outcomes if outcome.outcome == LEFT_ALONE]
	good = [outcome for outcome in outcomes if outcome.outcome in (PUSHED, WOULD_PUSH)]
	dry = any(outcome.outcome == WOULD_PUSH for outcome in good)
	code = 1 if failed or unread else 0
	if as_json:
		report = {
			"ok": code == 0,
			"dry_run": dry,
			"pushed": 0 if dry else len(good),
			"left_alone": len(alone),
			"not_pushed": len(failed),
			"unread": unread,
			"nodes": [outcome.as_dict() for outcome in outcomes],
		}
		click.echo(json.dumps(report))
		return code
	_print_rows(good, "Would push" if dry else "Pushed")
	for line in unread:
		click.echo(f"Not read: {line}", err=True)
	for outcome in failed:
		name = f"node {sanitize(outcome.node_id, 80)}: " if outcome.node_id else ""
		click.echo(f"Not pushed: {name}{outcome.reason}", err=True)
	for outcome in alone:
		click.echo(f"Left alone: node {sanitize(outcome.node_id or '', 80)}: {outcome.reason}")
	click.echo(
		f"{len(good)} {'would be pushed' if dry else 'pushed'}, {len(alone)} left alone, {len(failed)} not pushed"
		+ (", and some servers could not be listed" if unread else "")
	)
	return code


def _print_rows(outcomes: Iterable[Outcome], verb: str) -> None:
	for outcome in outcomes:
		payload = outcome.payload or {}
		name = sanitize(outcome.node_id or "", 80)
		cpu = f"cpu {payload['cpu_pct']} %" if "cpu_pct" in payload else "cpu unknown"
		click.echo(f"{verb}: node {name}: {payload.get('tenant_count')} tenants, {cpu}")
		if outcome.warning:
			click.echo(f"Warning: node {name}: {outcome.warning}", err=True)
