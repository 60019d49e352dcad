"""When a push is due.

Elapsed time since the last attempt, whichever trigger made it. With runs every 60 seconds the slack absorbs their
jitter. Longer intervals have a moment of the node's own besides, at which a node that lost it (after an outage, a
restart or a manual push) comes back: a fleet that was disturbed together does not stay together.

Between two of these regular pushes there may be some since the tenant count changed. They do not move the regular
ones.

The promise: no two regular pushes closer than the interval, or than a minute if that is shorter, less the slack;
none further apart than the interval and the fastest trigger's period. No push of any kind is closer to the one before
than CHANGE_SECONDS, or than the same if that is shorter.
"""

from __future__ import annotations

import zlib

from prego_metrics.agent.light_typing import NamedTuple

SLACK_SHARE = 0.25
MAX_SLACK_SECONDS = 15.0
# After one failure a longer interval counts as this much, so that a node comes back soon; after more of them as
# the other, since a control plane that is down must not get more requests than one that is well.
RETRY_INTERVAL_SECONDS = 60.0
FAILING_INTERVAL_SECONDS = 300.0
# The triggers of this app run each minute, and a little late: a push so long after the node's moment is still at it.
TRIGGER_SECONDS = 60.0
LATE_SECONDS = 5.0
# The control plane may ask a node to wait for up to this long.
MAX_ASKED_SECONDS = 900.0
# So long after the last attempt another one may follow since the tenant count changed.
CHANGE_SECONDS = 15.0
# A clock that is being set right steps back by less; more is a fault of its own.
CLOCK_STEP_SECONDS = 5.0


class Pace(NamedTuple):
	"""What the pushes so far leave to the rule. failures are those in a row; one that did not end is one.

	not_before is until when the control plane asked to wait. last_regular_at is the last attempt that was not only for
	a changed count; None if that is the last one.
	"""

	last_attempt_at: float | None = None
	failures: int = 0
	not_before: float | None = None
	last_regular_at: float | None = None

	@property
	def obeys_changes(self) -> bool:
		"""Whether a changed count may bring the next push forward: not while pushes fail."""
		return self.failures == 0 and self.last_attempt_at is not None


def slack_seconds(interval_seconds: float) -> float:
	"""Return how much earlier than the interval a push may come."""
	return min(interval_seconds * SLACK_SHARE, MAX_SLACK_SECONDS)


def seconds_until_due(
	now: float, pace: Pace, interval_seconds: float, node_id: str, *, changed: bool = False
) -> float:
	"""Return how long it is until a push is due; 0 or less means now. Times are in seconds since the epoch.

	`changed` says that the tenant count is not the delivered one. A last attempt that lies in the future means that
	the clock went back: a push is due, but for what the control plane asked.
	"""
	asked_seconds = seconds_asked(now, pace.not_before)
	seconds = _seconds_after_attempt(now, pace, interval_seconds)
	if not (changed and pace.obeys_changes):
		seconds = max(seconds, _seconds_until_regular(now, pace, interval_seconds, node_id))
	return max(seconds, asked_seconds) if asked_seconds else seconds


def not_before(now: float, asked_seconds: float | None) -> float | None:
	"""Return until when to wait, after an answer whose Retry-After asks for `asked_seconds`; None: it asks nothing."""
	return now + min(asked_seconds, MAX_ASKED_SECONDS) if asked_seconds else None


def seconds_asked(now: float, not_before: float | None) -> float:
	"""Return how long the control plane still asks to wait. One that is too long is of a clock that went back."""
	seconds = (not_before or 0.0) - now
	return seconds if 0 < seconds <= MAX_ASKED_SECONDS + CLOCK_STEP_SECONDS else 0.0


def _seconds_after_attempt(now: float, pace: Pace, interval_seconds: float) -> float:
	"""Return for how long no push may follow the last attempt, whatever it was for."""
	last = pace.last_attempt_at
	if last is None or last > now:
		return 0.0
	return last + min(CHANGE_SECONDS, interval_seconds - slack_seconds(interval_seconds)) - now


def _seconds_until_regular(now: float, pace: Pace, interval_seconds: float, node_id: str) -> float:
	"""Return how long it is until a push is due by the node's own rule."""
	last = pace.last_attempt_at if pace.last_regular_at is None else pace.last_regular_at
	if last is None or last > now:
		return 0.0
	if pace.failures == 1:
		interval_seconds = min(interval_seconds, RETRY_INTERVAL_SECONDS)
	elif pace.failures:
		interval_seconds = min(interval_seconds, FAILING_INTERVAL_SECONDS)
	return last + _gap_seconds(last, interval_seconds, node_id) - now


def _gap_seconds(last: float, interval_seconds: float, node_id: str) -> float:
	"""Return how long after an attempt the next one is due: earlier than usual where it missed the node's moment."""
	shortest = min(interval_seconds, TRIGGER_SECONDS)
	# Not the same hash as that of `spread`: the nodes of one minute would be those of a few of its seconds.
	moment = spread_share_seconds(f"{node_id} interval", interval_seconds)
	missed_by = (last - moment) % interval_seconds
	if missed_by < TRIGGER_SECONDS + LATE_SECONDS:
		return interval_seconds - slack_seconds(interval_seconds)
	return max(shortest - slack_seconds(shortest), interval_seconds - missed_by)


def wait_before_push(
	now: float,
	pace: Pace,
	interval_seconds: float,
	node_id: str,
	*,
	spread_seconds: float,
	other_trigger_leads: bool,
) -> float | None:
	"""Return how long a run that starts now waits for the node's share of the spread, None if nothing is due then.

	Where another trigger leads, a push is this run's only once that one has missed it.
	"""
	share = spread_share_seconds(node_id, min(spread_seconds, interval_seconds))
	latest = -TRIGGER_SECONDS if other_trigger_leads else 0.0
	return share if seconds_until_due(now + share, pace, interval_seconds, node_id) <= latest else None


def is_snapshot_due(now: float, last_snapshot_at: float | None, interval_seconds: float) -> bool:
	"""Tell whether this push should ask for a snapshot; an interval of 0 means never."""
	return interval_seconds > 0 and seconds_until_snapshot(now, last_snapshot_at, interval_seconds) <= 0


def seconds_until_snapshot(now: float, last_snapshot_at: float | None, interval_seconds: float) -> float:
	"""Return how long it is until a snapshot is due; 0 or less means with the next push."""
	if last_snapshot_at is None or last_snapshot_at > now:
		return 0.0
	return last_snapshot_at + interval_seconds - slack_seconds(interval_seconds) - now


def spread_share_seconds(node_id: str, spread_seconds: float) -> float:
	"""Return this node's share of `spread_seconds`, so that a fleet whose clocks agree does not push in one second.

	Fixed by the node's id, so that the distance between two pushes of one node stays the interval.
	"""
	return spread_seconds * zlib.crc32(node_id.encode()) / 2**32


def deadline_seconds(interval_seconds: float) -> float:
	"""Return how long one whole push may take: it must be over before the next one is due."""
	return min(0.8 * interval_seconds, 120.0)


def fresh_seconds(interval_seconds: float) -> float:
	"""Return up to which age a delivered push is fresh: the platform's five minutes, or two intervals."""
	return max(300.0, 2 * interval_seconds + 60.0)
