"""Each transition is told once by each channel, whichever process of the bench sees it first.

A claim is a file that is made exclusively: it needs no lock, so telling holds up no push, and two processes
never both make it, in containers and on NFS either.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prego_metrics.agent.alerts.messages import STALE, Transition
from prego_metrics.agent.base.messages import wording
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.effective import as_pushed
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder

# Nobody is told what happened longer ago: a channel that was down for days, or is new, begins with today.
TOLD_WITHIN_SECONDS = 86400.0


def to_be_told(state: State, config: Config, now: float) -> list[Transition]:
	"""Return what is worth telling at `now`, oldest first, told already or not."""
	stale = state.stale(config.node_id, now, fresh_seconds(config.push_interval))
	recent = [one for one in state.transitions if abs(now - one.at) <= TOLD_WITHIN_SECONDS]
	return [*recent, stale] if stale and now - stale.at <= TOLD_WITHIN_SECONDS else recent


def claim_transitions(
	folder: StateFolder, channel: str, config: Config, *, clock: Callable[[], float] = time.time
) -> list[Transition]:
	"""Claim what `channel` has not told yet, and return it, oldest first.

	What cannot be claimed (a full disk, another user's folder) is not returned: told at every tick is worse
	than not told.
	"""
	now = clock()
	state, _ = folder.read()
	telling = to_be_told(state, as_pushed(config, folder, state), now)
	claimed = [one for one in telling if folder.claim(_name(channel, one.kind, one.id))]
	if claimed:
		folder.forget_claims(2 * TOLD_WITHIN_SECONDS)
	return claimed


def node_id_of_pushes(folder: StateFolder, state: State, config: Config) -> str:
	"""Return whose numbers are pushed, for people."""
	delivered = state.last_delivered
	node_id = as_pushed(config, folder, state).node_id or (delivered and delivered.node_id)
	return node_id or wording("of this bench")


def return_claim(folder: StateFolder, channel: str, transition: Transition) -> None:
	"""Give a claim back, so that the next tick tells it: telling failed."""
	folder.give_back(_name(channel, transition.kind, transition.id))


def was_told_stale(folder: StateFolder, state: State) -> bool:
	"""Tell whether any channel told that nothing was delivered since the last delivered push."""
	return state.last_delivered is not None and folder.is_claimed(f"-{STALE}-{state.last_delivered.id}")


def _name(channel: str, kind: str, push_id: str) -> str:
	return f"{channel}-{kind}-{push_id}"
