"""What happened last, and how one push changes it: the record for the next push, `status` and the Desk."""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.alert_codes import (
	DISK_FREED,
	DISK_FULL,
	FAILING,
	RECOVERED,
	STALE,
	TENANTS_FELL,
)
from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.collectors.cpu import CpuReading
from prego_metrics.agent.light_typing import Any, NamedTuple
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.outcomes import BUSY, DELIVERED, FAILED, NOT_DUE, NOT_SENT, REFUSED
from prego_metrics.agent.state.schedule import CLOCK_STEP_SECONDS, Pace, fresh_seconds

VERSION = 2
READ_VERSIONS = (1, 2)
EVENTS_LENGTH = 20
# A disk that hovers about the threshold is one alert: it counts as freed only this far below it.
DISK_HYSTERESIS_PCT = 5.0
MAX_WHO = 140
# A trigger is what has run by itself for so long. One that somebody started by hand, more than once too, is none.
REPEATED_SECONDS = 45.0
# One that leads leaves its sign of life each minute; cron's run of that minute may end at the minute's end.
LEADING_SECONDS = 150.0
TRIGGERS = ("frappe", "timer", "cron", "manual")
OUTCOMES = (DELIVERED, REFUSED, FAILED, NOT_SENT)


class Push(NamedTuple):
	"""One push that was tried, as it ended. `at` is in seconds since the epoch; who asked for it, if known."""

	id: str
	at: float
	trigger: str
	outcome: str
	payload: Mapping[str, Any] | None
	status_code: int | None
	attempts: int
	duration_ms: int
	error: Message | None
	who: str | None = None

	@property
	def node_id(self) -> str | None:
		"""Whose numbers it carried; None if there were none."""
		return self.payload["node_id"] if self.payload else None


class Tick(NamedTuple):
	"""A trigger's last sign of life, with the settings that it saw; since is the first run of the row that it ends.

	key_from is the variable or the file that it takes the key from, empty for none; an older version leaves None.
	"""

	trigger: str
	at: float
	push_interval: float
	node_id: str
	outcome: str
	since: float | None = None
	key_from: str | None = None

	@property
	def is_repeated(self) -> bool:
		"""Whether it ran again and again, and not once or twice by hand; what an older version left counts as such."""
		return self.since is None or self.at - self.since >= REPEATED_SECONDS

	def leads(self, now: float) -> bool:
		"""Whether Frappe's scheduler can leave the pushes to this trigger: it runs each minute, and they go out."""
		able = self.outcome in (DELIVERED, NOT_DUE, BUSY)
		alive = 0 <= now - self.at <= LEADING_SECONDS
		return self.trigger != "frappe" and able and alive and self.is_repeated

	def after(self, before: Tick | None) -> Tick:
		"""Return the same as one of a row of runs, where the one before is not too long ago."""
		interval = max(self.push_interval, before.push_interval) if before else self.push_interval
		if before is None or not 0 <= self.at - before.at <= fresh_seconds(interval):
			return self._replace(since=self.at)
		return self._replace(since=before.at if before.since is None else before.since)


class Count(NamedTuple):
	"""A tenant count, and the stamp of what it was counted from (see collectors/stamp.py)."""

	stamp: str
	tenants: int


