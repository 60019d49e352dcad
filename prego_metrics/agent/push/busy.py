"""A push that does not get the lock: another one is running, or its process holds the lock for too long."""

from __future__ import annotations

import time

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.push.steps import read_state
from prego_metrics.agent.state.lock_contention import note_busy, stuck_push
from prego_metrics.agent.state.outcomes import BUSY, NOT_SENT
from prego_metrics.agent.state.schedule import deadline_seconds
from prego_metrics.agent.state.store import StateFolder

# A manual push waits this much longer for the lock than the push before it may take.
LOCK_GRACE_SECONDS = 5.0
# A scheduled one waits this long: the doctor tries the lock for a moment, and that must cost no run.
LOCK_MOMENT_SECONDS = 0.2


def lock_wait_seconds(config: Config, request: Request) -> float:
	"""Return how long a push waits for the lock."""
	seconds = LOCK_MOMENT_SECONDS
	if not request.if_due:
		seconds = deadline_seconds(config.push_interval) + LOCK_GRACE_SECONDS
	# Half for the lock, so that what is left is enough for one request.
	return seconds if request.within_seconds is None else min(seconds, request.within_seconds / 2)


def busy(config: Config, folder: StateFolder, request: Request, waited_seconds: float) -> Result:
	"""Return how a push ends that waited for the lock in vain. Raises TooLate."""
	now, duration_ms = time.time(), int(waited_seconds * 1000)
	state, _ = read_state(folder)
	held = folder_in_time(lambda: note_busy(folder, request.trigger, now, config.push_interval), folder.path)
	if held.stuck and (push := folder_in_time(lambda: stuck_push(folder), folder.path)):
		return Result(NOT_SENT, now, duration_ms=duration_ms, error=push.error)
	age = now - state.last_attempt_at if state.unfinished and state.last_attempt_at else waited_seconds
	error = coded("push_running", age=round(age), waited=round(waited_seconds))
	return Result(BUSY, now, duration_ms=duration_ms, error=error)
