"""When a push is due.

No periods and no anchor: elapsed time since the last attempt, whichever trigger made it. With ticks every
60 seconds the slack absorbs their jitter. The promise: no two scheduled pushes closer than the interval
less the slack, none further apart than the interval and the fastest trigger's tick.
"""

from __future__ import annotations

import zlib

SLACK_SHARE = 0.25
MAX_SLACK_SECONDS = 15.0
# After a failure a longer interval counts as this much, so that a node comes back soon.
RETRY_INTERVAL_SECONDS = 60.0
# A clock that is being set right steps back by less; more is a fault of its own.
CLOCK_STEP_SECONDS = 5.0


def slack_seconds(interval_seconds: float) -> float:
	"""Return how much earlier than the interval a push may come."""
	return min(interval_seconds * SLACK_SHARE, MAX_SLACK_SECONDS)


def is_due(
	now: float, last_attempt_at: float | None, interval_seconds: float, *, last_failed: bool = False
) -> bool:
	"""Tell whether a push is due at `now`; both times are in seconds since the epoch.

	A last attempt that lies in the future means that the clock went back: a push is due.
	"""
	return seconds_until_due(now, last_attempt_at, interval_seconds, last_failed=last_failed) <= 0


def seconds_until_due(
	now: float, last_attempt_at: float | None, interval_seconds: float, *, last_failed: bool = False
) -> float:
	"""Return how long it is until a push is due; 0 or less means now."""
	if last_attempt_at is None or last_attempt_at > now:
		return 0.0
	if last_failed:
		interval_seconds = min(interval_seconds, RETRY_INTERVAL_SECONDS)
	return last_attempt_at + interval_seconds - slack_seconds(interval_seconds) - now


def is_snapshot_due(now: float, last_snapshot_at: float | None, interval_seconds: float) -> bool:
	"""Tell whether this push should ask for a snapshot; an interval of 0 means never."""
	return interval_seconds > 0 and is_due(now, last_snapshot_at, interval_seconds)


def spread_share_seconds(node_id: str, spread_seconds: float) -> float:
	"""Return how long this node waits so that a fleet whose clocks agree does not push in one second.

	Fixed by the node's id, so that the distance between two pushes of one node stays the interval.
	"""
	return spread_seconds * zlib.crc32(node_id.encode()) / 2**32


def deadline_seconds(interval_seconds: float) -> float:
	"""Return how long one whole push may take: it must be over before the next one is due."""
	return min(0.8 * interval_seconds, 120.0)


def fresh_seconds(interval_seconds: float) -> float:
	"""Return up to which age a delivered push is fresh: the platform's five minutes, or two intervals."""
	return max(300.0, 2 * interval_seconds + 60.0)
