"""The settings that the pushes really have: a trigger may set an interval and a node_id of its own."""

from __future__ import annotations

from prego_metrics.agent.light_typing import TYPE_CHECKING

if TYPE_CHECKING:
	from prego_metrics.agent.config.config import Config
	from prego_metrics.agent.state.model import State
	from prego_metrics.agent.state.store import StateFolder


def as_pushed(config: Config, folder: StateFolder, state: State) -> Config:
	"""Return the settings with the interval, and in the hardened mode the node_id, of the trigger that pushes.

	A unit or a crontab may set an interval of its own, which only its recorded runs show. The interval is that of
	the trigger of the last push; after a manual one, that of the trigger that ran last. Frappe's scheduler does
	not count where it does not push (`scheduler_pushes` is false).

	There, node_id may stand in the unit alone. The unit's first run records it before a push is delivered: a
	bench that was copied from another node still holds that node's state.
	"""
	ticks = [tick for tick in folder.ticks() if tick.trigger != "frappe" or config.scheduler_pushes]
	trigger = state.last.trigger if state.last else None
	chosen = max(ticks, key=lambda tick: (tick.trigger == trigger, tick.at), default=None)
	if chosen is not None:
		config = config.replaced(push_interval=chosen.push_interval)
	if config.node_id or config.scheduler_pushes:
		return config
	delivered = state.last_delivered.node_id if state.last_delivered else None
	return config.replaced(node_id=(chosen.node_id if chosen else "") or delivered or "")
