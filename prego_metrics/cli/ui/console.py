"""The terminal: a console and tables, with `rich`."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def console() -> Console:
	"""Return a console that obeys nothing in the strings that it prints."""
	return Console(highlight=False, markup=False, emoji=False)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
	"""Return an empty table whose long cells go on in the next line; the columns `right` are aligned there."""
	empty = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
	for heading in headings:
		empty.add_column(heading, overflow="fold", justify="right" if heading in right else "left")
	return empty
