"""Write docs/scaling-simulation.md and its plot from the figures of a run, beside those of before the pace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.simulation.figures import COLUMNS, Figures
from benchmarks.simulation.plot import Curve, Panel, plot

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/scaling-simulation.md"
PLOT = ROOT / "docs/images/fleet-simulation.svg"
# What `fleet.py --json` printed with the rules as they were before nodes kept a pace.
BEFORE = ROOT / "benchmarks/simulation/before.json"
PLOTTED = ("outage-60", "outage-300", "restart-300", "busy-60")

_HEAD = """# Scaling simulation

What {nodes:,} nodes ask of one control plane, and when. `make fleet-simulation` writes this page: a simulation,
event by event, that imports the product's own schedule, retry and spread code (`benchmarks/fleet.py`; seed {seed}).
Modelled are what lies around it: triggers that run late, clocks 1 s apart, half a second of work before each request,
nodes that take 5 to 35 s to boot, and where it is named a database with one thread and a queue of 1,000 pushes.
Nothing here was measured on real nodes.

An aim of 1.5 times the mean second cannot be met at 300 s: **even-300** draws the phases evenly, as no trigger can do
better, and 33 requests a second vary by chance alone.

At 300 s an outage adds three requests: the other two attempts of the first push that failed, and the retry after a
minute. Without the two it would be 1.08 instead of 1.25 times, but where 5 % of the requests are lost (**loss-300**),
123 rows would go stale and 85 nodes alert.

Where every node ticks with the clock (**d1-frappe-60**), the queue of a database with one thread overflows each minute:
let the timer or cron lead there.

- **gaps**: seconds between the beginnings of two pushes of one node, attempts in an outage included.
- **second, minute**: the busiest ones, as multiples of the mean before the disturbance. The disturbance and the two
  intervals after it are left out.
- **during**: requests during the disturbance, as a multiple of those before. **after**: busiest second and minute of
  the two intervals after it.
- **apart after**: minutes from the end of the disturbance until no second and no minute is more than 1.25 times the
  busiest one before it, for good.
- **oldest row, own**: the age that a row reached, and that without what the disturbance itself explains. **stale**: how
  often this second age was more than 300 s, or two intervals and 60 s.
- **alerts**: nodes that would alert that their pushes fail.
- **change**: seconds from a change of a tenant count until the control plane's row has it.
"""


def write(results: Sequence[Figures], nodes: int, seed: int) -> None:
	"""Write the page and the plot."""
	before = [Figures(**row) for row in json.loads(BEFORE.read_text())] if BEFORE.exists() else []
	DOCUMENT.write_text(document(results, before, nodes, seed))
	PLOT.write_text(drawing(results, before))


def document(results: Sequence[Figures], before: Sequence[Figures], nodes: int, seed: int) -> str:
	"""Return the page."""
	parts = [_HEAD.format(nodes=nodes, seed=seed)]
	parts.append(f"![Requests a minute around a disturbance]({PLOT.relative_to(DOCUMENT.parent)})\n")
	parts.append("## Aims\n\n" + _table(("aim", "before", "now", "met"), _aims(results, before)))
	parts.append("## Now\n\n" + _results(results))
	if before:
		parts.append("## Before nodes kept a pace\n\n" + _results(before))
	return "\n".join(parts)


def drawing(results: Sequence[Figures], before: Sequence[Figures]) -> str:
	"""Return the plot: requests a minute of some scenarios, before and now."""
	panels = []
	for name in PLOTTED:
		curves = [
			Curve(label, [count / (60 * row.mean) for count in row.minutes])
			for label, rows in (("before", before), ("now", results))
			for row in rows
			if row.scenario == name
		]
		row = next((row for row in results if row.scenario == name), None)
		if row and curves:
			panels.append(Panel(f"{name}: {row.what}", curves))
	return plot(panels, "Requests a minute, as multiples of the mean", "minutes")


def _results(results: Sequence[Figures]) -> str:
	rows = [[f"**{row.scenario}** {row.what}, {row.hours:g} h", *row.cells()[1:]] for row in results]
	return _table([name.strip() for name in COLUMNS], rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
	lines = [names, ["---"] * len(names), *rows]
	return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _aims(results: Sequence[Figures], before: Sequence[Figures]) -> list[list[str]]:
	now_by, before_by = ({row.scenario: row for row in rows} for rows in (results, before))
	aims = [
		_Aim(f"{name}: busiest second ≤ 1.5 × mean", name, "second", 1.5)
		for name in ("timer-60", "timer-300")
	]
	for name in ("outage-60", "outage-300", "restart-60", "restart-300"):
		intervals = 2 * (300 if name.endswith("300") else 60) / 60
		aims.append(
			_Aim(f"{name}: as before within two intervals, in minutes", name, "apart_after", intervals)
		)
	aims += [
		_Aim(f"{name}: no stale row", name, "stale", 0) for name in ("d1-60", "d1-outage-60", "d1-restart-60")
	]
	aims += [
		_Aim(f"{name}: requests during the outage ≤ 1.1 × before", name, "during", 1.1)
		for name in ("outage-60", "outage-300")
	]
	return [aim.cells(before_by, now_by) for aim in aims if aim.scenario in now_by]


class _Aim:
	def __init__(self, words: str, scenario: str, figure: str, most: float) -> None:
		self.words, self.scenario, self.figure, self.most = words, scenario, figure, most

	def cells(self, before: Mapping[str, Figures], now: Mapping[str, Figures]) -> list[str]:
		seen = [
			getattr(rows[self.scenario], self.figure) if self.scenario in rows else None
			for rows in (before, now)
		]
		met = seen[1] is not None and 0 <= seen[1] <= self.most
		return [
			self.words,
			*("" if value is None else "never" if value < 0 else f"{value:g}" for value in seen),
			"yes" if met else "**no**",
		]
