"""`prego-metrics fleet …`: the whole fleet judged off the nodes, from exports or live."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from prego_metrics.agent.base.errors import ExportError, PregoMetricsError
from prego_metrics.cli.ui.options import fail, print_json

if TYPE_CHECKING:
	from prego_metrics.fleet.checks.freshness import Fleet
	from prego_metrics.fleet.checks.verdict import Verdict
	from prego_metrics.fleet.sources.exports import Export
	from prego_metrics.fleet.sources.records import Columns

Command = TypeVar("Command", bound=Callable[..., Any])

_COLUMNS = {
	"node_id": "the node in nodes and server_metrics",
	"region": "a node's region",
	"updated_at": "when a row of server_metrics was written",
	"tenant_count": "the count that a node pushed",
	"source": "who pushed it",
	"tenants_node_id": "the node in tenants_master",
	"status": "a tenant's status",
}
_DEFAULTS = {"tenants_node_id": "node_id"}
# Exports are JSON from wrangler, plain JSON, CSV or SQLite.
_FILE = click.Path(dir_okay=False)


def _columns(command: Command) -> Command:
	for name, meaning in reversed(_COLUMNS.items()):
		option = f"--{name.replace('_', '-')}-column"
		command = click.option(
			option,
			name + "_column",
			metavar="NAME",
			default=_DEFAULTS.get(name, name),
			show_default=True,
			help=f"Column: {meaning}.",
		)(command)
	return command


def _sources(command: Command) -> Command:
	options = (
		click.option("--json", "as_json", is_flag=True, help="Print JSON for machines."),
		click.option(
			"--api-key-file", metavar="FILE", type=_FILE, help="Where INTERNAL_API_KEY is not set: its file."
		),
		click.option(
			"--control-plane-url", "url", metavar="URL", help="Ask GET /internal/nodes, with the key."
		),
		click.option("--metrics", metavar="FILE", type=_FILE, help="Export of server_metrics."),
	)
	for add in options:
		command = add(command)
	return command


@click.group()
def fleet() -> None:
	"""Judge the whole fleet, off the nodes.

	FILE is what `wrangler d1 execute --json` prints, any JSON or CSV export of the table, or a SQLite file.

	Exit codes: 0 all is well, 1 something is not, 2 it cannot be judged.
	"""


@fleet.command()
@click.option("--nodes", metavar="FILE", type=_FILE, help="Export of nodes.")
@_sources
@click.option("--tenants", metavar="FILE", type=_FILE, help="Export of tenants_master: is a zero true?")
@click.option(
	"--max-age",
	type=click.FloatRange(min=1),
	default=300.0,
	show_default=True,
	metavar="S",
	help="Seconds up to which a push is fresh.",
)
@_columns
def freshness(
	nodes: str | None,
	metrics: str | None,
	tenants: str | None,
	max_age: float,
	url: str | None,
	api_key_file: str | None,
	as_json: bool,
	**columns: str,
) -> None:
	"""Say which nodes deliver: fresh, or why not.

	Either --nodes and --metrics, or --control-plane-url. Of several verdicts the first holds: unregistered,
	bad_region, never, stale, zero, fresh.

	Exit codes: 0 all is well, 1 something is not, 2 it cannot be judged.
	"""
	if bool(url) == bool(nodes or metrics) or bool(nodes) != bool(metrics):
		raise click.UsageError("give either --nodes and --metrics, or --control-plane-url")
	if not math.isfinite(max_age):
		raise click.BadParameter("must be a number of seconds", param_hint="'--max-age'")
	from prego_metrics.cli.ui.fleet_tables import print_freshness
	from prego_metrics.fleet.checks.freshness import alerts_of, judge_freshness

	try:
		seen, warnings = _fleet(nodes, metrics, tenants, url, api_key_file, columns)
	except PregoMetricsError as error:
		fail(str(error), json_with={"ok": False, "nodes": []} if as_json else None)
	verdicts = judge_freshness(seen, time.time(), max_age)
	alerts = alerts_of(verdicts)
	chosen = click.get_current_context().get_parameter_source("max_age") == ParameterSource.COMMANDLINE
	_warn(warnings)
	if as_json:
		shown = [alert.as_dict() for alert in alerts]
		source = "--max-age" if chosen else "default"
		_print_json(verdicts, warnings, alerts=shown, max_age_seconds=max_age, max_age_source=source)
	else:
		print_freshness(verdicts, alerts, _threshold(max_age, chosen=chosen))
	sys.exit(1 if any(verdict.failing for verdict in verdicts) else 0)


@fleet.command()
@_sources
@click.option("--tenants", metavar="FILE", type=_FILE, required=True, help="Export of tenants_master.")
@click.option(
	"--tolerance", type=click.IntRange(0), default=0, show_default=True, help="Difference that agrees."
)
@click.option(
	"--statuses",
	multiple=True,
	metavar="STATUS",
	help="Tenants that have a site, by status (repeatable, or with commas). Default: all but data_purged, "
	"failed, deleted.",
)
@_columns
def reconcile(
	metrics: str | None,
	tenants: str,
	tolerance: int,
	statuses: Sequence[str],
	url: str | None,
	api_key_file: str | None,
	as_json: bool,
	**columns: str,
) -> None:
	"""Compare each node's count with where tenants are placed.

	Either --metrics or --control-plane-url, and --tenants. What the Hetzner sidecar pushed is not compared.

	Exit codes: 0 all agree, 1 some differ, 2 it cannot be judged.
	"""
	if bool(url) == bool(metrics):
		raise click.UsageError("give either --metrics or --control-plane-url")
	from prego_metrics.cli.ui.fleet_tables import print_reconciliation
	from prego_metrics.fleet.checks.reconcile import judge_counts
	from prego_metrics.fleet.sources.exports import METRICS_TABLE, TENANTS_TABLE, read_export
	from prego_metrics.fleet.sources.records import read_metrics, read_placement

	try:
		named = _named(columns)
		wanted = [status.strip() for text in statuses for status in text.split(",") if status.strip()]
		if statuses and not wanted:
			raise ExportError("--statuses names no status")
		placement = read_placement(read_export(tenants, TENANTS_TABLE), named, wanted)
		warnings = list(placement.warnings)
		if url:
			_, export, found = _live(url, api_key_file, named)
			warnings += found
		else:
			export = read_export(str(metrics), METRICS_TABLE)
		rows = read_metrics(export, named, needed=("tenant_count",))
	except PregoMetricsError as error:
		fail(str(error), json_with={"ok": False, "nodes": []} if as_json else None)
	verdicts, not_compared = judge_counts(rows, placement.tenants, tolerance)
	if not verdicts:
		warnings.append("nothing was compared: every row comes from the Hetzner sidecar")
	_warn(warnings)
	if as_json:
		_print_json(verdicts, warnings, not_compared=not_compared)
	else:
		print_reconciliation(verdicts, not_compared)
	sys.exit(1 if any(verdict.failing for verdict in verdicts) else 0)


def _fleet(
	nodes: str | None,
	metrics: str | None,
	tenants: str | None,
	url: str | None,
	api_key_file: str | None,
	columns: dict[str, str],
) -> tuple[Fleet, list[str]]:
	"""Read all that freshness is judged from, and what to be warned of."""
	from prego_metrics.fleet.checks.freshness import Fleet
	from prego_metrics.fleet.sources.exports import METRICS_TABLE, NODES_TABLE, TENANTS_TABLE, read_export
	from prego_metrics.fleet.sources.records import read_metrics, read_placement, read_regions

	named = _named(columns)
	warnings: list[str] = []
	if url:
		node_rows, metric_rows, found = _live(url, api_key_file, named)
		warnings += found
	else:
		node_rows = read_export(str(nodes), NODES_TABLE)
		metric_rows = read_export(str(metrics), METRICS_TABLE)
	regions = read_regions(node_rows, named, needed=not url)
	# With the placement, a count that nobody exported would let every zero pass.
	needed = ("updated_at", "tenant_count") if tenants else ("updated_at",)
	rows = read_metrics(metric_rows, named, needed=needed)
	if not url and not metric_rows.has(named.tenant_count):
		warnings.append(f"{metric_rows.source} has no {named.tenant_count}: zeros are not judged")
	placed = None
	if tenants:
		placement = read_placement(read_export(tenants, TENANTS_TABLE), named)
		warnings += placement.warnings
		placed = placement.tenants
	known = regions if node_rows.has(named.region) else None
	return Fleet(tuple(regions), rows, known, placed), warnings


def _live(url: str, api_key_file: str | None, named: Columns) -> tuple[Export, Export, tuple[str, ...]]:
	from prego_metrics.fleet.sources.control_plane import ask_nodes, live_exports

	return live_exports(ask_nodes(url, api_key_file, os.environ), named)


def _named(columns: dict[str, str]) -> Columns:
	from prego_metrics.fleet.sources.records import Columns

	return Columns(**{name.removesuffix("_column"): value for name, value in columns.items()})


def _threshold(max_age_seconds: float, *, chosen: bool) -> str:
	"""Say up to when a push is fresh, and why: the rows do not tell at what interval a node pushes."""
	if chosen:
		return f"Fresh: at most {max_age_seconds:g} s old, by --max-age."
	return (
		f"Fresh: at most {max_age_seconds:g} s old, the default. The rows do not tell a node's push_interval: for "
		"one above 120 s, --max-age 2 × interval + 60."
	)


def _warn(warnings: Sequence[str]) -> None:
	for warning in warnings:
		click.echo(f"Warning: {warning}", err=True)


def _print_json(verdicts: Sequence[Verdict], warnings: Sequence[str], **more: object) -> None:
	content = {
		"ok": not any(verdict.failing for verdict in verdicts),
		"nodes": [verdict.as_dict() for verdict in verdicts],
		**more,
		"warnings": list(warnings),
	}
	print_json(content)
