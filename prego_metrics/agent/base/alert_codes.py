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

# Which alerts each all-clear ends.
ENDED_BY: Mapping[str, tuple[str, ...]] = {
	RECOVERED: (FAILING, STALE, LOCK_STUCK),
	DISK_FREED: (DISK_FULL,),
	STATE_WRITABLE: (STATE_NOT_WRITABLE,),
}


class AlertText(NamedTuple):
	"""What people read. all_clear: it ends an alert rather than raising one."""

	title: str
	description: str
	all_clear: bool = False


ALERTS: Mapping[str, AlertText] = {
	FAILING: AlertText(
		"Node {node}: pushes are failing",
		(
			"Pushes have failed since {since} ({failures}): {error}. Run `{command} doctor` on the "
			"node to see what to do."
		),
	),
	STALE: AlertText(
		"Node {node}: pushes have stopped",
		(
			"The last push was delivered at {since}, so the control plane no longer knows this "
			"node's load. Run `{command} doctor` on the node to find the cause."
		),
	),
	LOCK_STUCK: AlertText(
		"Node {node}: another process keeps pushes from running",
		"No push can be sent: {error}. Find out what that process waits for and end it.",
	),
	RECOVERED: AlertText(
		"Node {node}: pushes are delivered again",
		"Delivered at {at}, for the first time since {since}. {failures} failed in between.",
		all_clear=True,
	),
	TENANTS_FELL: AlertText(
		"Node {node}: the tenant count dropped",
		(
			"The push at {at} counted {tenants} tenants, the one before {tenants_before}. If you "
			"removed no sites, look for a lost mount or a pattern that excludes too much: "
			"`{command} tenants` shows why each site counts."
		),
	),
	DISK_FULL: AlertText(
		"Node {node}: a disk is nearly full",
		(
			"The fullest disk was {disk_pct} % full at {at}. Free space or move a tenant: once "
			"it is full, sites stop working and pushes can't be recorded."
		),
	),
	DISK_FREED: AlertText(
		"Node {node}: the disk has room again",
		"The fullest disk was {disk_pct} % full at {at}.",
		all_clear=True,
	),
	STATE_NOT_WRITABLE: AlertText(
		"Node {node}: pushes cannot be recorded",
		(
			"{error}. Pushes continue at every run of a trigger, but failures are not counted. "
			"Free disk space, or fix the folder's owner, mode or mount."
		),
	),
	STATE_WRITABLE: AlertText(
		"Node {node}: pushes are recorded again",
		"Pushes were recorded again at {at}.",
		all_clear=True,
	),
}
