"""What a channel that tells people has not told yet: that pushes fail, or that they are delivered again.

systemd's `OnFailure=` and cron's mail come through here. Each runs every minute, and an outage is told
once: what a channel was given is claimed in the state. Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from prego_metrics.agent.due import fresh_seconds
from prego_metrics.agent.errors import LockUnsupported, PregoMetricsError
from prego_metrics.agent.lock import PushLock
from prego_metrics.agent.printable import printable
from prego_metrics.agent.state import State, Transition
from prego_metrics.agent.state_folder import StateFolder, claim_transitions
from prego_metrics.agent.wording import wording

CHANNEL_FORM = "1 to 32 of a-z, 0-9 and -"
_CHANNEL = re.compile(r"[a-z0-9-]{1,32}")
_DEFAULT_INTERVAL_SECONDS = 60.0
_LOCK_WAIT_SECONDS = 2.0


class ChannelError(PregoMetricsError):
	"""A channel's name is none."""


def check_channel(channel: str) -> None:
	"""Raise ChannelError if that is no name of a channel."""
	if not _CHANNEL.fullmatch(channel):
		raise ChannelError(f"the channel '{printable(channel, 80)}' is none: it must be {CHANNEL_FORM}")


def claim_news(folder: StateFolder, channel: str, *, clock: Callable[[], float] = time.time) -> str | None:
	"""Return what `channel` has to tell now, and claim it; None if there is nothing.

	Only what still holds is told: a recovery that was followed by new failures is over. Raises ChannelError.
	"""
	check_channel(channel)
	transitions = claim_transitions(folder, channel, clock=clock)
	if not transitions:
		return None
	state, _ = folder.read()
	newest = transitions[-1]
	if newest.kind == "failing":
		return _failing(newest, state)
	return None if state.failures_in_a_row else _recovered(newest, state)


def record_silence(folder: StateFolder, *, clock: Callable[[], float] = time.time) -> None:
	"""Record that pushes fail, if for longer than a push is fresh no driver got so far as to record one.

	A driver whose run fails before that (no key file, a sandbox without its folders) leaves no other trace.
	"""
	if not _is_silent(folder, clock()):
		return
	with PushLock(os.path.dirname(folder.path)) as lock:
		try:
			if not lock.acquire(_LOCK_WAIT_SECONDS) or not _is_silent(folder, clock()):
				return
		except (OSError, LockUnsupported):
			return
		state, _ = folder.read()
		now = clock()
		since = f"since {_utc(state.last.at)}" if state.last else "yet"
		error = f"no push was recorded {since}: what should push does not get that far. Look at its log"
		transition = Transition(f"silent-{now:.0f}", now, "failing", state.failures_in_a_row, error)
		folder.write(
			replace(
				state,
				alerted=True,
				failing_since=state.failing_since or now,
				transitions=(*state.transitions, transition),
			)
		)


def _is_silent(folder: StateFolder, now: float) -> bool:
	state, _ = folder.read()
	if state.alerted:
		return False
	if state.last is None:
		return True
	interval = max((tick.push_interval for tick in folder.ticks()), default=_DEFAULT_INTERVAL_SECONDS)
	return now - max(state.last.at, state.last_attempt_at or 0.0) > fresh_seconds(interval)


def _failing(transition: Transition, state: State) -> str:
	at, node = _utc(transition.at), _node(state)
	error = printable(transition.error or "no reason was recorded", 1000)
	if transition.failures:
		said = wording(
			"{at}: the pushes of {node} fail, {failures} in a row. The last one: {error}",
			at=at,
			node=node,
			failures=transition.failures,
			error=error,
		)
	else:
		said = wording("{at}: the pushes of {node} fail: {error}", at=at, node=node, error=error)
	return (
		said
		+ "\n"
		+ wording("Run `prego-metrics doctor` on the node: it names what is wrong and what to do.")
	)


def _recovered(transition: Transition, state: State) -> str:
	at, node = _utc(transition.at), _node(state)
	if not transition.failures:
		return wording("{at}: the pushes of {node} are delivered again.", at=at, node=node)
	return wording(
		"{at}: the pushes of {node} are delivered again, after {failures} that were not.",
		at=at,
		node=node,
		failures=transition.failures,
	)


def _node(state: State) -> str:
	for push in (state.last, state.last_delivered):
		if push and push.payload and push.payload.get("node_id"):
			return printable(str(push.payload["node_id"]), 200)
	return "this node"


def _utc(at: float) -> str:
	try:
		return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
	except (OverflowError, OSError, ValueError):
		return "at an unknown time"
