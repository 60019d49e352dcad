"""Simulate a fleet under the product's own schedule, retry and spread code: `python benchmarks/fleet.py --help`.

One line for each scenario, with the worst that happened in it; docs/scaling-simulation.md says what the columns are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks.simulation import document  # noqa: E402
from benchmarks.simulation.figures import COLUMNS, Figures, figures_of  # noqa: E402
from benchmarks.simulation.model import simulate  # noqa: E402
from benchmarks.simulation.scenarios import SCENARIOS  # noqa: E402
from benchmarks.simulation.world import Scenario  # noqa: E402

_BAR = 30


def main() -> None:
	options = parsed(sys.argv[1:])
	chosen = [s for s in SCENARIOS if not options.scenario or s.name in options.scenario]
	results = []
	if not options.json:
		print(line(list(COLUMNS)))
	with ProcessPoolExecutor(min(len(chosen), os.cpu_count() or 1)) as pool:
		runs = [pool.submit(simulated, scenario, options) for scenario in chosen]
		for number, run in enumerate(runs):
			draw_bar(number, len(runs))
			results.append(run.result())
			clear_bar()
			if not options.json:
				print(line(results[-1].cells()), flush=True)
	if options.json:
		print(json.dumps([figures.as_dict() for figures in results]))
	if options.write:
		document.write(results, options.nodes, options.seed)


def simulated(scenario: Scenario, options: argparse.Namespace) -> Figures:
	"""Return the figures of a scenario; runs in a process of the pool."""
	hours = options.hours or scenario.hours
	measures = simulate(scenario, options.nodes, hours, options.seed)
	return figures_of(scenario, options.nodes, hours, measures)


def parsed(arguments: list[str]) -> argparse.Namespace:
	parser = argparse.ArgumentParser(
		description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
	)
	names = [scenario.name for scenario in SCENARIOS]
	parser.add_argument("--nodes", type=int, default=10_000, metavar="N", help="1 to 10,000; default: 10,000")
	parser.add_argument("--hours", type=float, metavar="H", help="default: 24 or 6, by scenario")
	parser.add_argument(
		"--scenario",
		action="append",
		choices=names,
		metavar="NAME",
		help=f"may be repeated: {', '.join(names)}",
	)
	parser.add_argument("--seed", type=int, default=1, metavar="N")
	parser.add_argument("--json", action="store_true", help="print JSON, with the requests of each minute")
	parser.add_argument("--write", action="store_true", help=f"write {document.DOCUMENT.name} and its plot")
	return parser.parse_args(arguments)


def line(cells: list[str]) -> str:
	return "  ".join(cell.ljust(len(name)) for cell, name in zip(cells, COLUMNS, strict=True)).rstrip()


def draw_bar(done: int, scenarios: int) -> None:
	"""Draw how many scenarios are done, on a terminal alone."""
	if sys.stderr.isatty():
		full = "#" * round(_BAR * done / scenarios)
		print(f"[{full:{_BAR}}] {done} of {scenarios}", end="", file=sys.stderr, flush=True)


def clear_bar() -> None:
	if sys.stderr.isatty():
		print(end="\r\x1b[K", file=sys.stderr, flush=True)


if __name__ == "__main__":
	main()
