"""Each alert is sent once per channel, whichever process of the bench sees it first.

A receipt is a file that is created exclusively: it needs no lock, so alerting holds up no push, and two processes
never both create it, in containers and on NFS either.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prego_metrics.agent.alerts.fallback_folder import fallback_of, folder_to_read
from prego_metrics.agent.base.alert_codes import LOCK_STUCK, STALE, STATE_NOT_WRITABLE, STATE_WRITABLE
from prego_metrics.agent.base.messages import Message, code_of, message
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.lock_contention import stuck_push
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
	folder: StateFolder,
	channel: str,
	config: Config,
	*,
	not_written: Message | None = None,
	known: State | None = None,
	clock: Callable[[], float] = time.time,
) -> list[AlertEvent]:
	"""Mark the events that `channel` has not sent yet as sent, and return them, oldest first.

	`not_written` says why the run before could not write the state. Whether pushes have stopped is not known then. An
	event that can be marked nowhere is not returned: no alert is better than one every minute. `known` is the state, for
	who asks for several channels.
	"""
	now = clock()
	if not_written is None:
		fallback_of(folder).move_to(folder)
	folder = folder_to_read(folder, not_written)
	state = known or folder.read()[0]
	events = current_events(folder, state, as_pushed(config, folder, state), now)
	if not_written:
		events = [event for event in events if event.kind != STALE]
	events += _recording_events(folder, channel, state, not_written, now)
	sent = _receipts(folder)
	unsent = [
		event
		for event in events
		if (name := _receipt_name(channel, event)) not in sent and _mark(folder, name)
	]
	if unsent and not not_written:
		folder.remove_old_receipts(2 * ALERT_WITHIN_SECONDS)
	return unsent


def _recording_events(
	folder: StateFolder, channel: str, state: State, not_written: Message | None, now: float
) -> list[AlertEvent]:
	"""Return that pushes cannot be recorded, or can be again. Only receipts know of it, and each channel has its own."""
	alerted, ended = _ids_of_recording(folder, channel)
	if not not_written:
		return [AlertEvent(id, now, STATE_WRITABLE) for id in alerted - ended]
	if alerted - ended:
		return []
	last_id = state.last.id if state.last else ""
	id = last_id if last_id and last_id not in ended else f"{int(now):016x}"
	return [AlertEvent(id, now, STATE_NOT_WRITABLE, error=not_written)]


def was_alerted_unrecorded(folder: StateFolder, channel: str) -> bool:
	"""Return whether `channel` has sent that pushes cannot be recorded, and not yet that they can be."""
	alerted, ended = _ids_of_recording(folder, channel)
	return bool(alerted - ended)


def _ids_of_recording(folder: StateFolder, channel: str) -> list[set[str]]:
	"""Return the ids with which `channel` has sent that pushes cannot be recorded, and that they can be again."""
	names = _receipts(folder)
	starts = [f"{channel}-{kind}-" for kind in (STATE_NOT_WRITABLE, STATE_WRITABLE)]
	return [{name.removeprefix(start) for name in names if name.startswith(start)} for start in starts]


def _receipts(folder: StateFolder) -> set[str]:
	return {*folder.receipts(), *fallback_of(folder).receipts()}


def _mark(folder: StateFolder, name: str) -> bool:
	"""Make a receipt, in the fallback folder if it cannot be made where it belongs; return whether this process did it."""
	for place in (folder, fallback_of(folder)):
		try:
			return place.create_receipt(name)
		except OSError:
			continue
	return False


def withdraw_receipt(folder: StateFolder, channel: str, event: AlertEvent) -> None:
	"""Mark an event as not sent, since sending it failed: the next run tries again."""
	for place in (fallback_of(folder), folder):
		if _receipt_name(channel, event) in place.receipts():
			place.remove_receipt(_receipt_name(channel, event))


def was_alerted_stale(folder: StateFolder, state: State) -> bool:
	"""Tell whether any channel sent that pushes have stopped since the last delivered one."""
	return state.last_delivered is not None and _was_sent(folder, STALE, state.last_delivered.id)


def was_alerted_stuck(folder: StateFolder, push: Push) -> bool:
	"""Tell whether any channel sent that the lock is stuck, for which `push` was not sent."""
	return code_of(push.error) == LOCK_STUCK and _was_sent(folder, LOCK_STUCK, push.id)


def _was_sent(folder: StateFolder, kind: str, id: str) -> bool:
	return any(name.endswith(f"-{kind}-{id}") for name in _receipts(folder))


def node_id_of_pushes(folder: StateFolder, state: State, config: Config) -> str:
	"""Return the node_id that is pushed, for people."""
	delivered = state.last_delivered
	node_id = as_pushed(config, folder, state).node_id or (delivered and delivered.node_id)
	return node_id or message("of this bench")


def _receipt_name(channel: str, event: AlertEvent) -> str:
	return f"{channel}-{event.kind}-{event.id}"
