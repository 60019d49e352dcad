"""A fleet of nodes and their control plane, event by event, under the product's own rules.

What decides is imported: when a push is due, how it is spread, how often and after which pauses it is tried again,
what counts as fresh, and what raises an alert. Modelled are only the things around it: triggers that tick late,
clocks, a network that loses requests, and a database with one thread.

Time is skipped to the next request: a node that waits costs nothing. Times are seconds since the start of the
simulation, as nobody's clock shows them; the product's rules see the node's own clock.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.simulation.measures import Measures
from benchmarks.simulation.world import Scenario, Trigger
from prego_metrics.agent.config.settings import SETTING_BY_NAME
from prego_metrics.agent.http.retry import Attempt, pause_seconds
from prego_metrics.agent.push.delivery import scheduled_attempts
from prego_metrics.agent.push.due import Wait
from prego_metrics.agent.setup.systemd_units import SETTLE_SECONDS
from prego_metrics.agent.state import schedule
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.agent.state.outcomes import DELIVERED, FAILED

# What a right clock shows when a simulation starts: midnight.
EPOCH = 86400 * 23_148.0
TIMEOUT_SECONDS = SETTING_BY_NAME["timeout"].default
# A refused connection or an immediate answer.
QUICK_SECONDS = 0.05
# Starting Python, counting and sampling, before the request goes out.
WORK_SECONDS = (0.3, 0.8)
BOOT_SECONDS = (5.0, 35.0)


class Run(NamedTuple):
	"""A run of a trigger that pushes: when the push begins, when the run started, and whether it is a regular push."""

	began: float
	ticked: float
	regular: bool = True


class Node:
	"""One node. at: when its last push began. row_at: when its row was written. changed_at: since when that is wrong."""

	__slots__ = (
		"at",
		"booted_at",
		"changed_at",
		"clock",
		"delivered_at",
		"failures",
		"id",
		"last_attempt_at",
		"last_regular_at",
		"not_before",
		"off_at",
		"on_at",
		"phases",
		"row_at",
		"runs",
		"state",
		"step",
		"step_at",
		"triggers",
	)

	def __init__(self, name: str, triggers: tuple[Trigger, ...], clock: float, even: bool) -> None:
		self.id = name
		self.triggers = triggers
		self.phases = [random.random() * (t.every if even or not t.aligned else t.delay) for t in triggers]
		self.clock = clock
		self.changed_at = self.step_at = self.off_at = self.on_at = math.inf
		self.step = 0.0
		self.runs: list[Run] = []
		self.at = self.row_at = 0.0
		self.last_attempt_at = 0.0
		self.last_regular_at: float | None = None
		self.booted_at = self.delivered_at = 0.0
		self.failures = 0
		self.not_before: float | None = None
		self.state: State | None = None

	def settle(self, interval: float, at: float) -> None:
		"""Let it have pushed, at one of the ticks of the interval before `at`: nodes were installed at any time."""
		trigger, phase = self.triggers[0], self.phases[0]
		nominal = phase + trigger.every * math.ceil((self.clock + at - phase) / trigger.every)
		nominal -= trigger.every * random.randint(1, math.ceil(interval / trigger.every))
		self.last_attempt_at = nominal + schedule.spread_share_seconds(self.id, min(trigger.spread, interval))
		self.delivered_at = self.last_attempt_at
		self.at = self.row_at = self.last_attempt_at - self.clock


class ControlPlane:
	"""Answers pushes, with one thread for its database."""

	def __init__(self, scenario: Scenario) -> None:
		self._scenario = scenario
		self._free_at = -math.inf

	def answer(self, at: float) -> tuple[bool, float, float | None, float | None]:
		"""Return whether it was delivered, after how long the node knows, Retry-After, and when the row is written."""
		scenario = self._scenario
		if _within(scenario.outage, at):
			return False, QUICK_SECONDS, None, None
		if _within(scenario.busy, at):
			return False, QUICK_SECONDS, scenario.retry_after, None
		if scenario.loss and random.random() < scenario.loss:
			return False, TIMEOUT_SECONDS, None, None
		service = scenario.service_seconds
		waiting = max(0.0, self._free_at - at)
		if waiting > scenario.queue * service:
			return False, QUICK_SECONDS, None, None
		took = waiting + service
		self._free_at = at + took
		if took > TIMEOUT_SECONDS:
			return False, TIMEOUT_SECONDS, None, at + took
		return True, took + QUICK_SECONDS, None, at + took


class Fleet:
	"""`count` nodes that live through a scenario."""

	def __init__(self, scenario: Scenario, count: int, seconds: float) -> None:
		self.scenario = scenario
		self.seconds = seconds
		self.measures = Measures(seconds, schedule.fresh_seconds(scenario.interval), scenario.disturbance)
		self._control_plane = ControlPlane(scenario)
		# What the nodes do until they have settled is not measured.
		self._begins_at = -60 - 3 * scenario.interval
		self._deadline = schedule.deadline_seconds(scenario.interval)
		self._events: list[tuple[float, int, int]] = []
		self.nodes = [self._node(number) for number in range(count)]

	def _node(self, number: int) -> Node:
		scenario = self.scenario
		triggers = scenario.triggers[number % len(scenario.triggers)]
		node = Node(f"node-{number}", triggers, EPOCH + random.gauss(0, scenario.clocks), scenario.even)
		node.settle(scenario.interval, self._begins_at)
		if random.random() < scenario.stepping:
			node.step_at, node.step = random.random() * self.seconds, random.uniform(-300, 300)
		if scenario.restart:
			node.off_at, node.on_at = scenario.restart[0], scenario.restart[1] + random.uniform(*BOOT_SECONDS)
		self._change(node, self._begins_at)
		return node

	def run(self) -> Measures:
		"""Let the time pass."""
		for number, node in enumerate(self.nodes):
			self._plan(number, node, self._begins_at)
		events = self._events
		while events:
			at, number, attempt = heapq.heappop(events)
			if at >= self.seconds:
				break
			node = self.nodes[number]
			if attempt > 1 or self._begin(number, node, at):
				self._attempt(number, node, at, attempt)
		for node in self.nodes:
			self.measures.row(node.row_at, self.seconds)
		return self.measures

	def _begin(self, number: int, node: Node, at: float) -> bool:
		"""Judge again, as under the lock, and stamp the attempt; what is not due any more is planned anew."""
		began = node.runs[0].began
		wall = node.clock + began
		is_due = self._seconds_until_due(node, wall) <= 0 or self._is_due_for_change(node, wall)
		if len(node.runs) > 1 and not is_due:
			self._plan(number, node, at)
			return False
		if at >= 0:
			self.measures.gaps.add(began - node.at)
		node.at = began
		# As State.attempted does.
		last_regular_at = node.last_attempt_at if node.last_regular_at is None else node.last_regular_at
		node.last_attempt_at, node.last_regular_at = wall, None if node.runs[0].regular else last_regular_at
		return True

	def _attempt(self, number: int, node: Node, at: float, attempt: int) -> None:
		delivered, took, asked, row_at = self._control_plane.answer(at)
		if at >= 0:
			self.measures.request(at)
		if row_at is not None:
			if row_at >= 0:
				self.measures.row(node.row_at, row_at)
			node.row_at = row_at
			if node.changed_at <= node.at:
				self.measures.changes.add(row_at - node.changed_at)
				self._change(node, node.at)
		if not delivered:
			pause = pause_seconds(Attempt(FAILED, True, asked), attempt, scheduled_attempts(node.failures))
			if pause is not None and pause < self._deadline - (at + took - node.at):
				heapq.heappush(self._events, (at + took + pause, number, attempt + 1))
				return
		self._record(node, delivered, schedule.not_before(node.clock + at + took, asked))
		self._plan(number, node, at + took)

	def _change(self, node: Node, after: float) -> None:
		"""Let the tenant count change next, some time after a moment at which it was counted."""
		if self.scenario.change_seconds:
			node.changed_at = after + random.expovariate(1 / self.scenario.change_seconds)

	def _record(self, node: Node, delivered: bool, not_before: float | None) -> None:
		"""Record how a push ended. The node's alerts follow from its state, which matters while pushes fail."""
		node.not_before = not_before
		if delivered:
			node.delivered_at = node.last_attempt_at
			if node.state is None:
				return
		state = node.state or State(last_delivered=_push(node.delivered_at, DELIVERED))
		state = state._replace(not_before=not_before).recorded(
			_push(node.last_attempt_at, DELIVERED if delivered else FAILED),
			SETTING_BY_NAME["alert_after"].default,
			fresh_seconds=self.measures.fresh_seconds,
		)
		if state.alerted and not (node.state and node.state.alerted):
			self.measures.alert(node.at)
		node.failures = state.failures_in_a_row
		node.state = None if delivered else state

	def _plan(self, number: int, node: Node, now: float) -> None:
		"""Find when the node pushes next, seen from `now`, and make that an event."""
		while True:
			runs = [self._next_run(node, index, now) for index in range(len(node.triggers))]
			runs += self._run_on_change(node, now)
			if len(runs) > 1:
				# Runs that wait for their share of the spread judge again when it is over.
				runs += [run for run in node.runs if run.ticked < now < run.began]
				runs.sort()
			began, ticked, _ = runs[0]
			if began >= node.off_at:
				now, node.off_at, node.runs = node.on_at, math.inf, []
				node.booted_at = node.clock + now
				node.phases = [
					phase if trigger.aligned else (node.clock + now) % trigger.every
					for trigger, phase in zip(node.triggers, node.phases, strict=True)
				]
			elif ticked >= node.step_at:
				now, node.step_at = node.step_at, math.inf
				node.clock += node.step
			else:
				break
		node.runs = runs
		heapq.heappush(self._events, (began + random.uniform(*WORK_SECONDS), number, 1))

	def _next_run(self, node: Node, index: int, now: float) -> Run:
		"""Return when the next run of a trigger that finds a push due begins it, and when that run started."""
		trigger, phase = node.triggers[index], node.phases[index]
		wall = node.clock + now
		early = trigger.latest + trigger.spread
		until_due = self._seconds_until_due(node, wall)
		if self._obeys_changes(node):
			changed = max(0.0, node.clock + node.changed_at - wall)
			until_due = min(until_due, max(changed, self._seconds_until_due(node, wall, changed=True)))
		earliest = max(wall, wall + until_due - early)
		nominal = phase + trigger.every * math.ceil((earliest - phase) / trigger.every)
		while True:
			ticked = nominal + trigger.lateness()
			wait = self._wait(node, trigger, ticked)
			if wait is not None:
				return Run(ticked + wait.seconds - node.clock, ticked - node.clock, wait.regular)
			nominal += trigger.every

	def _run_on_change(self, node: Node, now: float) -> list[Run]:
		"""Return when the path unit's run begins a push, and when it starts; nothing where no unit watches."""
		ticked = node.changed_at + SETTLE_SECONDS
		watched = any(trigger.name == "timer" for trigger in node.triggers)
		if not watched or not now <= ticked < math.inf or not self._obeys_changes(node):
			return []
		wait = self._wait_for_change(node, node.clock + ticked, schedule.CHANGE_SECONDS)
		return [] if wait is None else [Run(ticked + wait, ticked, regular=False)]

	# The product's rules, as agent/push/due.py puts them together.

	def _pace(self, node: Node) -> schedule.Pace:
		return schedule.Pace(node.last_attempt_at, node.failures, node.not_before, node.last_regular_at)

	def _seconds_until_due(self, node: Node, wall: float, *, changed: bool = False) -> float:
		interval = self.scenario.interval
		return schedule.seconds_until_due(wall, self._pace(node), interval, node.id, changed=changed)

	def _obeys_changes(self, node: Node) -> bool:
		return node.changed_at < math.inf and self._pace(node).obeys_changes

	def _is_due_for_change(self, node: Node, wall: float) -> bool:
		return self._obeys_changes(node) and self._wait_for_change(node, wall, 0.0) is not None

	def _wait_for_change(self, node: Node, wall: float, longest: float) -> float | None:
		"""Return how long a run waits for what changed before it began; None if nothing did, or it does not wait."""
		if node.clock + node.changed_at > wall:
			return None
		seconds = self._seconds_until_due(node, wall, changed=True)
		return None if seconds > longest else max(0.0, seconds)

	def _wait(self, node: Node, trigger: Trigger, wall: float) -> Wait | None:
		"""Return for how long a run of `trigger` at this moment waits before it pushes, None if nothing is due."""
		leads = trigger.name == "frappe" and any(tick.leads(wall) for tick in self._other_ticks(node, wall))
		wait = schedule.wait_before_push(
			wall,
			self._pace(node),
			self.scenario.interval,
			node.id,
			spread_seconds=trigger.spread,
			other_trigger_leads=leads,
		)
		if wait is not None:
			return Wait(wait, regular=True)
		if not self._obeys_changes(node):
			return None
		changed = self._wait_for_change(
			node, wall, 0.0 if trigger.name == "frappe" else schedule.CHANGE_SECONDS
		)
		if changed is None:
			return None
		share = schedule.spread_share_seconds(node.id, min(trigger.spread, self.scenario.interval))
		return Wait(max(share, changed), regular=False)

	def _other_ticks(self, node: Node, wall: float) -> Iterator[Tick]:
		"""Yield the last sign of life of each trigger that is not Frappe's, on time and without its push."""
		outcome = FAILED if node.failures else DELIVERED
		for trigger, phase in zip(node.triggers, node.phases, strict=True):
			at = wall - (wall - phase - trigger.late) % trigger.every
			if trigger.name != "frappe" and at >= node.booted_at:
				yield Tick(trigger.name, at, self.scenario.interval, node.id, outcome)


def _within(window: tuple[float, float] | None, at: float) -> bool:
	return window is not None and window[0] <= at < window[1]


def _push(at: float, outcome: str) -> Push:
	return Push("0" * 16, at, "timer", outcome, None, None, 1, 0, None)


def simulate(scenario: Scenario, nodes: int, hours: float, seed: int) -> Measures:
	"""Run one scenario; the same seed gives the same result."""
	random.seed(seed)
	return Fleet(scenario, nodes, 3600 * hours).run()
