"""A table of thousands of rows: rich's takes half a millisecond for each of them, this one a few microseconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_GAP = "   "
# A terminal that is too narrow gets longer lines rather than a column of single letters.
_LEAST_WIDTH = 20


def print_long_table(
	screen: Console,
	headings: Sequence[str],
	rows: Sequence[Sequence[str]],
	*,
	right: Collection[str] = (),
	styles: Mapping[str, str] | None = None,
	row_styles: Sequence[str] = (),
	footer: Sequence[str] = (),
) -> None:
	"""Print sanitized cells below headings; those of the columns `right` are aligned there.

	Long cells of the first and the last column go on in the next line. `styles` are those of cells, by their strings,
	`row_styles` those of rows. The footer stands below an empty line.
	"""
	widths = _widths([headings, *rows, *([footer] if footer else [])], screen.width)
	to_the_right = [heading in right for heading in headings]
	styled = {cell: _styled(screen, cell, style) for cell, style in (styles or {}).items()}
	folded: dict[tuple[str, int], list[str]] = {}

	def padded(cell: str, width: int, is_right: bool) -> str:
		spaces = " " * (width - _cells(cell))
		cell = styled.get(cell, cell)
		return spaces + cell if is_right else cell + spaces

	def line(cells: Sequence[str]) -> str:
		return _GAP.join(padded(*cell) for cell in zip(cells, widths, to_the_right, strict=False)).rstrip()

	def fitting(row: Sequence[str]) -> Iterable[str]:
		if _cells(row[0]) <= widths[0] and _cells(row[-1]) <= widths[-1]:
			return [line(row)]
		for at in (0, -1):
			if (row[at], widths[at]) not in folded:
				folded[row[at], widths[at]] = _folded(screen, row[at], widths[at])
		columns = [[cell] for cell in row]
		columns[0], columns[-1] = folded[row[0], widths[0]], folded[row[-1], widths[-1]]
		return (line(cells) for cells in zip_longest(*columns, fillvalue=""))

	rule = "-" if screen.options.ascii_only else "─"
	written = [_styled(screen, line(headings), "bold"), rule * (sum(widths) + len(_GAP) * (len(widths) - 1))]
	around = {style: _styled(screen, "x", style).split("x") for style in {"", *row_styles}}
	for row, style in zip_longest(rows, row_styles, fillvalue=""):
		before, after = around[str(style)]
		written += (f"{before}{text}{after}" for text in fitting(row))
	if footer:
		written += ["", *fitting(footer)]
	screen.file.write("\n".join(written) + "\n")


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
	"""Return the columns' widths: what their cells need, if need be at the cost of the last and then the first."""
	needed = [max(_cells(cell) for cell in column) for column in zip(*rows, strict=True)]
	for at in (-1, 0):
		excess = sum(needed) + len(_GAP) * (len(needed) - 1) - width
		if excess > 0:
			needed[at] = max(min(needed[at], _LEAST_WIDTH), needed[at] - excess)
	return needed


def _cells(text: str) -> int:
	return len(text) if text.isascii() else cell_len(text)


def _folded(screen: Console, cell: str, width: int) -> list[str]:
	if cell.isascii() and " " not in cell:
		return [cell[at : at + width] for at in range(0, len(cell), width)]
	return [line.plain.rstrip() for line in Text(cell, overflow="fold").wrap(screen, width)] or [""]


def _styled(screen: Console, text: str, style: str) -> str:
	"""Return the text as the screen shows it in this style: with no escapes on what is no terminal."""
	with screen.capture() as captured:
		screen.print(Text(text, style=style), end="", soft_wrap=True)
	return captured.get()
