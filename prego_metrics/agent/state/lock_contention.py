"""A lock that another process holds: an empty file in the state folder, whose name says who found it busy, and when.

The state itself is the lock holder's to write, and a process may hold the lock for ever. So the first run that finds it
busy leaves a mark, and whoever gets the lock takes it away: a mark that is there says that nobody pushed since. One
that is older than a push may last is renamed, by one process alone, and that push is recorded as not sent.
"""

from __future__ import annotations

import os
import re

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.kernel import flock_holder
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import NamedTuple
from prego_metrics.agent.state.begun_push import NAMED_PUSH, BegunPush
from prego_metrics.agent.state.model import Push
from prego_metrics.agent.state.outcomes import NOT_SENT
from prego_metrics.agent.state.schedule import deadline_seconds
from prego_metrics.agent.state.store import StateFolder

# A push may hold the lock beyond its deadline, while the state is read and written.
GRACE_SECONDS = 15.0
_NAME = re.compile(f"(busy|stuck)-{NAMED_PUSH}")


class Held(NamedTuple):
	"""The first run that found the lock busy; stuck says that it has been held for longer than a push may last."""

	at: float
	trigger: str
	id: str
	stuck: bool = False

	@property
	def file_name(self) -> str:
		return f"{'stuck' if self.stuck else 'busy'}-{self.trigger}-{self.at!r}-{self.id}"


def held_lock(folder: StateFolder) -> Held | None:
	"""Return since when the lock is held by another, None if nobody found it so."""
	marks = [
		Held(float(mark[3]), mark[2], mark[4], mark[1] == "stuck")
		for name in folder.names()
		if (mark := _NAME.fullmatch(name))
	]
	return min(marks, key=lambda held: (not held.stuck, held.at), default=None)


def note_busy(folder: StateFolder, trigger: str, now: float, push_interval: float) -> Held:
	"""Return since when the lock is held, and note it, for a run that found it busy `now`.

	`push_interval` is this trigger's own; the lock may be held by one with a longer interval.
	"""
	held = held_lock(folder)
	if held is None or held.at > now:
		if held:
			folder.remove(held.file_name)  # the clock went back
		held = Held(*BegunPush.of(trigger)._replace(at=now))
		folder.make_mark(held.file_name)
	longest = max([push_interval, *(tick.push_interval for tick in folder.ticks())])
	if held.stuck or now - held.at <= deadline_seconds(longest) + GRACE_SECONDS:
		return held
	stuck = held._replace(stuck=True)
	if folder.rename(held.file_name, stuck.file_name):
		folder.append_history(_push(stuck, _error(folder, stuck)))
	return stuck


def stuck_push(folder: StateFolder) -> Push | None:
	"""Return the push that was not sent since the lock is held for too long, None if it is not."""
	held = held_lock(folder)
	if held is None or not held.stuck:
		return None
	return folder.recent_push(held.id) or _push(held, _error(folder, held))


def forget_held(folder: StateFolder) -> None:
	"""Take the marks away. The caller holds the lock."""
	for name in folder.names():
		if _NAME.fullmatch(name):
			folder.remove(name)


def _push(held: Held, error: Message) -> Push:
	return Push(held.id, held.at, held.trigger, NOT_SENT, None, None, 0, 0, error)


def _error(folder: StateFolder, held: Held) -> Message:
	sites = os.path.dirname(folder.path)
	holder = flock_holder(sites)
	return coded(
		"lock_stuck",
		folder=sanitize(sites),
		since=iso_utc(held.at),
		holder=coded("lock_holder", pid=holder.pid, command=sanitize(holder.command))
		if holder
		else coded("lock_holder_unknown"),
	)
