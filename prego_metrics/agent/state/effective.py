"""What drives the pushes: whether systemd started this process, and which interval the triggers go by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
	from prego_metrics.agent.config.config import Config
	from prego_metrics.agent.state.model import State
	from prego_metrics.agent.state.store import StateFolder


def as_pushed(config: Config, folder: StateFolder, state: State) -> Config:
	"""Return the settings with the interval, and in the hardened mode the node_id, that the pushes really have.

	A unit or a crontab may set an interval of its own, which is seen in its ticks alone. It is that of the
	trigger of the last push; after one by hand, that of the trigger that ticked last. Frappe's tick does not
	count where it does not push.

	Where it does not, node_id may stand in the unit alone. The unit's ticks tell it, sooner than a delivered
	push: a bench that was copied from another node brings that one's state, but the first tick here is ours.
	"""
	ticks = [tick for tick in folder.ticks() if tick.trigger != "frappe" or config.scheduler_pushes]
	trigger = state.last.trigger if state.last else None
	chosen = max(ticks, key=lambda tick: (tick.trigger == trigger, tick.at), default=None)
	if chosen is not None:
		config = replace(config, push_interval=chosen.push_interval)
	if config.node_id or config.scheduler_pushes:
		return config
	delivered = state.last_delivered.node_id if state.last_delivered else None
	return replace(config, node_id=(chosen.node_id if chosen else "") or delivered or "")
