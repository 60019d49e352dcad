"""The table of thousands of rows: columns that align whatever the cells hold, in a report and on a terminal."""

from __future__ import annotations

import cProfile
import io
import pstats

from rich.cells import cell_len
from rich.console import Console

from prego_metrics.cli.ui.long_table import print_long_table

HEADINGS = ("Node", "Tenants", "Note")


def printed(rows: list[tuple[str, str, str]], *, width: int = 60, terminal: bool = False) -> list[str]:
	screen = Console(
		file=io.StringIO(),
		width=width,
		force_terminal=terminal,
		color_system="standard" if terminal else None,
	)
	print_long_table(screen, HEADINGS, rows, right=("Tenants",), styles={"3": "bold red"})
	assert isinstance(screen.file, io.StringIO)
	return screen.file.getvalue().splitlines()


def test_columns_align_and_nothing_trails() -> None:
	assert printed([("sg-1", "3", ""), ("노드-1", "12345678", "known")]) == [
		"Node      Tenants   Note",
		"─" * 25,
		"sg-1            3",
		"노드-1   12345678   known",
	]


def test_long_cells_of_the_first_and_the_last_column_go_on_in_the_next_line() -> None:
	lines = printed([("n" * 70, "3", "placement ignores its load"), ("노" * 30, "4", "well")])
	assert all(cell_len(line) <= 60 for line in lines)
	assert lines[2:5] == [
		f"{'n' * 27}         3   placement ignores",
		f"{'n' * 27}             its load",
		"n" * 16,
	]
	assert [line.count("노") for line in lines[5:]] == [13, 13, 4]
	assert lines[5].endswith("  4   well")


def test_a_terminal_that_is_too_narrow_gets_longer_lines() -> None:
	assert printed([("sg-1", "3", "one word")], width=10)[2] == "sg-1         3   one word"


def test_a_terminal_gets_colours_in_the_same_columns() -> None:
	plain, coloured = (
		printed([("sg-1", "3", "x"), ("sg-2", "44", "y")], terminal=on) for on in (False, True)
	)
	assert coloured[2] == plain[2].replace("3", "\x1b[1;31m3\x1b[0m")
	assert coloured[3] == plain[3]


def test_a_row_costs_a_few_calls() -> None:
	"""Counted, since no other load changes that: rich's table needs 1,200 for each row."""
	profile = cProfile.Profile()
	with profile:
		printed([(f"sg-{number}", "3", "stale") for number in range(1000)])
	assert pstats.Stats(profile).total_calls < 1000 * 50  # type: ignore[attr-defined]


def test_rows_have_their_styles_and_a_footer_stands_below_an_empty_line() -> None:
	screen = Console(file=io.StringIO(), width=60, force_terminal=True, color_system="standard")
	rows = [("a", "1"), ("b", "22")]
	print_long_table(
		screen, ("Site", "Files"), rows, right=("Files",), row_styles=("", "dim"), footer=("2 sites", "23")
	)
	assert isinstance(screen.file, io.StringIO)
	assert screen.file.getvalue().splitlines()[2:] == [
		"a             1",
		"\x1b[2mb            22\x1b[0m",
		"",
		"2 sites      23",
	]


def test_what_knows_no_lines_gets_hyphens() -> None:
	written = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
	print_long_table(Console(file=written, width=60), ("Site", "Files"), [("a", "1")])
	written.seek(0)
	assert written.read().splitlines()[1] == "-" * 12
