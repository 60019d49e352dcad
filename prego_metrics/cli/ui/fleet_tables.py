"""The fleet on a terminal: a table, a line for each alert, and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.cli.ui.console import console, table
from prego_metrics.fleet.checks.verdict import AGREES, FRESH, Alert, Verdict

_WELL, _FAILING, _UNPROVEN = "green", "bold red", "yellow"
_COUNTS = ("Tenants", "Placed")


def print_freshness(verdicts: Sequence[Verdict], alerts: Sequence[Alert], threshold: str) -> None:
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


def print_reconciliation(verdicts: Sequence[Verdict], not_compared: Sequence[str]) -> None:
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
