"""Each alert is sent once per channel, whichever process of the bench sees it first.

A receipt is a file that is created exclusively: it needs no lock, so alerting holds up no push, and two processes
never both create it, in containers and on NFS either.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prego_metrics.agent.base.alert_codes import LOCK_STUCK, STALE
from prego_metrics.agent.base.messages import code_of, message
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.held import stuck_push
from prego_metrics.agent.state.model import Push, State
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed

# Nothing older is sent: a channel that was down for days, or is new, begins with today.
ALERT_WITHIN_SECONDS = 86400.0


def current_events(folder: StateFolder, state: State, config: Config, now: float) -> list[AlertEvent]:
	"""Return the events that are worth an alert at `now`, oldest first, sent already or not.

	That pushes have stopped, or that the lock is stuck, stands in no state: nobody can write it then.
	"""
	stopped = _stuck_event(folder, state) or state.stale_event(
		config.node_id, now, fresh_seconds(config.push_interval)
	)
	events = [*state.events, stopped] if stopped else state.events
	return [event for event in events if abs(now - event.at) <= ALERT_WITHIN_SECONDS]


def _stuck_event(folder: StateFolder, state: State) -> AlertEvent | None:
	push = None if state.alerted else stuck_push(folder)
	return AlertEvent(push.id, push.at, LOCK_STUCK, error=push.error, since=push.at) if push else None


def take_unsent(
	folder: StateFolder, channel: str, config: Config, *, clock: Callable[[], float] = time.time
) -> list[AlertEvent]:
	"""Mark the events that `channel` has not sent yet as sent, and return them, oldest first.

	An event that cannot be marked (a full disk, another user's folder) is not returned: no alert is better than
	one every minute.
	"""
	now = clock()
	state, _ = folder.read()
	events = current_events(folder, state, as_pushed(config, folder, state), now)
	unsent = [event for event in events if folder.create_receipt(_receipt_name(channel, event))]
	if unsent:
		folder.remove_old_receipts(2 * ALERT_WITHIN_SECONDS)
	return unsent


def withdraw_receipt(folder: StateFolder, channel: str, event: AlertEvent) -> None:
	"""Mark an event as not sent, since sending it failed: the next run tries again."""
	folder.remove_receipt(_receipt_name(channel, event))


def was_alerted_stale(folder: StateFolder, state: State) -> bool:
	"""Tell whether any channel sent that pushes have stopped since the last delivered one."""
	return state.last_delivered is not None and folder.has_receipt(f"-{STALE}-{state.last_delivered.id}")


def was_alerted_stuck(folder: StateFolder, push: Push) -> bool:
	"""Tell whether any channel sent that the lock is stuck, for which `push` was not sent."""
	return code_of(push.error) == LOCK_STUCK and folder.has_receipt(f"-{LOCK_STUCK}-{push.id}")


def node_id_of_pushes(folder: StateFolder, state: State, config: Config) -> str:
	"""Return the node_id that is pushed, for people."""
	delivered = state.last_delivered
	node_id = as_pushed(config, folder, state).node_id or (delivered and delivered.node_id)
	return node_id or message("of this bench")


def _receipt_name(channel: str, event: AlertEvent) -> str:
	return f"{channel}-{event.kind}-{event.id}"
