"""The catalog of alerts: for each code its title and its description. An alert that is not here cannot exist.

All of them are filled with the same parameters (`AlertEvent`); one that is not known is shown as "unknown".
Codes are stable; texts may be reworded, and their translations with them.
"""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.light_typing import NamedTuple

FAILING = "failing"
STALE = "stale"
LOCK_STUCK = "lock_stuck"
RECOVERED = "recovered"
TENANTS_FELL = "tenants_fell"
DISK_FULL = "disk_full"
DISK_FREED = "disk_freed"
STATE_NOT_WRITABLE = "state_not_writable"
STATE_WRITABLE = "state_writable"


class AlertText(NamedTuple):
	"""What people read. all_clear: it ends an alert rather than raising one."""

	title: str
	description: str
	all_clear: bool = False


ALERTS: Mapping[str, AlertText] = {
	FAILING: AlertText(
		"Node {node}: pushes fail",
		"{failures} pushes in a row were not delivered, the first at {since}. The last one: {error}. Run "
		"`{command} doctor` on the node: it names what is wrong and what to do.",
	),
	STALE: AlertText(
		"Node {node}: pushes have stopped",
		"The last push was delivered at {since}, and none since, so the control plane no longer knows this node's "
		"load. Run `{command} doctor` on the node: it names the cause.",
	),
	LOCK_STUCK: AlertText(
		"Node {node}: another process keeps pushes from running",
		"No push can be sent: {error}. Find out what that process waits for, and end it.",
	),
	RECOVERED: AlertText(
		"Node {node}: pushes are delivered again",
		"Delivered at {at}, for the first time since {since}; {failures} pushes failed in between.",
		all_clear=True,
	),
	TENANTS_FELL: AlertText(
		"Node {node}: the number of tenants fell",
		"The push at {at} counted {tenants} tenants, the one before {tenants_before}. If that is not meant so, look "
		"for a mount that is gone or a pattern that excludes too much: `{command} tenants` on the node "
		"shows every site, counted or not, and why.",
	),
	DISK_FULL: AlertText(
		"Node {node}: a disk is nearly full",
		"{disk_pct} % of the fullest disk was used at {at}. Once it is full, sites stop working and the state of "
		"the pushes can no longer be written. Free some of it, or move a tenant.",
	),
	DISK_FREED: AlertText(
		"Node {node}: the disk has room again",
		"{disk_pct} % of the fullest disk was used at {at}.",
		all_clear=True,
	),
	STATE_NOT_WRITABLE: AlertText(
		"Node {node}: pushes cannot be recorded",
		"{error}. Pushes still go out, at each run of each trigger, but failures cannot be counted, and whether pushes "
		"have stopped is not known here. Free the disk, or correct the owner and mode of the folder or its mount.",
	),
	STATE_WRITABLE: AlertText(
		"Node {node}: pushes are recorded again",
		"The state of the pushes was written again at {at}.",
		all_clear=True,
	),
}
