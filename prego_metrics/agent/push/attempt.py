"""One attempt to push: count and sample, stamp the state, send, and read the row back when that is worth it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import Message, code_of, coded
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.http.retry import ATTEMPTS
from prego_metrics.agent.push.delivery import scheduled_attempts, send
from prego_metrics.agent.push.due import keep_count
from prego_metrics.agent.push.read_back import read_when_changed
from prego_metrics.agent.push.request import MANUAL, Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.push.steps import collect, read_key, require_settings_file, write_in_time
from prego_metrics.agent.state import schedule
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.outcomes import DELIVERED, NOT_SENT, REFUSED
from prego_metrics.agent.state.store import StateFolder


def attempt(
	config: Config,
	folder: StateFolder,
	state: State,
	request: Request,
	environ: Mapping[str, str],
	*,
	at: float,
	give_up_at: float,
	regular: bool,
) -> tuple[Result, State, Message | None]:
	"""Count, sample and send; `give_up_at` is of the monotonic clock; `regular`: due by time, not only since the count changed.

	Returns how it ended, the state so far, and that the state's file system hangs, if it does.
	"""
	max_attempts = scheduled_attempts(state.pace.failures) if request.if_due else ATTEMPTS
	asked = schedule.seconds_asked(at, state.not_before)
	asked_to_wait = [coded("asked_to_wait", seconds=duration(asked))] if asked else []
	began = time.monotonic()
	try:
		require_settings_file(config, state)
		config.require(request.needed_settings)
		key, key_warnings = read_key(config, environ)
		seconds = give_up_at - time.monotonic()
		collected = collect(config, state, at, seconds, save_snapshot=request.save_snapshot)
	except NotSent as error:
		return Result(NOT_SENT, at, error=error.message, duration_ms=_milliseconds_since(began)), state, None

	# Stamped before sending: a process that is killed from here on must not make the next one believe that
	# nothing was tried, nor ask for a second snapshot. A push that was not sent stamps nothing, so that a
	# trigger without the key cannot starve one that has it.
	last_snapshot_at = state.last_snapshot_at
	snapshot_at = at if collected.payload.save_snapshot else last_snapshot_at
	state = state.attempted(at, regular)._replace(
		last_snapshot_at=snapshot_at,
		cpu=collected.cpu,
		settings_file_seen=not config.file_absent,
		site_marks=collected.site_marks,
	)
	not_stamped = write_in_time(lambda: folder.write(state), folder, give_up_at)
	state_hangs = not_stamped if code_of(not_stamped) == "state_late" else None
	delivery = send(
		config.control_plane_url,
		key,
		collected.payload,
		push_interval=config.push_interval,
		attempt_seconds=config.timeout,
		deadline_seconds=max(0.1, give_up_at - time.monotonic()),
		max_attempts=request.max_attempts or max_attempts,
	)
	keep_count(folder, collected.stamp, collected.payload.tenant_count)
	if not delivery.snapshot_taken:
		state = state._replace(last_snapshot_at=last_snapshot_at)
	if delivery.status_code is not None:
		state = state._replace(not_before=schedule.not_before(time.time(), delivery.asked_seconds))
	result = Result(
		outcome=delivery.outcome,
		at=at,
		payload=delivery.payload.as_dict(),
		status_code=delivery.status_code,
		attempts=delivery.attempts,
		duration_ms=_milliseconds_since(began),
		error=delivery.error,
		warnings=(*asked_to_wait, *key_warnings, *collected.warnings),
	)
	if result.outcome != DELIVERED:
		asks = schedule.seconds_asked(time.time(), state.not_before) > 0
		return result._replace(asked_to_wait=asks), state, state_hangs
	row, mark = read_when_changed(
		config.control_plane_url,
		key,
		delivery.payload.as_dict(),
		state.row_mark,
		request.trigger == MANUAL,
		lambda: min(config.timeout, give_up_at - time.monotonic()),
	)
	if row and row.fault:
		result = result._replace(outcome=REFUSED, error=row.fault)
	elif row:
		result = result._replace(warnings=(*result.warnings, *row.warnings))
	return result._replace(duration_ms=_milliseconds_since(began)), state._replace(row_mark=mark), state_hangs


def _milliseconds_since(monotonic: float) -> int:
	return int((time.monotonic() - monotonic) * 1000)
