"""What is worth an alert: the events of the last day, and which of their conditions last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prego_metrics.agent.base.alert_codes import DISK_FULL, ENDED_BY, FAILING, LOCK_STUCK, STALE, TENANTS_FELL
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.lock_contention import stuck_push
from prego_metrics.agent.state.maintenance import Maintenance
from prego_metrics.agent.state.model import State, has_fallen
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder

# Nothing older is sent: a channel that was down for days, or is new, begins with today.
ALERT_WITHIN_SECONDS = 86400.0


def current_events(
	folder: StateFolder, state: State, config: Config, now: float, records: Sequence[Maintenance] = ()
) -> list[AlertEvent]:
	"""Return the events that are worth an alert at `now`, oldest first, sent already or not.

	That pushes have stopped, or that the lock is stuck, stands in no state: nobody can write it then. What a maintenance
	of `records` held is as old as that maintenance's end.
	"""
	stopped = _stopped_event(folder, state, config, now)
	events = [*state.events, stopped] if stopped else state.events
	return [event for event in events if abs(now - _worth_since(event, records)) <= ALERT_WITHIN_SECONDS]


def _worth_since(event: AlertEvent, records: Sequence[Maintenance]) -> float:
	return max([event.at, *(one.until for one in records if one.holds(event.at))])


def _stopped_event(folder: StateFolder, state: State, config: Config, now: float) -> AlertEvent | None:
	push = None if state.alerted else stuck_push(folder)
	if push:
		return AlertEvent(push.id, push.at, LOCK_STUCK, error=push.error, since=push.at)
	return state.stale_event(config.node_id, now, fresh_seconds(config.push_interval))


def lasting_events(folder: StateFolder, state: State, config: Config, now: float) -> list[AlertEvent]:
	"""Return the events whose condition lasts at `now`, with the figures of now.

	Pushes that stopped and fail since are one outage: its event is that they stopped.
	"""
	lasting = [_stopped_event(folder, state, config, now)]
	if state.alerted:
		failing, delivered = _open_event(state, FAILING), state.last_delivered
		if failing:
			# The alert that no push is recorded is younger than the last push, and says more than its error.
			error = state.last.error if state.last and state.last.at >= failing.at else failing.error
			failing = failing._replace(failures=state.failures_in_a_row, error=error)
		elif delivered:
			failing = AlertEvent(delivered.id, delivered.at, STALE, since=delivered.at)
		lasting.append(failing)
	if state.disk_alerted:
		full, last = _open_event(state, DISK_FULL), state.last
		if full and last and last.payload and "disk_pct" in last.payload:
			full = full._replace(disk_pct=last.payload["disk_pct"], at=last.at)
		lasting.append(full)
	return [event for event in lasting if event]


def _open_event(state: State, kind: str) -> AlertEvent | None:
	"""Return the last event of a kind, None if one that ends it follows."""
	for event in reversed(state.events):
		if event.kind == kind:
			return event
		if kind in ENDED_BY.get(event.kind, ()):
			return None
	return None


def came_and_went(
	state: State, records: Sequence[Maintenance], was_sent: Callable[[AlertEvent], bool]
) -> list[AlertEvent]:
	"""Return the unsent events whose condition began during a maintenance and is over, with those that ended them."""
	events: list[AlertEvent] = []
	begun: dict[str, AlertEvent] = {}
	for event in state.events:
		if event.kind in ENDED_BY:
			beginnings = [begun.pop(kind) for kind in ENDED_BY[event.kind] if kind in begun]
			pair = [*beginnings, event] if beginnings else []
		else:
			begun[event.kind] = event
			pair = [event] if event.kind == TENANTS_FELL and not _is_still_fallen(state, event) else []
		is_held = pair and any(one.holds(pair[0].at) for one in records)
		if is_held and not was_sent(pair[0]):
			events += pair
	return events


def _is_still_fallen(state: State, event: AlertEvent) -> bool:
	payload = state.last_delivered.payload if state.last_delivered else None
	return (
		payload is None
		or event.tenants_before is None
		or has_fallen(event.tenants_before, payload["tenant_count"])
	)