class State(NamedTuple):
	"""Everything that one push leaves to the next."""

	last_attempt_at: float | None = None
	# The last attempt before the pushes that were only for a changed tenant count; None without any since.
	last_regular_at: float | None = None
	last_snapshot_at: float | None = None
	failures_in_a_row: int = 0
	failing_since: float | None = None
	alerted: bool = False
	disk_alerted: bool = False
	cpu: CpuReading | None = None
	settings_file_seen: bool = False
	# Until when the control plane asked to wait with the next push.
	not_before: float | None = None
	# See collectors/lost_sites.py.
	site_marks: tuple[str, ...] = ()
	last_delivered: Push | None = None
	totals: Mapping[str, int] = {}
	last: Push | None = None
	events: tuple[AlertEvent, ...] = ()
	# Which URL, node_id and key the row was read back with; see push/read_back.py.
	row_mark: str | None = None
	# What another version wrote and this one does not know, as JSON: it is kept for when that one is back.
	unknown: str = ""
	unknown_events: tuple[str, ...] = ()

	@property
	def unfinished(self) -> bool:
		"""Whether the last attempt left no result: its process was killed, or is still at it."""
		if self.last_attempt_at is None:
			return False
		return self.last is None or self.last.at < self.last_attempt_at

	@property
	def pace(self) -> Pace:
		"""What the rule of when the next push is due looks at."""
		failed = self.unfinished or (self.last is not None and self.last.outcome != DELIVERED)
		failures = self.failures_in_a_row or int(failed)
		return Pace(self.last_attempt_at, failures, self.not_before, self.last_regular_at)

	def attempted(self, at: float, regular: bool) -> State:
		"""Return the state in which a push begins; `regular` is one that is not only for a changed count."""
		last_regular_at = self.last_attempt_at if self.last_regular_at is None else self.last_regular_at
		return self._replace(last_attempt_at=at, last_regular_at=None if regular else last_regular_at)

	def recorded(
		self, push: Push, alert_after: int, disk_alert_pct: float = 0.0, fresh_seconds: float = 0.0
	) -> State:
		"""Return the state after `push` ended, with the alert events that it may have caused.

		`alert_after` is how many failures in a row raise an alert, `disk_alert_pct` how full a disk; 0: never. A
		node that only waits as the control plane asked it to raises none while its last delivered push is fresh.
		"""
		delivered = push.outcome == DELIVERED
		failures = 0 if delivered else self.failures_in_a_row + 1
		failing_since = self.failing_since or push.at
		obeying = self._is_obeying(push.at) and self._is_fresh(push.at, fresh_seconds)
		alerted = (failures >= alert_after and not obeying) or (self.alerted and not delivered)
		events = self.events
		if alerted and not self.alerted:
			events += (AlertEvent(push.id, push.at, FAILING, failures, push.error, failing_since),)
		if self.alerted and not alerted:
			last_delivered_at = self.last_delivered.at if self.last_delivered else None
			since = self.failing_since or last_delivered_at
			events += (AlertEvent(push.id, push.at, RECOVERED, self.failures_in_a_row, since=since),)
		disk_alerted = self._disk_alerted(push, disk_alert_pct)
		if disk_alerted != self.disk_alerted and disk_alert_pct:
			kind = DISK_FULL if disk_alerted else DISK_FREED
			events += (AlertEvent(push.id, push.at, kind, disk_pct=_disk_pct(push)),)
		if delivered:
			events += self._tenants_fell(push)
		return self._replace(
			failures_in_a_row=failures,
			failing_since=None if delivered else failing_since,
			alerted=alerted,
			disk_alerted=disk_alerted,
			last_delivered=push if delivered else self.last_delivered,
			totals={**self.totals, push.outcome: self.totals.get(push.outcome, 0) + 1},
			last=push,
			events=events[-EVENTS_LENGTH:],
		)

	def stale_event(self, node_id: str, now: float, fresh_seconds: float) -> AlertEvent | None:
		"""Return that pushes have stopped, or None: nothing was delivered, or even tried, for too long.

		Where pushes are tried and fail, FAILING is the alert, one for each outage. A node that was never
		delivered, or only as another node, has not begun yet. In the hardened mode the push alone
		knows its node: an empty node_id is any.
		"""
		delivered = self.last_delivered
		if self.alerted or delivered is None or (node_id and delivered.node_id != node_id):
			return None
		# One that lies in the future is none of this clock's: it went back, and nothing was tried since.
		tried = delivered if self._is_obeying(now) else self.last or delivered
		if -CLOCK_STEP_SECONDS <= now - tried.at <= fresh_seconds:
			return None
		return AlertEvent(delivered.id, delivered.at + fresh_seconds, STALE, since=delivered.at)

	def _is_obeying(self, now: float) -> bool:
		"""Tell whether the last push failed with a time until which the control plane asked to wait."""
		return self.not_before is not None and self.not_before > now

	def _is_fresh(self, now: float, fresh_seconds: float) -> bool:
		return self.last_delivered is not None and now - self.last_delivered.at <= fresh_seconds

	def _disk_alerted(self, push: Push, threshold: float) -> bool:
		pct = _disk_pct(push)
		if not threshold:
			return False
		if pct is None:
			return self.disk_alerted
		return pct >= threshold - (DISK_HYSTERESIS_PCT if self.disk_alerted else 0.0)

	def _tenants_fell(self, push: Push) -> tuple[AlertEvent, ...]:
		"""Tell whether the count fell to nothing, or by more than half, from one delivered push to the next."""
		before = self.last_delivered
		if before is None or not before.payload or not push.payload or before.node_id != push.node_id:
			return ()
		was, now = before.payload["tenant_count"], push.payload["tenant_count"]
		if not has_fallen(was, now):
			return ()
		return (AlertEvent(push.id, push.at, TENANTS_FELL, tenants_before=was, tenants=now),)


def has_fallen(was: int, now: int) -> bool:
	"""Tell whether a tenant count fell to nothing, or by more than half."""
	return now < was and (now == 0 or 2 * now < was)


def _disk_pct(push: Push) -> float | None:
	return push.payload.get("disk_pct") if push.payload else None
