"""Each transition is told once by each channel, whichever process of the bench sees it first.

A claim is a file that is made exclusively: it needs no lock, so telling holds up no push, and two processes
never both make it, in containers and on NFS either.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prego_metrics.agent.base.alert_codes import STALE
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed

# Nobody is told what happened longer ago: a channel that was down for days, or is new, begins with today.
ALERT_WITHIN_SECONDS = 86400.0


def current_events(state: State, config: Config, now: float) -> list[AlertEvent]:
	"""Return what is worth telling at `now`, oldest first, told already or not."""
	stale = state.stale(config.node_id, now, fresh_seconds(config.push_interval))
	recent = [one for one in state.events if abs(now - one.at) <= ALERT_WITHIN_SECONDS]
	return [*recent, stale] if stale and now - stale.at <= ALERT_WITHIN_SECONDS else recent


def take_unsent(
	folder: StateFolder, channel: str, config: Config, *, clock: Callable[[], float] = time.time
) -> list[AlertEvent]:
	"""Claim what `channel` has not told yet, and return it, oldest first.

	What cannot be claimed (a full disk, another user's folder) is not returned: told at every tick is worse
	than not told.
	"""
	now = clock()
	state, _ = folder.read()
	telling = current_events(state, as_pushed(config, folder, state), now)
	claimed = [one for one in telling if folder.claim(_name(channel, one.kind, one.id))]
	if claimed:
		folder.forget_receipts(2 * ALERT_WITHIN_SECONDS)
	return claimed


def node_id_of_pushes(folder: StateFolder, state: State, config: Config) -> str:
	"""Return whose numbers are pushed, for people."""
	delivered = state.last_delivered
	node_id = as_pushed(config, folder, state).node_id or (delivered and delivered.node_id)
	return node_id or message("of this bench")


def withdraw_receipt(folder: StateFolder, channel: str, event: AlertEvent) -> None:
	"""Give a claim back, so that the next tick tells it: telling failed."""
	folder.give_back(_name(channel, event.kind, event.id))


def was_alerted_stale(folder: StateFolder, state: State) -> bool:
	"""Tell whether any channel told that nothing was delivered since the last delivered push."""
	return state.last_delivered is not None and folder.has_receipt(f"-{STALE}-{state.last_delivered.id}")


def _name(channel: str, kind: str, push_id: str) -> str:
	return f"{channel}-{kind}-{push_id}"
