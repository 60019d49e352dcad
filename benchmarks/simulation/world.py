"""What nodes live in: triggers as they tick on real nodes, and what a scenario does to a fleet."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from prego_metrics.agent.config.settings import SETTING_BY_NAME
from prego_metrics.agent.setup.systemd_units import Units

_UNITS = Units("/bench", "/bench/sites", "frappe", "frappe", "/bench/env/bin/prego-metrics").render()


def _in_unit(setting: str) -> float:
	"""Return a number that the rendered units give, such as the timer's random delay."""
	found = re.search(rf"^(?:Environment=)?{setting}=([0-9.]+)s?$", "\n".join(_UNITS.values()), re.MULTILINE)
	assert found, setting
	return float(found[1])


@dataclass(frozen=True)
class Trigger:
	"""What starts `push --if-due`: every `every` seconds, late by up to `late`, now and then much later.

	spread: the node's own share of this many seconds is waited before the push. delay: a delay from 0 to this,
	fixed for the machine, before each tick. One that is not aligned to the clock counts from its start.
	"""

	name: str
	every: float = 60.0
	late: float = 1.0
	spread: float = 0.0
	delay: float = 0.0
	aligned: bool = True
	slow_share: float = 0.0
	slow_seconds: float = 0.0

	@property
	def latest(self) -> float:
		return self.late + 4 * self.slow_seconds

	def lateness(self) -> float:
		late = self.late * random.random()
		if self.slow_share and random.random() < self.slow_share:
			late += min(random.expovariate(1 / self.slow_seconds), 4 * self.slow_seconds)
		return late


TIMER = Trigger("timer", delay=_in_unit("RandomizedDelaySec"), spread=_in_unit("PREGO_METRICS_SPREAD"))
CRON = Trigger("cron", spread=SETTING_BY_NAME["spread"].default)
# Frappe's worker has other jobs too.
FRAPPE_60 = Trigger("frappe", late=2.0, slow_share=0.05, slow_seconds=5.0)
FRAPPE_240 = replace(FRAPPE_60, every=240.0)
# Before Frappe 16 the scheduler sleeps a minute after each round, from its start on.
FRAPPE_15 = replace(FRAPPE_60, every=60.2, aligned=False)


@dataclass(frozen=True)
class Scenario:
	"""What happens to a fleet. Windows are (begin, end) in seconds.

	triggers: node n has the set of them at n modulo their number. clocks: standard deviation of the nodes' clocks;
	stepping: the share of nodes whose clock is set by up to five minutes, at any time. change_seconds: how long a
	tenant count stays the same, on average; 0: for ever. service_seconds and queue are the database's: how long it
	takes for one push, and how many may wait.
	"""

	name: str
	what: str
	interval: float = 60.0
	triggers: tuple[tuple[Trigger, ...], ...] = ((TIMER,),)
	outage: tuple[float, float] | None = None
	busy: tuple[float, float] | None = None
	retry_after: float = 600.0
	restart: tuple[float, float] | None = None
	clocks: float = 1.0
	stepping: float = 0.0
	change_seconds: float = 0.0
	service_seconds: float = 0.0
	queue: int = 1000
	loss: float = 0.0
	even: bool = False
	hours: float = 6.0

	@property
	def disturbance(self) -> tuple[float, float] | None:
		return self.outage or self.busy or self.restart
