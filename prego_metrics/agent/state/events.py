"""A change that people are alerted of: pushes fail, stop or arrive again, the count fell, a disk is full or free."""

from __future__ import annotations

from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.light_typing import NamedTuple


class AlertEvent(NamedTuple):
	"""One change, at `at` in seconds since the epoch; kind is its code in the catalog of alerts.

	id is that of the push that made it, for `stale` that of the last delivered one. since is when the first
	of the failed pushes was tried, or when the last one was delivered before nothing was. repeat is 0 for the alert
	itself, N for its Nth reminder on a channel.
	"""

	id: str
	at: float
	kind: str
	failures: int = 0
	error: Message | None = None
	since: float | None = None
	tenants_before: int | None = None
	tenants: int | None = None
	disk_pct: float | None = None
	repeat: int = 0
