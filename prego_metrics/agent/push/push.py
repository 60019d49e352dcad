"""One push, start to end: is it due, take the lock, mark it as begun, count and sample, stamp, send, read back, record.

	settings ──> census ──┐
	         └─> host ────┴─> payload ──> delivery ──> control plane
	                                         └─> state

Every trigger comes through `push`: Frappe's scheduler, the systemd timer, cron, and people. Whoever alerts of
how it ended reads that from the state afterwards (`alerts/outbox`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from prego_metrics.agent.base.errors import LockUnsupported, NotSent, TooLate
from prego_metrics.agent.base.messages import Message, code_of, coded
from prego_metrics.agent.base.redaction import HiddenEnvironment
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.config import DRY_RUN_KEYS, Config
from prego_metrics.agent.config.key_place import key_place
from prego_metrics.agent.push.due import Wait, is_due, may_have_alerts, wait_before_push
from prego_metrics.agent.push.request import ON_CHANGE, Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.push.steps import (
	collect,
	read_settings,
	read_state,
	require_settings_file,
	take_lock,
	write_in_time,
)
from prego_metrics.agent.state import schedule
from prego_metrics.agent.state.model import OUTCOMES, Tick
from prego_metrics.agent.state.outcomes import BUSY, DELIVERED, DRY_RUN, NOT_DUE, NOT_SENT
from prego_metrics.agent.state.store import StateFolder

# The last push on a change may begin so late: its unit has three minutes.
ON_CHANGE_SECONDS = 30.0


def preload() -> None:
	"""Import what a push imports late: after root became the bench's owner, its interpreter may be unreadable."""
	import prego_metrics.agent.alerts.webhook
	import prego_metrics.agent.collectors.census
	import prego_metrics.agent.collectors.cgroup_memory
	import prego_metrics.agent.collectors.host
	import prego_metrics.agent.collectors.instance
	import prego_metrics.agent.collectors.lost_sites
	import prego_metrics.agent.collectors.tenant_count
	import prego_metrics.agent.config.api_key
	import prego_metrics.agent.push.attempt
	import prego_metrics.agent.push.busy
	import prego_metrics.agent.push.heartbeat
	import prego_metrics.agent.push.record
	import prego_metrics.agent.state.lock  # noqa: F401


def push(bench: Bench, request: Request, environ: Mapping[str, str] | None = None) -> Result:
	"""Push once for `bench`, if that is due or a person asked for it, and record how it ended.

	Foreseen conditions never raise: they are the result, whose error names the thing and the next step.
	"""
	environ = HiddenEnvironment(os.environ if environ is None else environ)
	folder = StateFolder(bench.sites)
	try:
		config = read_settings(bench, environ)
	except TooLate as error:
		return _late(error, request)
	try:
		result = _push_if_due(config, folder, request, environ)
	except TooLate as error:
		result = _late(error, request)
	warnings = (*config.warnings, *config.defaults_applied(request.needed_settings), *result.warnings)
	if request.is_tick and _folder_answers(result):
		outcome = result.outcome
		not_written = write_in_time(
			lambda: folder.write_tick(_tick(config, request.trigger, outcome, environ)), folder
		)
		if not_written and not result.not_written:
			result = result._replace(not_written=not_written)
			warnings += (not_written,)
	# A mode that ended is found out by the next push: a run that is not due reads no more than it must.
	may_have_new_mode = config.bench_in_maintenance or result.outcome != NOT_DUE
	if may_have_new_mode and _folder_answers(result):
		from prego_metrics.agent.state.maintenance import note_frappe_mode

		write_in_time(lambda: note_frappe_mode(folder, config.bench_in_maintenance, time.time()), folder)
	if result.outcome != NOT_DUE and (config.heartbeat_url or config.heartbeat_url_file):
		from prego_metrics.agent.push.heartbeat import beat

		warnings += beat(config, folder, result)
	if (config.alert_url or config.alert_url_file) and may_have_alerts(config, folder, request, result):
		from prego_metrics.agent.alerts.webhook import post_alerts

		warnings += post_alerts(config, folder, result.not_written)
	metrics_textfile = config.metrics_textfile if result.outcome in OUTCOMES else None
	return result._replace(warnings=warnings, scheduled=request.if_due, metrics_textfile=metrics_textfile)


def push_on_change(bench: Bench, environ: Mapping[str, str] | None = None) -> Result:
	"""Push as long as the tenant count is not the delivered one, and return how the last push ended.

	For a unit that systemd starts when a folder of sites changes: what changes meanwhile starts it no second time.
	"""
	result, give_up_at = push(bench, ON_CHANGE, environ), time.monotonic() + ON_CHANGE_SECONDS
	while result.outcome in (DELIVERED, BUSY) and not result.exit_code and time.monotonic() < give_up_at:
		if result.outcome == BUSY:
			time.sleep(1.0)
		after = push(bench, ON_CHANGE, environ)
		if after.outcome == NOT_DUE:
			return result if result.outcome == DELIVERED else after
		result = after
	return result


