"""`prego-metrics fleet …`: the whole fleet judged off the nodes, from exports or live."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any, NoReturn, TypeVar

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.cli.ui.fleet_tables import print_freshness, print_reconciliation
from prego_metrics.cli.ui.options import Seconds, help_end, json_option, statuses_option
from prego_metrics.cli.ui.output import fail, print_json, print_warning
from prego_metrics.fleet.alerts import alerts_of
from prego_metrics.fleet.sources.exports import Export, read_export
from prego_metrics.fleet.sources.records import (
	MAX_AGE_SECONDS,
	Metrics,
	read_fleet,
	read_metrics,
	read_placement,
)
from prego_metrics.fleet.verdicts import Verdict, judge_counts, judge_freshness

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False)


def _source_options(command: Command) -> Command:
	for option in (
		json_option,
		click.option("--failing", is_flag=True, help="List only failing nodes."),
		click.option(
			"--api-key-file",
			metavar="FILE",
			type=_FILE,
			help="File with INTERNAL_API_KEY, if that is not in the environment.",
		),
		click.option(
			"--control-plane-url", "url", metavar="URL", help="Ask GET /internal/nodes, with the key."
		),
		click.option("--metrics", metavar="FILE", type=_FILE, help="Export of server_metrics."),
	):
		command = option(command)
	return command


@click.group()
def fleet() -> None:
	"""Judge the whole fleet from a machine outside it.

	FILE is what `wrangler d1 execute --json` prints, a JSON list of rows, or CSV with commas.

	Exit codes: 0 all is well, 1 something is not, 2 it cannot be judged.
	"""


@fleet.command(
	epilog=help_end(
		"fleet.md", "prego-metrics fleet freshness --nodes nodes.json --metrics metrics.json --failing"
	)
)
@click.option("--nodes", metavar="FILE", type=_FILE, help="Export of nodes.")
@_source_options
@click.option(
	"--tenants",
	metavar="FILE",
	type=_FILE,
	help="Export of tenants_master, to tell a real 0 from a wrong one.",
)
@click.option(
	"--max-age",
	type=Seconds(min=1),
	metavar="S",
	help="Seconds for which a push is fresh. Default: 300, or 2 × push_interval + 60 if that is exported.",
)
def freshness(
	nodes: str | None,
	metrics: str | None,
	tenants: str | None,
	max_age: float | None,
	url: str | None,
	api_key_file: str | None,
	failing: bool,
	as_json: bool,
) -> None:
	"""Show which nodes deliver, and why others don't.

	Either --nodes and --metrics, or --control-plane-url. The first verdict that applies counts:
	unregistered, bad_region, never, stale, zero, fresh.

	Exit codes: 0 all is well, 1 something is not, 2 it cannot be judged.
	"""
	if bool(url) == bool(nodes or metrics) or bool(nodes) != bool(metrics):
		raise click.UsageError("give either --nodes and --metrics, or --control-plane-url")

	warnings: list[str] = []
	try:
		if nodes and metrics:
			registered, pushed = read_export(nodes), read_export(metrics)
		else:
			registered, pushed, warnings = _ask_control_plane(str(url), api_key_file)
		placement = read_export(tenants) if tenants else None
		rows, more_warnings = read_fleet(registered, pushed, placement, live=bool(url))
	except PregoMetricsError as error:
		fail(error, json_with={"ok": False, "nodes": []} if as_json else None)
	verdicts = judge_freshness(rows, time.time(), max_age)
	alerts = alerts_of(verdicts)
	listed = [verdict for verdict in verdicts if verdict.failing or not failing]
	if not as_json:
		print_freshness(verdicts, listed, alerts, _threshold(rows.metrics.values(), max_age))
	details = {
		"alerts": [asdict(alert) for alert in alerts],
		"max_age_seconds": max_age or MAX_AGE_SECONDS,
		"max_age_source": "--max-age" if max_age else "default",
	}
	_end(verdicts, listed, warnings + more_warnings, details if as_json else None)


def _threshold(rows: Collection[Metrics], max_age: float | None) -> str:
	"""Say up to which age a push is fresh, and where that comes from."""
	if max_age:
		return f"Threshold: {max_age:g} s (--max-age)."
	pushed = [row for row in rows if row.updated_at is not None]
	unknown = sum(row.push_interval is None for row in pushed)
	default = f"{MAX_AGE_SECONDS:g} s"
	if unknown == len(pushed):
		return (
			f"Threshold: {default} (default). For a push_interval above 120 s: --max-age 2 × interval + 60."
		)
	rest = f"; {default} where it is not known ({unknown} of {len(pushed)})" if unknown else ""
	return f"Threshold: each node's 2 × push_interval + 60 s, at least {default}{rest}."


@fleet.command(
	epilog=help_end("fleet.md", "prego-metrics fleet reconcile --metrics metrics.json --tenants tenants.json")
)
@_source_options
@click.option("--tenants", metavar="FILE", type=_FILE, required=True, help="Export of tenants_master.")
@click.option("--tolerance", type=click.IntRange(0), default=0, show_default=True, help="Allowed difference.")
@statuses_option
def reconcile(
	metrics: str | None,
	tenants: str,
	tolerance: int,
	statuses: Sequence[str],
	url: str | None,
	api_key_file: str | None,
	failing: bool,
	as_json: bool,
) -> None:
	"""Compare each node's count with where tenants are placed.

	Either --metrics or --control-plane-url, and --tenants. Rows of the Hetzner sidecar are not compared.

	Exit codes: 0 all agree, 1 some differ, 2 it cannot be judged.
	"""
	if bool(url) == bool(metrics):
		raise click.UsageError("give either --metrics or --control-plane-url")

	warnings: list[str] = []
	try:
		placed, more_warnings = read_placement(read_export(tenants), statuses)
		if metrics:
			export = read_export(metrics)
		else:
			_, export, warnings = _ask_control_plane(str(url), api_key_file)
		rows = read_metrics(export, "tenant_count")
	except PregoMetricsError as error:
		fail(error, json_with={"ok": False, "nodes": []} if as_json else None)
	warnings += more_warnings
	verdicts, not_compared = judge_counts(rows, placed, tolerance)
	if not verdicts:
		warnings.append("nothing was compared: every row comes from the Hetzner sidecar")
	listed = [verdict for verdict in verdicts if verdict.failing or not failing]
	if not as_json:
		print_reconciliation(verdicts, listed, not_compared)
	_end(verdicts, listed, warnings, {"not_compared": not_compared} if as_json else None)


def _ask_control_plane(url: str, api_key_file: str | None) -> tuple[Export, Export, list[str]]:
	"""Return nodes and metrics as the control plane answers them, and warnings."""
	from prego_metrics.fleet.sources.control_plane import ask_nodes, live_exports

	return live_exports(ask_nodes(url, api_key_file, os.environ))


def _end(
	verdicts: Sequence[Verdict],
	listed: Sequence[Verdict],
	warnings: list[str],
	details: dict[str, object] | None,
) -> NoReturn:
	"""Print the warnings and, with `details`, everything as JSON; exit with 1 if a node is failing."""
	is_well = not any(verdict.failing for verdict in verdicts)
	for warning in warnings:
		print_warning(warning)
	if details is not None:
		nodes = [verdict.as_dict() for verdict in listed]
		totals = Counter(verdict.name for verdict in verdicts)
		print_json({"ok": is_well, "nodes": nodes, "totals": totals, **details, "warnings": warnings})
	sys.exit(0 if is_well else 1)
