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

What {nodes:,} nodes ask of one control plane, simulated. Use it to choose triggers and intervals for a large fleet; read
[Scaling](scaling.md) first.

`make fleet-simulation` writes this page (seed {seed}). It imports the product's own schedule, retry and spread code and models the
rest: late triggers, clocks 1 s apart, half a second of work per push, boots of 5 to 35 s and, where named, a database with one
thread and a queue of 1,000 pushes. Nothing here was measured on real nodes.

Two aims are missed:

- **timer-300, busiest second:** even perfectly even phases (**even-300**) reach 1.77; 33 requests a second vary that much by chance.
- **outage-300, requests:** the first failed push tries three times, and a retry follows after a minute. Without both it would be
  1.08, but at 5 % loss (**loss-300**) 123 rows would go stale and 85 nodes alert.

Let a timer or cron lead where all nodes tick with the clock: in **d1-frappe-60** the database's queue overflows every minute.

- **gaps**: seconds between two pushes of a node.
- **second, minute**: the busiest ones, as multiples of the mean, outside the disturbance and the two intervals after it.
- **during, after**: requests in the disturbance, and the busiest second and minute of the two intervals after it, as multiples of
  before.
- **apart after**: minutes until no second and no minute exceeds 1.25 times the busiest one before.
- **oldest row, own**: its greatest age in seconds, also without what the disturbance explains. **stale**: how often the second was
  more than 300 s, or two intervals and 60 s.
- **alerts**: nodes that alert about failing pushes.
- **change**: seconds until the control plane has a changed count.
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
