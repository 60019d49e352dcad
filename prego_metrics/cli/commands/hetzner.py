"""`prego-metrics hetzner push`: the sidecar for nodes that cannot push for themselves; runs off the nodes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.cli.ui.options import Seconds, help_end, json_option, statuses_option
from prego_metrics.cli.ui.output import fail, print_json, print_warning

if TYPE_CHECKING:
	from prego_metrics.fleet.hetzner.mapping import MappedNode
	from prego_metrics.fleet.hetzner.push_nodes import Outcome


@click.group(short_help="Push for nodes that cannot push for themselves.")
def hetzner() -> None:
	"""Push for nodes that cannot push for themselves, from the Hetzner Cloud API. Runs on another machine."""


@hetzner.command(
	"push",
	short_help="Push a row for each node that does not push for itself.",
	epilog=help_end(
		"hetzner.md", "prego-metrics hetzner push --tenants tenants.json --metrics metrics.json --dry-run"
	),
)
@click.option("--label", metavar="KEY", help="Map servers to nodes by this label. Default: prego-node-id.")
@click.option("--mapping", metavar="FILE", help='Map by a file: {"nodes": {NODE_ID: SERVER, …}}.')
@click.option("--selector", metavar="TEXT", help="Consider only servers that match this label selector.")
@click.option("--counts", metavar="FILE", help="Tenant counts: rows of node_id and tenant_count.")
@click.option("--tenants", metavar="FILE", help="Export of tenants_master, counted by node_id.")
@statuses_option
@click.option(
	"--metrics",
	metavar="FILE",
	help="Export of server_metrics, at most 300 s old: which nodes push for themselves.",
)
@click.option(
	"--max-age",
	type=Seconds(min=1),
	metavar="S",
	help="Seconds for which a row is fresh. Default: 300, or 2 × push_interval + 60 if that is exported.",
)
@click.option(
	"--control-plane-url",
	metavar="URL",
	envvar="PREGO_METRICS_CONTROL_PLANE_URL",
	help="Base URL. Default: PREGO_METRICS_CONTROL_PLANE_URL.",
)
@click.option(
	"--api-key-file",
	metavar="FILE",
	envvar="PREGO_METRICS_API_KEY_FILE",
	help="0600 file with the key. Default: PREGO_METRICS_API_KEY_FILE.",
)
@click.option("--token-file", metavar="FILE", help="0600 file with the token, if HCLOUD_TOKEN is unset.")
@click.option(
	"--time-limit",
	type=Seconds(min=1, max=86400),
	default=240.0,
	metavar="S",
	help="Time limit of the run in seconds. Default: 240.",
)
@click.option("--save-snapshot", is_flag=True, help="Ask the control plane to keep snapshots as well.")
@click.option("--dry-run", is_flag=True, help="Read everything, send nothing; needs no key.")
@json_option
def hetzner_push(as_json: bool, **options: Any) -> None:
	"""Push a row with source hetzner_api for each node that does not push for itself.

	HCLOUD_TOKEN (read-only is enough) and INTERNAL_API_KEY come from the environment or a 0600 file, never
	from an option. HCLOUD_ENDPOINT names another API, https:// or on loopback.

	CPU is the mean of the last five minutes, divided by the server's cores. Memory and disk are not in the
	API and are left out. A node without a tenant count is not pushed. A node is pushed if --metrics shows
	it stale, never seen or last pushed from here, or if the mapping says that it is agentless.

	Exit codes: 0 every node is pushed or pushes for itself, 1 some are not (the last line says how many),
	2 nothing could be read or configured.
	"""
	if options["label"] is not None and options["mapping"] is not None:
		raise click.UsageError("--label and --mapping exclude each other")
	if not options["counts"] and not options["tenants"]:
		raise click.UsageError(
			"tenant counts are needed, --counts FILE or --tenants FILE: an omitted one is read as 0"
		)
	if options["statuses"] and not options["tenants"]:
		raise click.UsageError("--statuses goes with --tenants")
	from prego_metrics.fleet.hetzner.sidecar import SidecarOptions, run_sidecar

	try:
		outcomes, unread = run_sidecar(
			SidecarOptions(**options), os.environ, warn=print_warning, track=_with_progress_bar
		)
	except PregoMetricsError as error:
		fail(error, json_with={"ok": False, "nodes": []} if as_json else None)
	sys.exit(_print_outcomes(outcomes, unread, as_json=as_json))


def _with_progress_bar(nodes: list[MappedNode]) -> Iterable[MappedNode]:
	"""Pass the nodes on one by one, with a bar on stderr if that is a terminal."""
	if not sys.stderr.isatty():
		return nodes
	from rich.console import Console
	from rich.progress import track

	return track(nodes, description="Nodes", console=Console(stderr=True), transient=True)


def _print_outcomes(outcomes: list[Outcome], unread: list[str], *, as_json: bool) -> int:
	"""Print what became of every node, and return the exit code."""
	from prego_metrics.fleet.hetzner.push_nodes import LEFT_ALONE, NOT_PUSHED, PUSHED, WOULD_PUSH

	failed = [outcome for outcome in outcomes if outcome.outcome == NOT_PUSHED]
	left_alone = [outcome for outcome in outcomes if outcome.outcome == LEFT_ALONE]
	pushed = [outcome for outcome in outcomes if outcome.outcome in (PUSHED, WOULD_PUSH)]
	dry_run = any(outcome.outcome == WOULD_PUSH for outcome in pushed)
	code = 1 if failed or unread else 0
	if as_json:
		print_json(
			{
				"ok": code == 0,
				"dry_run": dry_run,
				"pushed": 0 if dry_run else len(pushed),
				"left_alone": len(left_alone),
				"not_pushed": len(failed),
				"unread": unread,
				"nodes": [asdict(outcome) for outcome in outcomes],
			}
		)
		return code
	for outcome in pushed:
		_print_pushed(outcome, "Would push" if dry_run else "Pushed")
	for line in unread:
		click.echo(f"Not read: {line}", err=True)
	for outcome in failed:
		name = f"node {_node_name(outcome)}: " if outcome.node_id else ""
		click.echo(f"Not pushed: {name}{outcome.reason}", err=True)
	for outcome in left_alone:
		click.echo(f"Left alone: node {_node_name(outcome)}: {outcome.reason}")
	click.echo(
		f"{len(pushed)} {'would be pushed' if dry_run else 'pushed'}, {len(left_alone)} left alone, "
		f"{len(failed)} not pushed" + (", and some servers could not be listed" if unread else "")
	)
	return code


def _print_pushed(outcome: Outcome, verb: str) -> None:
	payload = outcome.payload or {}
	cpu = f"cpu {payload['cpu_pct']} %" if "cpu_pct" in payload else "cpu unknown"
	click.echo(f"{verb}: node {_node_name(outcome)}: {payload.get('tenant_count')} tenants, {cpu}")
	if outcome.warning:
		click.echo(f"Warning: node {_node_name(outcome)}: {outcome.warning}", err=True)


def _node_name(outcome: Outcome) -> str:
	return sanitize(outcome.node_id or "", 80)
