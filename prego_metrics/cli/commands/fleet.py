"""`prego-metrics fleet …`: the whole fleet judged off the nodes, from exports or live."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NoReturn, TypeVar

import click
from rich.table import Table
from rich.text import Text

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.cli.ui.console import console, table
from prego_metrics.cli.ui.options import Seconds, json_option, statuses_option
from prego_metrics.cli.ui.output import fail, print_json, print_warning
from prego_metrics.fleet.sources.exports import Export, read_export
from prego_metrics.fleet.sources.records import read_fleet, read_metrics, read_placement
from prego_metrics.fleet.verdicts import (
	AGREES,
	FRESH,
	MAX_AGE_SECONDS,
	Alert,
	Verdict,
	alerts_of,
	judge_counts,
	judge_freshness,
)

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False)
_WELL, _FAILING, _UNPROVEN = "green", "bold red", "yellow"
_COUNTS = ("Tenants", "Placed")


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
	"--max-age", type=Seconds(min=1), metavar="S", help="Seconds up to which a push is fresh. Default: 300."
)
def freshness(
	nodes: str | None,
	metrics: str | None,
	tenants: str | None,
	max_age: float | None,
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
	max_age_seconds = max_age or MAX_AGE_SECONDS
	verdicts = judge_freshness(rows, time.time(), max_age_seconds)
	alerts = alerts_of(verdicts)
	details = {
		"alerts": [asdict(alert) for alert in alerts],
		"max_age_seconds": max_age_seconds,
		"max_age_source": "--max-age" if max_age else "default",
	}
	if not as_json:
		# The rows do not hold a node's push_interval.
		hint = "" if max_age else " For a push_interval above 120 s: --max-age 2 × interval + 60."
		threshold = f"Threshold: {max_age_seconds:g} s ({details['max_age_source']}).{hint}"
		_print_freshness(verdicts, alerts, threshold)
	_end(verdicts, warnings + more_warnings, details if as_json else None)


@fleet.command()
@_source_options
@click.option("--tenants", metavar="FILE", type=_FILE, required=True, help="Export of tenants_master.")
@click.option(
	"--tolerance", type=click.IntRange(0), default=0, show_default=True, help="Difference that agrees."
)
@statuses_option
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
	if not as_json:
		_print_reconciliation(verdicts, not_compared)
	_end(verdicts, warnings, {"not_compared": not_compared} if as_json else None)


def _ask_control_plane(url: str, api_key_file: str | None) -> tuple[Export, Export, list[str]]:
	"""Return nodes and metrics as the control plane answers them, and warnings."""
	from prego_metrics.fleet.sources.control_plane import ask_nodes, live_exports

	return live_exports(ask_nodes(url, api_key_file, os.environ))


def _end(verdicts: Sequence[Verdict], warnings: list[str], details: dict[str, object] | None) -> NoReturn:
	"""Print the warnings and, with `details`, everything as JSON; exit with 1 if a node is failing."""
	failing = any(verdict.failing for verdict in verdicts)
	for warning in warnings:
		print_warning(warning)
	if details is not None:
		nodes = [verdict.as_dict() for verdict in verdicts]
		print_json({"ok": not failing, "nodes": nodes, **details, "warnings": warnings})
	sys.exit(1 if failing else 0)


def _print_freshness(verdicts: Sequence[Verdict], alerts: Sequence[Alert], threshold: str) -> None:
	"""Print every node with its verdict, the alerts, the threshold and the totals."""
	with_placement = any(verdict.placed is not None for verdict in verdicts)
	headings = ("Node", "Verdict", "Pushed", "Tenants", *(["Placed"] if with_placement else []), "Note")
	nodes = table(*headings, right=_COUNTS)
	for verdict in verdicts:
		cells = [_age(verdict.age_seconds), _number(verdict.tenant_count)]
		cells += [_number(verdict.placed)] if with_placement else []
		_add_row(nodes, verdict, cells)
	screen = console()
	screen.print(nodes)
	for alert in alerts:
		screen.print(Text(f"Alert: {alert.sentence}", style=_FAILING))
	screen.print(Text(threshold, style="dim"))
	screen.print(Text(_totals(verdicts), style="bold"))


def _print_reconciliation(verdicts: Sequence[Verdict], not_compared: Sequence[str]) -> None:
	"""Print every node with the count that it pushed and the tenants placed on it."""
	nodes = table("Node", "Verdict", "Tenants", "Placed", "Note", right=_COUNTS)
	for verdict in verdicts:
		_add_row(nodes, verdict, [_number(verdict.tenant_count), _number(verdict.placed)])
	screen = console()
	screen.print(nodes)
	if not_compared:
		names = ", ".join(sanitize(node_id) for node_id in not_compared)
		screen.print(Text(f"Not compared, since the sidecar pushes for them: {names}", style="dim"))
	screen.print(Text(_totals(verdicts), style="bold"))


def _add_row(nodes: Table, verdict: Verdict, cells: Sequence[str]) -> None:
	style = _FAILING if verdict.failing else _WELL if verdict.name in (FRESH, AGREES) else _UNPROVEN
	name = Text(verdict.name, style=style)
	nodes.add_row(Text(sanitize(verdict.node_id)), name, *map(Text, cells), Text(verdict.note))


def _totals(verdicts: Sequence[Verdict]) -> str:
	counts = Counter(verdict.name for verdict in verdicts)
	return f"{len(verdicts)} node{'' if len(verdicts) == 1 else 's'}: " + ", ".join(
		f"{count} {name}" for name, count in counts.most_common()
	)


def _number(number: int | None) -> str:
	return "-" if number is None else str(number)


def _age(seconds: float | None) -> str:
	if seconds is None:
		return "-"
	if seconds < 0:
		return "in the future" if seconds < -5 else "0 s ago"
	for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
		if seconds < limit:
			return f"{seconds / unit:.0f} {name} ago"
	return f"{seconds / 86400:.0f} days ago"
