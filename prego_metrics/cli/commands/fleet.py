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
from prego_metrics.cli.ui.options import json_option
from prego_metrics.cli.ui.output import fail, print_json, print_warning

if TYPE_CHECKING:
	from prego_metrics.fleet.checks.verdict import Verdict
	from prego_metrics.fleet.sources.exports import Export

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False)


def _source_options(command: Command) -> Command:
	for option in (
		json_option,
		click.option(
			"--api-key-file", metavar="FILE", type=_FILE, help="Where INTERNAL_API_KEY is not set: its file."
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
	"""Judge the whole fleet, off the nodes.

	FILE is what `wrangler d1 execute --json` prints, a JSON list of rows, or CSV with commas.

	Exit codes: 0 all is well, 1 something is not, 2 it cannot be judged.
	"""


@fleet.command()
@click.option("--nodes", metavar="FILE", type=_FILE, help="Export of nodes.")
@_source_options
@click.option("--tenants", metavar="FILE", type=_FILE, help="Export of tenants_master: is a zero true?")
@click.option(
	"--max-age",
	type=click.FloatRange(min=1),
	default=300.0,
	show_default=True,
	metavar="S",
	help="Seconds up to which a push is fresh.",
)
def freshness(
	nodes: str | None,
	metrics: str | None,
	tenants: str | None,
	max_age: float,
	url: str | None,
	api_key_file: str | None,
	as_json: bool,
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
	from prego_metrics.fleet.sources.exports import read_export
	from prego_metrics.fleet.sources.records import read_fleet

	warnings: list[str] = []
	try:
		if nodes and metrics:
			exports = read_export(nodes), read_export(metrics)
		else:
			exports, warnings = _ask_control_plane(str(url), api_key_file)
		rows, more_warnings = read_fleet(*exports, read_export(tenants) if tenants else None, live=bool(url))
	except PregoMetricsError as error:
		fail(error, json_with={"ok": False, "nodes": []} if as_json else None)
	warnings += more_warnings
	verdicts = judge_freshness(rows, time.time(), max_age)
	alerts = alerts_of(verdicts)
	chosen = click.get_current_context().get_parameter_source("max_age") == ParameterSource.COMMANDLINE
	_warn(warnings)
	if as_json:
		_print_json(
			verdicts,
			warnings,
			alerts=[alert.as_dict() for alert in alerts],
			max_age_seconds=max_age,
			max_age_source="--max-age" if chosen else "default",
		)
	else:
		print_freshness(verdicts, alerts, _threshold(max_age, chosen=chosen))
	sys.exit(1 if any(verdict.failing for verdict in verdicts) else 0)


@fleet.command()
@_source_options
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
def reconcile(
	metrics: str | None,
	tenants: str,
	tolerance: int,
	statuses: Sequence[str],
	url: str | None,
	api_key_file: str | None,
	as_json: bool,
) -> None:
	"""Compare each node's count with where tenants are placed.

	Either --metrics or --control-plane-url, and --tenants. What the Hetzner sidecar pushed is not compared.

	Exit codes: 0 all agree, 1 some differ, 2 it cannot be judged.
	"""
	if bool(url) == bool(metrics):
		raise click.UsageError("give either --metrics or --control-plane-url")
	from prego_metrics.cli.ui.fleet_tables import print_reconciliation
	from prego_metrics.fleet.checks.reconcile import judge_counts
	from prego_metrics.fleet.sources.exports import read_export
	from prego_metrics.fleet.sources.records import read_metrics, read_placement

	warnings: list[str] = []
	try:
		wanted = [status.strip() for names in statuses for status in names.split(",") if status.strip()]
		if statuses and not wanted:
			raise ExportError("--statuses names no status")
		placement = read_placement(read_export(tenants), wanted)
		if metrics:
			export = read_export(metrics)
		else:
			(_, export), warnings = _ask_control_plane(str(url), api_key_file)
		rows = read_metrics(export, needed=("tenant_count",))
	except PregoMetricsError as error:
		fail(error, json_with={"ok": False, "nodes": []} if as_json else None)
	warnings += placement.warnings
	verdicts, not_compared = judge_counts(rows, placement.tenants, tolerance)
	if not verdicts:
		warnings.append("nothing was compared: every row comes from the Hetzner sidecar")
	_warn(warnings)
	if as_json:
		_print_json(verdicts, warnings, not_compared=not_compared)
	else:
		print_reconciliation(verdicts, not_compared)
	sys.exit(1 if any(verdict.failing for verdict in verdicts) else 0)


def _ask_control_plane(url: str, api_key_file: str | None) -> tuple[tuple[Export, Export], list[str]]:
	"""Return nodes and metrics as the control plane answers them, and warnings."""
	from prego_metrics.fleet.sources.control_plane import ask_nodes, live_exports

	nodes, metrics, warnings = live_exports(ask_nodes(url, api_key_file, os.environ))
	return (nodes, metrics), list(warnings)


def _threshold(max_age_seconds: float, *, chosen: bool) -> str:
	"""Return the sentence about the threshold: the rows do not hold a node's push_interval."""
	if chosen:
		return f"Threshold: {max_age_seconds:g} s (--max-age)."
	return f"Threshold: {max_age_seconds:g} s (default). For a push_interval above 120 s: --max-age 2 × interval + 60."


def _warn(warnings: Sequence[str]) -> None:
	for warning in warnings:
		print_warning(warning)


def _print_json(verdicts: Sequence[Verdict], warnings: Sequence[str], **more: object) -> None:
	content = {
		"ok": not any(verdict.failing for verdict in verdicts),
		"nodes": [verdict.as_dict() for verdict in verdicts],
		**more,
		"warnings": list(warnings),
	}
	print_json(content)