def dry_run(bench: Bench, environ: Mapping[str, str] | None = None) -> Result:
	"""Return what a push would send now; nothing is sent and nothing is recorded."""
	at, warnings = time.time(), tuple[str, ...]()
	environ = HiddenEnvironment(os.environ if environ is None else environ)
	try:
		config = read_settings(bench, environ)
		warnings = config.warnings
		state, _ = read_state(StateFolder(bench.sites))
		require_settings_file(config, state)
		config.require(DRY_RUN_KEYS)
		seconds = schedule.deadline_seconds(config.push_interval)
		collected = collect(config, state, at, seconds, save_snapshot=False)
	except NotSent as error:
		return Result(NOT_SENT, at, error=error.message, warnings=warnings)
	warnings = (*config.warnings, *config.defaults_applied(DRY_RUN_KEYS), *collected.warnings)
	return Result(DRY_RUN, at, collected.payload.as_dict(), warnings=warnings)


def _push_if_due(config: Config, folder: StateFolder, request: Request, environ: Mapping[str, str]) -> Result:
	"""Check whether a push is due, take the lock, check again, push and record."""
	if request.trigger == "frappe" and not config.scheduler_pushes:
		return Result(NOT_DUE, time.time())
	wait = wait_before_push(config, folder, request) if request.if_due else Wait(0.0, regular=True)
	if wait is None:
		return Result(NOT_DUE, time.time())
	if request.if_due:
		time.sleep(wait.seconds)
	from prego_metrics.agent.push.busy import busy, lock_wait_seconds
	from prego_metrics.agent.state.lock import PushLock

	began_waiting = time.monotonic()
	no_lock: Message | None = None
	with PushLock(config.bench.sites) as lock:
		try:
			if not take_lock(lock, config.bench.sites, lock_wait_seconds(config, request)):
				return busy(config, folder, request, time.monotonic() - began_waiting)
		except LockUnsupported as error:
			no_lock = error.message
		except OSError as error:
			failed = coded("lock_failed", folder=sanitize(config.bench.sites), reason=error.strerror)
			return Result(NOT_SENT, time.time(), error=failed, not_written=failed)
		give_up_at = time.monotonic() + schedule.deadline_seconds(config.push_interval)
		if request.within_seconds is not None:
			give_up_at = min(give_up_at, began_waiting + request.within_seconds)
		return _push_under_lock(config, folder, request, environ, wait, give_up_at, no_lock)


def _push_under_lock(
	config: Config,
	folder: StateFolder,
	request: Request,
	environ: Mapping[str, str],
	wait: Wait,
	give_up_at: float,
	no_lock: Message | None,
) -> Result:
	"""Read the state, check again whether the push is due, mark it as begun, try it and record how it ended.

	`give_up_at` is of the monotonic clock; `no_lock` says why the file system gave no lock.
	"""
	from prego_metrics.agent.push.record import read_under_lock, record_push
	from prego_metrics.agent.state.begun_push import BegunPush

	state, state_warnings = folder_in_time(
		lambda: read_under_lock(config, folder, exclusive=no_lock is None), folder.path
	)
	begun = BegunPush.of(request.trigger)
	state_hangs: Message | None = None
	if no_lock and request.if_due:
		# A person may push without the lock, but triggers could do it at the same time.
		result = Result(NOT_SENT, time.time(), error=no_lock)
	elif request.if_due and not is_due(config, folder, state, request, wait):
		return Result(NOT_DUE, time.time())
	else:
		from prego_metrics.agent.push.attempt import attempt

		if no_lock is None:
			write_in_time(lambda: folder.make_mark(begun.file_name), folder, give_up_at)
		result, state, state_hangs = attempt(
			config, folder, state, request, environ, at=begun.at, give_up_at=give_up_at, regular=wait.regular
		)
	result = result._replace(warnings=(*result.warnings, *state_warnings))
	if state_hangs:
		return result.unrecorded(state_hangs)
	try:
		return folder_in_time(lambda: record_push(config, folder, state, request, result, begun), folder.path)
	except TooLate as error:
		return result.unrecorded(error.message)


def _late(error: TooLate, request: Request) -> Result:
	"""Return the result of a push whose settings, lock or state did not answer: nothing is sent, nor recorded."""
	return Result(
		NOT_SENT, time.time(), error=error.message, not_written=error.message, scheduled=request.if_due
	)


def _folder_answers(result: Result) -> bool:
	"""Tell whether the state folder may be written again: one that hung is not waited for twice."""
	return code_of(result.not_written) != "state_late"


def _tick(config: Config, trigger: str, outcome: str, environ: Mapping[str, str]) -> Tick:
	key_from = key_place(config.api_key_file, environ)
	return Tick(trigger, time.time(), config.push_interval, config.node_id, outcome, key_from=key_from)
