"""Each alert is sent once per channel, whichever process of the bench sees it first.

A receipt is a file that is created exclusively: it needs no lock, so alerting holds up no push, and two processes
never both create it, in containers and on NFS either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prego_metrics.agent.alerts.conditions import (
	ALERT_WITHIN_SECONDS,
	came_and_went,
	current_events,
	lasting_events,
)
from prego_metrics.agent.alerts.fallback_folder import fallback_of, folder_to_read
from prego_metrics.agent.base.alert_codes import LOCK_STUCK, STALE, STATE_NOT_WRITABLE, STATE_WRITABLE
from prego_metrics.agent.base.messages import Message, code_of, message
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.maintenance import holding, maintenances
from prego_metrics.agent.state.model import Push, State
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed

_HOUR_SECONDS = 3600.0


def take_unsent(
	folder: StateFolder,
	channel: str,
	config: Config,
	*,
	not_written: Message | None = None,
	known: State | None = None,
	clock: Callable[[], float] = time.time,
) -> list[AlertEvent]:
	"""Mark the events that `channel` has to send now as sent, and return them, oldest first.

	These are the ones that it has not sent yet, and the reminders of those whose condition lasts; none during a
	maintenance. `not_written` says why the run before could not write the state. Whether pushes have stopped is not known
	then. An event that can be marked nowhere is not returned: no alert is better than one every minute. `known` is the
	state, for who asks for several channels.
	"""
	now = clock()
	if not_written is None:
		fallback_of(folder).move_to(folder)
	folder = folder_to_read(folder, not_written)
	records = maintenances(folder, config.bench_in_maintenance, now)
	if holding(records, now):
		return []
	state = known or folder.read()[0]
	pushed, sent = as_pushed(config, folder, state), _sent(folder)
	events = current_events(folder, state, pushed, now, records)
	lasting = lasting_events(folder, state, pushed, now)
	# What was held, or could not be sent, is sent with the figures of now.
	figures_of_now = {_name(channel, event): event for event in lasting}
	events = [figures_of_now.get(_name(channel, event), event) for event in events]
	if config.alert_repeat:
		events += [event for event in lasting if event not in events]
	if not_written:
		events = [event for event in events if event.kind != STALE]
	for event in came_and_went(state, records, lambda event: _name(channel, event) in sent):
		if _mark(folder, _name(channel, event), now):
			sent[_name(channel, event)] = 0
	of_recording = _recording_events(folder, channel, state, not_written, now)
	due = [event for event in (*events, *of_recording) if _name(channel, event) not in sent]
	if config.alert_repeat:
		lasting += [event for event in of_recording if event.kind == STATE_NOT_WRITABLE]
		due += _reminders(folder, channel, lasting, sent, config.alert_repeat * _HOUR_SECONDS, now)
	unsent = [event for event in due if _mark(folder, _receipt_name(channel, event), now)]
	if unsent and not not_written:
		folder.remove_old_receipts(2 * max(ALERT_WITHIN_SECONDS, config.alert_repeat * _HOUR_SECONDS))
	return unsent


def _reminders(
	folder: StateFolder,
	channel: str,
	lasting: list[AlertEvent],
	sent: Mapping[str, int],
	repeat_seconds: float,
	now: float,
) -> list[AlertEvent]:
	"""Return the reminders that are due of what `channel` has sent. The clock may have gone back since."""
	reminders = []
	for event in lasting:
		number = sent.get(_name(channel, event))
		if number is None:
			continue
		last_name = _receipt_name(channel, event._replace(repeat=number))
		last_at = folder.receipt_at(last_name) or fallback_of(folder).receipt_at(last_name)
		if last_at is not None and abs(now - last_at) >= repeat_seconds:
			reminders.append(event._replace(repeat=number + 1))
	return reminders


def _recording_events(
	folder: StateFolder, channel: str, state: State, not_written: Message | None, now: float
) -> list[AlertEvent]:
	"""Return that pushes cannot be recorded, or can be again. Only receipts know of it, and each channel has its own."""
	alerted, over = _ids_of_recording(folder, channel)
	if not not_written:
		return [AlertEvent(id, now, STATE_WRITABLE) for id in alerted - over]
	last_id = state.last.id if state.last else ""
	id = last_id if last_id and last_id not in over else f"{int(now):016x}"
	return [AlertEvent(id, now, STATE_NOT_WRITABLE, error=not_written) for id in (alerted - over) or {id}]


def are_held(folder: StateFolder, config: Config, now: float) -> bool:
	"""Tell whether a maintenance holds the alerts."""
	return holding(maintenances(folder, config.bench_in_maintenance, now), now) is not None


def was_alerted_unrecorded(folder: StateFolder, channel: str) -> bool:
	"""Return whether `channel` has sent that pushes cannot be recorded, and not yet that they can be."""
	alerted, over = _ids_of_recording(folder, channel)
	return bool(alerted - over)


def _ids_of_recording(folder: StateFolder, channel: str) -> list[set[str]]:
	"""Return the ids with which `channel` has sent that pushes cannot be recorded, and that they can be again."""
	names = _sent(folder)
	starts = [f"{channel}-{kind}-" for kind in (STATE_NOT_WRITABLE, STATE_WRITABLE)]
	return [{name.removeprefix(start) for name in names if name.startswith(start)} for start in starts]


def _sent(folder: StateFolder) -> dict[str, int]:
	"""Return the names of what was sent, each with the number of its last reminder, 0 without one."""
	sent: dict[str, int] = {}
	for name in (*folder.receipts(), *fallback_of(folder).receipts()):
		start, mark, number = name.rpartition("-r")
		if not (mark and number.isdecimal()):
			start, number = name, "0"
		sent[start] = max(sent.get(start, 0), int(number))
	return sent


def _mark(folder: StateFolder, name: str, now: float) -> bool:
	"""Make a receipt, in the fallback folder if it cannot be made where it belongs; return whether this process did it."""
	for place in (folder, fallback_of(folder)):
		try:
			return place.create_receipt(name, now)
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
	return any(name.endswith(f"-{kind}-{id}") for name in _sent(folder))


def node_id_of_pushes(folder: StateFolder, state: State, config: Config) -> str:
	"""Return the node_id that is pushed, for people."""
	delivered = state.last_delivered
	node_id = as_pushed(config, folder, state).node_id or (delivered and delivered.node_id)
	return node_id or message("of this bench")


def _name(channel: str, event: AlertEvent) -> str:
	return f"{channel}-{event.kind}-{event.id}"


def _receipt_name(channel: str, event: AlertEvent) -> str:
	return f"{_name(channel, event)}-r{event.repeat}" if event.repeat else _name(channel, event)
