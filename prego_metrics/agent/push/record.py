"""Write down how a push ended: in the state, and as a line of the history."""

from __future__ import annotations

from dataclasses import replace

from prego_metrics.agent.alerts.receipts import was_alerted_stale
from prego_metrics.agent.base.messages import Message, message, shortened
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.model import MAX_WHO, Push, State
from prego_metrics.agent.state.store import StateFolder

MAX_ERROR = 1000


def record_push(
	config: Config, folder: StateFolder, state: State, request: Request, result: Result
) -> list[Message]:
	"""Record a push that follows `state`; return warnings of what could not be written. The caller holds the lock."""
	import secrets

	push = Push(
		id=secrets.token_hex(8),
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
	# A channel that sent "stale" sends "recovered" next, and not "failing" for the same outage.
	state = replace(state, alerted=state.alerted or was_alerted_stale(folder, state))
	not_written = folder.write(state.recorded(push, config.alert_after, config.disk_alert_pct))
	if not_written:
		return [
			message(
				"{reason}. The push itself is not affected, but every run of a trigger pushes until that is fixed",
				reason=not_written,
			)
		]
	not_appended = folder.append_history(push)
	if not_appended:
		return [message("{reason}. Only this push's line in the history is lost", reason=not_appended)]
	return []
