"""Write down how a push ended, in the state and as a line of the history.

Also of those whose processes could not: they were killed, or did not get the lock.
"""

from __future__ import annotations

from prego_metrics.agent.alerts.receipts import was_alerted_stale, was_alerted_stuck
from prego_metrics.agent.base.messages import Message, coded, message, shortened
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.begun_push import BegunPush
from prego_metrics.agent.state.lock_contention import forget_held, stuck_push
from prego_metrics.agent.state.model import MAX_WHO, Push, State
from prego_metrics.agent.state.outcomes import FAILED
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder

MAX_ERROR = 1000


def read_under_lock(
	config: Config, folder: StateFolder, *, exclusive: bool = True
) -> tuple[State, list[Message]]:
	"""Return the state with the earlier pushes recorded in it that could not be, and warnings.

	The caller holds the lock. Without it (not `exclusive`) a push that left no result may still be under way. A
	mark goes last: whoever is killed in between leaves it to the next, which finds what is done already.
	"""
	state, warnings = folder.read(set_aside=True)
	if exclusive:
		for begun in folder.begun():
			error = coded("push_killed")
			killed = Push(begun.id, begun.at, begun.trigger, FAILED, None, None, 0, 0, error)
			state, not_written = _with_earlier(config, folder, state, killed)
			if not not_written:
				folder.remove(begun.file_name)
		stuck, not_written = stuck_push(folder), None
		if stuck:
			state, not_written = _with_earlier(config, folder, state, stuck)
		if not not_written:
			forget_held(folder)
	return state, warnings


def _with_earlier(
	config: Config, folder: StateFolder, state: State, push: Push
) -> tuple[State, Message | None]:
	"""Record a push in the state and, if it is not there yet, in the history; return what could not be written."""
	if state.last and state.last.id == push.id:
		return state, None
	if folder.recent_push(push.id) is None:
		folder.append_history(push)
	state = _recorded(config, folder, state, push)
	return state, folder.write(state)


def _recorded(config: Config, folder: StateFolder, state: State, push: Push) -> State:
	# A channel that sent "stale" or "lock_stuck" sends "recovered" next, and not "failing" for the same outage.
	alerted = state.alerted or was_alerted_stale(folder, state) or was_alerted_stuck(folder, push)
	fresh = fresh_seconds(config.push_interval)
	return state._replace(alerted=alerted).recorded(push, config.alert_after, config.disk_alert_pct, fresh)


def record_push(
	config: Config, folder: StateFolder, state: State, request: Request, result: Result, begun: BegunPush
) -> Result:
	"""Record a push that follows `state`, and return its result, also of what could not be written.

	The caller holds the lock.
	"""
	push = Push(
		id=begun.id,
		at=result.at,
		trigger=request.trigger,
		outcome=result.outcome,
		payload=result.payload,
		status_code=result.status_code,
		attempts=result.attempts,
		duration_ms=result.duration_ms,
		error=shortened(result.error, MAX_ERROR) if result.error else None,
		who=sanitize(request.who, MAX_WHO) if request.who else None,
	)
	not_written = folder.write(_recorded(config, folder, state, push))
	folder.remove(begun.file_name)
	if not_written:
		return result.unrecorded(not_written)
	not_appended = folder.append_history(push)
	if not_appended:
		lost = message("{reason}. Only this push is missing from the history", reason=not_appended)
		return result._replace(warnings=(*result.warnings, lost))
	return result
