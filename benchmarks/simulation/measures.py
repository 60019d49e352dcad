"""What a simulation of a fleet measures: gaps, load by second and minute, and the age of the rows."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

MINUTE = 60
_STEPS_PER_SECOND = 10
# The load is back to what it was once no minute or second is above this times the busiest one before.
_AS_BEFORE = 1.25


@dataclass(frozen=True)
class Load:
	"""Requests over some time: mean and busiest second, mean and busiest minute."""

	mean: float
	second: int
	minute: int

	@property
	def second_ratio(self) -> float:
		return self.second / self.mean if self.mean else 0.0

	@property
	def minute_ratio(self) -> float:
		return self.minute / (MINUTE * self.mean) if self.mean else 0.0


class Spans:
	"""Lengths of time in seconds, counted in steps of a tenth."""

	def __init__(self, longest: float) -> None:
		self.smallest = math.inf
		self.longest = 0.0
		self._counts = array("L", [0]) * (_STEPS_PER_SECOND * math.ceil(longest) + 1)

	def add(self, seconds: float) -> None:
		if seconds < self.smallest:
			self.smallest = seconds
		if seconds > self.longest:
			self.longest = seconds
		self._counts[min(int(seconds * _STEPS_PER_SECOND), len(self._counts) - 1)] += 1

	def below(self, share: float) -> float:
		"""Return the length below which this share of them lies; 0 if there are none."""
		wanted, seen = share * sum(self._counts), 0
		for number, count in enumerate(self._counts):
			seen += count
			if seen >= wanted and seen:
				return number / _STEPS_PER_SECOND
		return 0.0


class Measures:
	"""Counters of one run. gaps: between the beginnings of two pushes of one node. changes: until a row is right."""

	def __init__(self, seconds: float, fresh_seconds: float, disturbance: tuple[float, float] | None) -> None:
		self.seconds = array("L", [0]) * math.ceil(seconds)
		self.fresh_seconds = fresh_seconds
		self.disturbance = disturbance
		self.gaps = Spans(seconds)
		self.changes = Spans(seconds)
		self.longest_age = 0.0
		self.longest_own_age = 0.0
		self.stale = 0
		self.alerts = 0

	def request(self, at: float) -> None:
		self.seconds[int(at)] += 1

	def row(self, before: float, at: float) -> None:
		"""Note that a row written at `before` was replaced at `at`, or is still there then.

		What the outage itself explains is no staleness of the node's own.
		"""
		age = at - before
		if age > self.longest_age:
			self.longest_age = age
		if self.disturbance:
			begin, end = self.disturbance
			age -= max(0.0, min(at, end) - max(before, begin))
		if age > self.longest_own_age:
			self.longest_own_age = age
		if age > self.fresh_seconds:
			self.stale += 1

	def alert(self, at: float) -> None:
		"""Note that a node would alert that its pushes fail."""
		self.alerts += 1

	def load(self, begin: float, end: float) -> Load:
		"""Return the load from `begin` to `end`; busiest are seconds and minutes of the simulation's clock."""
		first, last = max(0, int(begin)), min(len(self.seconds), math.ceil(end))
		some = self.seconds[first:last]
		if not some:
			return Load(0.0, 0, 0)
		minutes = [sum(some[i : i + MINUTE]) for i in range(0, len(some), MINUTE)]
		return Load(sum(some) / len(some), max(some), max(minutes))

	def minutes(self) -> list[int]:
		"""Return the requests of each minute."""
		return [sum(self.seconds[i : i + MINUTE]) for i in range(0, len(self.seconds), MINUTE)]

	def minutes_until_apart(self, usual: Load, interval: float) -> float | None:
		"""Return how many minutes after the disturbance the load is as `usual` for good; None if it never is.

		For good is for two intervals at least.
		"""
		assert self.disturbance
		end = math.ceil(self.disturbance[1])
		last_above = -1
		for number, begin in enumerate(range(end, len(self.seconds), MINUTE)):
			some = self.seconds[begin : begin + MINUTE]
			if max(some) > _AS_BEFORE * usual.second or sum(some) > _AS_BEFORE * usual.minute:
				last_above = number
		minutes = last_above + 1
		return None if end + MINUTE * minutes + 2 * interval > len(self.seconds) else minutes
