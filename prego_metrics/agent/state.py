"""What happened last, and how one push changes it: the record for the next push, `status` and the Desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prego_metrics.agent.host import CpuReading
from prego_metrics.agent.result import DELIVERED, FAILED, NOT_SENT, REFUSED

VERSION = 1
TRANSITIONS_LENGTH = 20
DRIVERS = ("frappe", "timer", "cron", "manual")
OUTCOMES = (DELIVERED, REFUSED, FAILED, NOT_SENT)


@dataclass(frozen=True)
class Push:
	"""One push that was tried, as it ended. `at` is in seconds since the epoch; who asked for it, if known."""

	id: str
	at: float
	driver: str
	outcome: str
	payload: Mapping[str, Any] | None
	status_code: int | None
	attempts: int
	duration_ms: int
	error: str | None
	who: str | None = None


@dataclass(frozen=True)
class Transition:
	"""From delivering to failing or back; told once by each channel that claims it."""

	id: str
	at: float
	kind: str
	failures: int
	error: str | None
	claimed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tick:
	"""A driver's last sign of life, with the settings that it saw."""

	driver: str
	at: float
	push_interval: float
	node_id: str
	outcome: str


@dataclass(frozen=True)
class State:
	"""Everything that one push leaves to the next."""

	last_attempt_at: float | None = None
	last_snapshot_at: float | None = None
	failures_in_a_row: int = 0
	failing_since: float | None = None
	alerted: bool = False
	cpu: CpuReading | None = None
	last_delivered: Push | None = None
	totals: Mapping[str, int] = field(default_factory=dict)
	last: Push | None = None
	transitions: tuple[Transition, ...] = ()

	@property
	def unfinished(self) -> bool:
		"""Whether the last attempt left no result: its process was killed, or is still at it."""
		if self.last_attempt_at is None:
			return False
		return self.last is None or self.last.at < self.last_attempt_at

	@property
	def last_failed(self) -> bool:
		"""Whether the next push should come sooner than a long interval says."""
		return self.unfinished or (self.last is not None and self.last.outcome != DELIVERED)

	def recorded(self, push: Push, alert_after: int) -> State:
		"""Return the state after `push` ended, with the transition that it may have caused."""
		delivered = push.outcome == DELIVERED
		failures = 0 if delivered else self.failures_in_a_row + 1
		alerted = failures >= alert_after or (self.alerted and not delivered)
		transitions = self.transitions
		if alerted != self.alerted:
			kind = "failing" if alerted else "recovered"
			count = failures if alerted else self.failures_in_a_row
			transitions += (Transition(push.id, push.at, kind, count, push.error),)
		return replace(
			self,
			failures_in_a_row=failures,
			failing_since=None if delivered else self.failing_since or push.at,
			alerted=alerted,
			last_delivered=push if delivered else self.last_delivered,
			totals={**self.totals, push.outcome: self.totals.get(push.outcome, 0) + 1},
			last=push,
			transitions=transitions[-TRANSITIONS_LENGTH:],
		)

	def claimed(self, channel: str, now: float) -> tuple[State, list[Transition]]:
		"""Return the state with every transition claimed by `channel`, and those that it had not told yet."""
		unclaimed = [transition for transition in self.transitions if channel not in transition.claimed]
		claimed = tuple(
			transition
			if channel in transition.claimed
			else replace(transition, claimed={**transition.claimed, channel: now})
			for transition in self.transitions
		)
		return replace(self, transitions=claimed), unclaimed
