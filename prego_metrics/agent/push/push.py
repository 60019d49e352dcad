"""One push, start to end: is it due, take the lock, count, sample, send, record.

	config ──> census ──┐
	       └─> host ────┴─> payload ──> control plane ──> state

Every trigger comes through `push`: Frappe's tick, the systemd timer, cron, and people by hand. Who is told of
how it ended reads that from the state afterwards (`news`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prego_metrics.agent.alerts.receipts import was_alerted_stale
from prego_metrics.agent.base.errors import LockUnsupported, NotSent
from prego_metrics.agent.base.messages import message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.collectors.instance import check_instance
from prego_metrics.agent.config.config import ALL_KEYS, DRY_RUN_KEYS, Config, load_config
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state import schedule as due
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.model import MAX_WHO, Push, State, Tick
from prego_metrics.agent.state.outcomes import BUSY, DELIVERED, DRY_RUN, NOT_DUE, NOT_SENT
from prego_metrics.agent.state.store import StateFolder

if TYPE_CHECKING:
	from prego_metrics.agent.collectors.host import CpuReading
	from prego_metrics.agent.push.payload import Payload

# A push by hand waits this much longer for the lock than the push before it may take.
LOCK_GRACE_SECONDS = 5.0
# A scheduled one waits this long: the doctor tries the lock for a moment, and that must cost no tick.
LOCK_MOMENT_SECONDS = 0.2
MAX_ERROR = 1000


class _Environment(Mapping[str, str]):
	"""The environment, which may hold the key, unseen: tracebacks show local variables."""

	def __init__(self, environ: Mapping[str, str]) -> None:
		self._values = environ

	def __getitem__(self, name: str) -> str:
		return self._values[name]

	def __iter__(self) -> Iterator[str]:
		return iter(self._values)

	def __len__(self) -> int:
		return len(self._values)

	def __repr__(self) -> str:
		return "<environment>"


def preload() -> None:
	"""Import what a push imports late: after root became the bench's owner, its interpreter may be unreadable."""
	import prego_metrics.agent.collectors.census
	import prego_metrics.agent.config.api_key
	import prego_metrics.agent.http.client
	import prego_metrics.agent.push.delivery
	import prego_metrics.agent.push.heartbeat  # noqa: F401


def push(bench: Bench, request: Request, environ: Mapping[str, str] | None = None) -> Result:
	"""Push once for `bench`, if that is due or was asked for by hand, and record how it ended.

	Foreseen conditions never raise: they are the result, whose error names the thing and the next step.
	"""
	environ = _Environment(os.environ if environ is None else environ)
	config = load_config(bench, environ)
	folder = StateFolder(bench.sites)
	ended = _push(config, folder, request, environ)
	warnings = (*config.warnings, *ended.warnings)
	if request.if_due:
		tick = Tick(request.trigger, time.time(), config.push_interval, config.node_id, ended.outcome)
		trouble = folder.tick(tick)
		if trouble and ended.outcome == NOT_DUE:
			warnings += (trouble,)
	if ended.outcome == DELIVERED:
		warnings += _heartbeat(config)
	return replace(ended, warnings=warnings, scheduled=request.if_due)


def dry_run(bench: Bench, environ: Mapping[str, str] | None = None) -> Result:
	"""Return what a push would send now; nothing is sent and nothing is recorded."""
	at = time.time()
	environ = _Environment(os.environ if environ is None else environ)
	config = load_config(bench, environ)
	state, _ = StateFolder(bench.sites).read()
	try:
		config.require(DRY_RUN_KEYS)
		check_instance(config)
		observed = _observe(config, state, at, save_snapshot=False)
	except NotSent as error:
		return Result(NOT_SENT, at, error=message_of(error), warnings=config.warnings)
	warnings = (*config.warnings, *observed.warnings)
	return Result(DRY_RUN, at, observed.payload.as_dict(), warnings=warnings)


def _push(config: Config, folder: StateFolder, request: Request, environ: Mapping[str, str]) -> Result:
	if request.trigger == "frappe" and not config.scheduler_pushes:
		return Result(NOT_DUE, time.time())
	if request.if_due:
		state, _ = folder.read()
		if not _is_due(config, state):
			return Result(NOT_DUE, time.time())
		if request.spread:
			time.sleep(due.spread_share_seconds(config.node_id, config.spread))
	began_waiting = time.monotonic()
	deadline = due.deadline_seconds(config.push_interval)
	wait = LOCK_MOMENT_SECONDS if request.if_due else deadline + LOCK_GRACE_SECONDS
	if request.within_seconds is not None:
		# Half for the lock, so that what is left is enough for one exchange.
		wait = min(wait, request.within_seconds / 2)
	with PushLock(config.bench.sites) as lock:
		try:
			got = lock.acquire(wait)
		except LockUnsupported as error:
			if request.if_due:
				ended = Result(NOT_SENT, time.time(), error=message_of(error))
				state, troubles = folder.read(set_aside=True)
				troubles += _record(config, folder, state, request, ended)
				return replace(ended, warnings=tuple(troubles))
			got = True
		except OSError as error:
			reason = message(
				"{folder} cannot be locked: {reason}",
				folder=sanitize(config.bench.sites),
				reason=error.strerror,
			)
			return Result(NOT_SENT, time.time(), error=reason)
		if not got:
			return _busy(folder, time.monotonic() - began_waiting)
		state, troubles = folder.read(set_aside=True)
		if request.if_due and not _is_due(config, state):
			return Result(NOT_DUE, time.time())
		give_up_at = time.monotonic() + deadline
		if request.within_seconds is not None:
			give_up_at = min(give_up_at, began_waiting + request.within_seconds)
		ended, state = _push_locked(config, folder, state, request, environ, give_up_at)
		troubles += _record(config, folder, state, request, ended)
		return replace(ended, warnings=(*ended.warnings, *troubles))


