"""The fleet's verdicts on a terminal or in a report, whose head must say what matters: 10,000 nodes follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.cli.ui.console import console
from prego_metrics.cli.ui.long_table import print_long_table
from prego_metrics.fleet.alerts import Alert
from prego_metrics.fleet.verdicts import AGREES, FRESH, Verdict

_WELL, _FAILING, _UNPROVEN = "green", "bold red", "yellow"
_COUNTS = ("Tenants", "Placed")
# More alerts or names than anybody reads; the table has them all.
_SHOWN = 20


def print_freshness(
	verdicts: Sequence[Verdict], listed: Sequence[Verdict], alerts: Sequence[Alert], threshold: str
) -> None:
	"""Print the alerts, the totals of all, the threshold, and each listed node with its verdict."""
	for alert in alerts[:_SHOWN]:
		_print_line(f"Alert: {alert.sentence}", _FAILING)
	if len(alerts) > _SHOWN:
		_print_line(f"Alert: {len(alerts) - _SHOWN} more nodes are failing: see the table", _FAILING)
	_print_line(_totals(verdicts), "bold")
	_print_line(threshold, "dim")
	with_placement = any(verdict.placed is not None for verdict in verdicts)
	headings = ("Node", "Verdict", "Pushed", "Tenants", *(["Placed"] if with_placement else []), "Note")
	_print_nodes(
		headings,
		listed,
		[
			[
				_age(verdict.age_seconds),
				_number(verdict.tenant_count),
				*([_number(verdict.placed)] if with_placement else []),
			]
			for verdict in listed
		],
	)


def print_reconciliation(
	verdicts: Sequence[Verdict], listed: Sequence[Verdict], not_compared: Sequence[str]
) -> None:
	"""Print the totals of all, and each listed node with the count that it pushed and the tenants placed on it."""
	_print_line(_totals(verdicts), "bold")
	if not_compared:
		names = ", ".join(sanitize(node_id) for node_id in not_compared[:_SHOWN])
		more = f" and {len(not_compared) - _SHOWN} more" if len(not_compared) > _SHOWN else ""
		_print_line(f"Not compared, since the sidecar pushes for them: {names}{more}", "dim")
	_print_nodes(
		("Node", "Verdict", "Tenants", "Placed", "Note"),
		listed,
		[[_number(verdict.tenant_count), _number(verdict.placed)] for verdict in listed],
	)


def _print_line(line: str, style: str) -> None:
	"""Print one line, however long: who searches for it must find the whole of it."""
	console().print(Text(line, style=style), soft_wrap=True)


def _print_nodes(headings: Sequence[str], listed: Sequence[Verdict], cells: Sequence[Sequence[str]]) -> None:
	if not listed:
		return
	screen = console()
	screen.print()
	styles = {
		verdict.name: _FAILING if verdict.failing else _WELL if verdict.name in (FRESH, AGREES) else _UNPROVEN
		for verdict in listed
	}
	rows = [
		(sanitize(verdict.node_id), verdict.name, *own, verdict.note)
		for verdict, own in zip(listed, cells, strict=True)
	]
	print_long_table(screen, headings, rows, right=_COUNTS, styles=styles)


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
