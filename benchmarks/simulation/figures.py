"""One scenario's result as a row of figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.simulation.measures import Measures
from benchmarks.simulation.world import Scenario

# The names of the columns, as wide as they are printed.
COLUMNS = (
	"scenario          ",
	"gaps: min  p50  p99  max   ",
	"mean/s ",
	"second × mean",
	"minute × mean",
	"during × before",
	"after: second, minute",
	"apart after  ",
	"oldest row, own  ",
	"stale   ",
	"alerts",
	"change: p50  p99  max",
)


@dataclass(frozen=True)
class Figures:
	"""What one scenario came to. Gaps and ages are in seconds; None where nothing was disturbed.

	second and minute: the busiest ones outside the disturbance and the two intervals after it, as multiples of the
	mean. during: requests during the disturbance, as a multiple of those before. after_second, after_minute: the
	busiest ones in the two intervals after it. apart_after: minutes until the load is as before, -1: never.
	change: how long a changed tenant count took to reach the row.
	own_age: the longest that a row was old, the disturbance not counted; stale: how often that was too old.
	"""

	scenario: str
	what: str
	nodes: int
	interval: float
	hours: float
	gap_min: float
	gap_p50: float
	gap_p99: float
	gap_max: float
	mean: float
	second: float
	minute: float
	during: float | None
	after_second: float | None
	after_minute: float | None
	apart_after: float | None
	longest_age: float
	own_age: float
	stale: int
	alerts: int
	change_p50: float
	change_p99: float
	change_max: float
	minutes: list[int]

	def as_dict(self) -> dict[str, Any]:
		return asdict(self)

	def cells(self) -> list[str]:
		"""Return the figures in the order of the columns."""
		return [
			self.scenario,
			f"{self.gap_min:.0f}  {self.gap_p50:.0f}  {self.gap_p99:.0f}  {self.gap_max:.0f}",
			f"{self.mean:.1f}",
			f"{self.second:.2f}",
			f"{self.minute:.2f}",
			_multiple(self.during),
			"" if self.after_second is None else f"{self.after_second:.2f}, {_multiple(self.after_minute)}",
			""
			if self.apart_after is None
			else "never"
			if self.apart_after < 0
			else f"{self.apart_after:.0f} min",
			f"{self.longest_age:.0f}, {self.own_age:.0f}",
			str(self.stale),
			str(self.alerts),
			f"{self.change_p50:.0f}  {self.change_p99:.0f}  {self.change_max:.0f}" if self.change_max else "",
		]


def figures_of(scenario: Scenario, nodes: int, hours: float, measures: Measures) -> Figures:
	"""Reduce what was measured to the figures of the table."""
	seconds, gaps, changes = 3600 * hours, measures.gaps, measures.changes
	undisturbed = [measures.load(0, seconds)]
	during = after = apart_after = None
	mean = undisturbed[0].mean
	if scenario.disturbance:
		begin, end = scenario.disturbance
		settled = end + 2 * scenario.interval
		before = measures.load(0, begin)
		mean = before.mean
		undisturbed = [before, measures.load(settled, seconds)]
		during = measures.load(begin, end).mean / mean
		after = measures.load(end, settled)
		minutes = measures.minutes_until_apart(before, scenario.interval)
		apart_after = -1.0 if minutes is None else minutes
	return Figures(
		scenario=scenario.name,
		what=scenario.what,
		nodes=nodes,
		interval=scenario.interval,
		hours=hours,
		gap_min=round(gaps.smallest, 1),
		gap_p50=gaps.below(0.5),
		gap_p99=gaps.below(0.99),
		gap_max=round(gaps.longest, 1),
		mean=round(mean, 2),
		second=round(max(load.second for load in undisturbed) / mean, 2),
		minute=round(max(load.minute for load in undisturbed) / mean / 60, 2),
		during=None if during is None else round(during, 2),
		after_second=None if after is None else round(after.second / mean, 2),
		after_minute=None if after is None else round(after.minute / mean / 60, 2),
		apart_after=apart_after,
		longest_age=round(measures.longest_age, 1),
		own_age=round(measures.longest_own_age, 1),
		stale=measures.stale,
		alerts=measures.alerts,
		change_p50=changes.below(0.5),
		change_p99=changes.below(0.99),
		change_max=round(changes.longest, 1),
		minutes=measures.minutes(),
	)


def _multiple(value: float | None) -> str:
	return "" if value is None else f"{value:.2f}"