def _push_locked(
	config: Config,
	folder: StateFolder,
	state: State,
	request: Request,
	environ: Mapping[str, str],
	deadline: float,
) -> tuple[Result, State]:
	"""Count, sample and send; `deadline` is of the monotonic clock. Returns how it ended, and the state so far."""
	from prego_metrics.agent.config.api_key import load_api_key
	from prego_metrics.agent.http.retry import ATTEMPTS
	from prego_metrics.agent.push.delivery import send

	at, began = time.time(), time.monotonic()
	try:
		config.require(ALL_KEYS)
		check_instance(config)
		key, key_warnings = load_api_key(config, environ)
		observed = _observe(config, state, at, save_snapshot=request.save_snapshot)
	except NotSent as error:
		return Result(NOT_SENT, at, error=message_of(error), duration_ms=_milliseconds_since(began)), state

	# Stamped before sending: a process that is killed from here on must not make the next one believe that
	# nothing was tried, nor ask for a second snapshot. A push that was not sent stamps nothing, so that a
	# trigger without the key cannot starve one that has it.
	last_snapshot_at = state.last_snapshot_at
	stamp = at if observed.payload.save_snapshot else last_snapshot_at
	state = replace(state, last_attempt_at=at, last_snapshot_at=stamp, cpu=observed.cpu)
	folder.write(state)
	delivery = send(
		config.control_plane_url,
		key,
		observed.payload,
		attempt_seconds=config.timeout,
		deadline_seconds=max(0.1, deadline - time.monotonic()),
		max_attempts=request.max_attempts or ATTEMPTS,
	)
	if not delivery.snapshot_taken:
		state = replace(state, last_snapshot_at=last_snapshot_at)
	return (
		Result(
			outcome=delivery.outcome,
			at=at,
			payload=delivery.payload.as_dict(),
			status_code=delivery.status_code,
			attempts=delivery.attempts,
			duration_ms=_milliseconds_since(began),
			error=delivery.error,
			warnings=(*key_warnings, *observed.warnings),
		),
		state,
	)


@dataclass(frozen=True)
class _Observed:
	"""What was counted and sampled for one push."""

	payload: Payload
	cpu: CpuReading | None
	warnings: tuple[str, ...]


def _observe(config: Config, state: State, at: float, *, save_snapshot: bool) -> _Observed:
	"""Count the tenants and sample the host. Raises NotSent where there is no count."""
	from prego_metrics.agent.collectors.host import sample_host
	from prego_metrics.agent.collectors.tenant_count import count_tenants
	from prego_metrics.agent.push.payload import Payload

	census = count_tenants(config)
	host = sample_host(state.cpu, config.disk_paths)
	payload = Payload(
		node_id=config.node_id,
		tenant_count=census.tenant_count,
		cpu_pct=host.cpu_pct,
		memory_pct=host.memory_pct,
		disk_pct=host.disk_pct,
		save_snapshot=save_snapshot
		or due.is_snapshot_due(at, state.last_snapshot_at, config.snapshot_interval),
	)
	return _Observed(payload, host.cpu, (*census.warnings, *host.warnings))


def _record(config: Config, folder: StateFolder, state: State, request: Request, ended: Result) -> list[str]:
	"""Write down how a push ended; return what could not be written."""
	import secrets

	push = Push(
		id=secrets.token_hex(8),
		at=ended.at,
		trigger=request.trigger,
		outcome=ended.outcome,
		payload=ended.payload,
		status_code=ended.status_code,
		attempts=ended.attempts,
		duration_ms=ended.duration_ms,
		# What is cut is no sentence of ours any more.
		error=ended.error if len(ended.error or "") <= MAX_ERROR else (ended.error or "")[:MAX_ERROR],
		who=sanitize(request.who, MAX_WHO) if request.who else None,
	)
	# Who was told that pushes have stopped is told once when they are back, and not that they fail as well.
	state = replace(state, alerted=state.alerted or was_alerted_stale(folder, state))
	trouble = folder.write(state.recorded(push, config.alert_after, config.disk_alert_pct))
	if trouble:
		return [
			message(
				"{trouble}. The push itself is not affected, but every tick pushes until that is mended",
				trouble=trouble,
			)
		]
	trouble = folder.append_history(push)
	if trouble:
		return [message("{trouble}. Only this push's line in the history is lost", trouble=trouble)]
	return []


def _is_due(config: Config, state: State) -> bool:
	# The clock is read after the state: a stamp from a push that is just beginning must not look like the future.
	return due.is_due(time.time(), state.last_attempt_at, config.push_interval, last_failed=state.last_failed)


def _busy(folder: StateFolder, waited: float) -> Result:
	state, _ = folder.read()
	now = time.time()
	seconds = f"{waited:.0f}"
	error = message("another push is running; waited {seconds} s for it. Nothing was sent", seconds=seconds)
	if state.unfinished and state.last_attempt_at is not None:
		error = message(
			"another push is running since {age} s; waited {seconds} s for it. Nothing was sent",
			age=f"{now - state.last_attempt_at:.0f}",
			seconds=seconds,
		)
	return Result(BUSY, now, duration_ms=int(waited * 1000), error=error)


def _heartbeat(config: Config) -> tuple[str, ...]:
	"""Ping the dead man's switch, after the lock is free; return a warning if it was not reached."""
	if not config.heartbeat_url and not config.heartbeat_url_file:
		return ()
	from prego_metrics.agent.push.heartbeat import ping

	trouble = ping(config)
	return (trouble,) if trouble else ()


def _milliseconds_since(monotonic: float) -> int:
	return int((time.monotonic() - monotonic) * 1000)
