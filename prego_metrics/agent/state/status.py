"""Is this node delivering? The answer for `status`, the doctor and the Desk, from the state folder alone."""

from __future__ import annotations

from dataclasses import dataclass

from prego_metrics.agent.base.formatting import duration, interval_word, iso_utc, tenants_word
from prego_metrics.agent.base.messages import Message, code_of, first_line, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.installed_frappe import scheduler_tick
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.light_typing import Any
from prego_metrics.agent.state.lock_contention import stuck_push
from prego_metrics.agent.state.maintenance import (
	Maintenance,
	held_message,
	holding,
	maintenance_as_dict,
	maintenances,
)
from prego_metrics.agent.state.model import Push, State
from prego_metrics.agent.state.outcomes import DELIVERED, outcome_word, trigger_word
from prego_metrics.agent.state.schedule import (
	CLOCK_STEP_SECONDS,
	MAX_SLACK_SECONDS,
	deadline_seconds,
	fresh_seconds,
	seconds_asked,
)
from prego_metrics.agent.state.store import StateFolder

FRESH = "fresh"
FAILING = "failing"
STALE = "stale"
NEVER = "never"
_PERCENTS = ("cpu", "memory", "disk")
_EXIT_CODES = {FRESH: 0, FAILING: 1, STALE: 2, NEVER: 3}
# The words that monitoring systems know (the monitoring-plugins guidelines) for those exit codes.
_PLUGIN_WORDS = {FRESH: "OK", FAILING: "WARNING", STALE: "CRITICAL", NEVER: "UNKNOWN"}


@dataclass(frozen=True)
class Status:
	"""The verdict; age_seconds is that of the last delivered push, None without one.

	headline says how fresh the node is, reasons why it is not, and what it waits for.
	not_before is until when the control plane asks to wait, None if it does not.
	tick_seconds is how often Frappe's scheduler looks for due jobs, None where it does not push.
	maintenance is what holds alerts now, None if nothing does.
	"""

	verdict: str
	headline: Message
	reasons: tuple[Message, ...]
	age_seconds: float | None
	max_age_seconds: float
	last: Push | None
	last_delivered: Push | None
	failures_in_a_row: int
	not_before: float | None = None
	tick_seconds: float | None = None
	maintenance: Maintenance | None = None

	@property
	def sentence(self) -> Message:
		"""The headline and the reasons."""
		sentence = self.headline
		for reason in self.reasons:
			sentence = message("{sentence}; {reason}", sentence=sentence, reason=reason)
		return sentence

	@property
	def exit_code(self) -> int:
		"""0 fresh, 1 fresh but the last attempt failed, 2 stale, 3 never pushed."""
		return _EXIT_CODES[self.verdict]

	@property
	def plugin_line(self) -> str:
		"""One line as monitoring plugins print it, with performance data."""
		figures = [
			f"age={_figure(self.age_seconds, '.0f', 's')};;{self.max_age_seconds:.0f};0",
			f"failures={self.failures_in_a_row};;;0",
		]
		if self.last_delivered and self.last_delivered.payload:
			payload = self.last_delivered.payload
			figures += [
				f"tenants={payload['tenant_count']};;;0",
				*(f"{name}={_figure(payload.get(f'{name}_pct'), 'g', '%')};;;0;100" for name in _PERCENTS),
				f"duration={self.last_delivered.duration_ms / 1000:.3f}s;;;0",
			]
		data = " ".join(figures)
		# The first bar ends the sentence for a monitoring system, and a server's words may hold one.
		sentence = self.sentence.replace("|", "\\x7c")
		return f"PREGO {_PLUGIN_WORDS[self.verdict]} - {sentence} | {data}"

	def as_dict(self) -> dict[str, Any]:
		"""Return the status as JSON has it."""
		return {
			"status": self.verdict,
			"sentence": self.sentence,
			"age_seconds": None if self.age_seconds is None else round(self.age_seconds, 1),
			"max_age_seconds": self.max_age_seconds,
			"failures_in_a_row": self.failures_in_a_row,
			"not_before": None if self.not_before is None else iso_utc(self.not_before),
			"tick_seconds": self.tick_seconds,
			"maintenance": self.maintenance and maintenance_as_dict(self.maintenance),
			"last": _push_as_dict(self.last),
			"last_delivered": _push_as_dict(self.last_delivered),
		}


def judge_status(
	state: State,
	config: Config,
	now: float,
	max_age_seconds: float | None = None,
	*,
	folder: StateFolder | None = None,
) -> Status:
	"""Judge how fresh the control plane's row of this node is.

	`max_age_seconds` is what counts as fresh, by default what the platform expects for the interval.
	A push that was delivered under another node_id says nothing of this node. `folder` may know what the state
	does not: that the lock is stuck, or that the state cannot be written.
	"""
	stuck = stuck_push(folder) if folder else None
	if stuck:
		state = state._replace(last=stuck, last_attempt_at=min(state.last_attempt_at or stuck.at, stuck.at))
	max_age = fresh_seconds(config.push_interval) if max_age_seconds is None else max_age_seconds
	delivered = state.last_delivered
	if delivered and delivered.payload and config.node_id and delivered.payload["node_id"] != config.node_id:
		delivered = None
	age = None if delivered is None else now - delivered.at
	if age is not None and age >= -CLOCK_STEP_SECONDS:
		age = max(0.0, age)  # the clock was set right since then
	tick = scheduler_tick(config.bench) if config.scheduler_pushes else None
	failure = _failure(state, now, deadline_seconds(config.push_interval))
	asked = _asked(state, now)
	reason: Message | None = failure
	is_silent = age is None or age > max_age
	unrecorded = folder.unwritable_by_owner() if folder and is_silent and not failure else None
	if delivered is None or age is None:
		verdict = NEVER
		node = sanitize(config.node_id) or message("this node")
		headline = message("no push was ever delivered as {node}", node=node)
		reason = failure or unrecorded or _nothing_yet(state, tick)
	elif age < 0:
		verdict = STALE
		headline = message(
			"the last delivered push is {seconds} in the future: the clock was set back",
			seconds=duration(-age),
		)
	elif unrecorded:
		verdict, reason = STALE, unrecorded
		headline = message("last recorded delivery {age} ago", age=duration(age))
	elif age > max_age:
		verdict = STALE
		headline = message(
			"last delivered {age} ago (limit: {seconds})",
			age=duration(age),
			seconds=interval_word(max_age),
		)
		reason = failure or asked or message("no trigger has pushed since: run `prego-metrics doctor`")
	else:
		# A node that only waits as it was asked to does not fail.
		verdict = FAILING if failure and not asked else FRESH
		headline = _delivered(delivered, age, config.push_interval, tick)
	records = maintenances(folder, config.bench_in_maintenance, now, note=False) if folder else []
	maintenance = holding(records, now)
	held = held_message(maintenance) if maintenance else None
	return Status(
		verdict,
		headline,
		tuple(addition for addition in dict.fromkeys((reason, asked, held)) if addition),
		age,
		max_age,
		state.last,
		delivered,
		state.failures_in_a_row,
		state.not_before if asked else None,
		tick,
		maintenance,
	)


def _figure(value: float | None, form: str = "", unit: str = "") -> str:
	"""Return a figure of the performance data; U is that of monitoring plugins for one that is not known."""
	return "U" if value is None else f"{value:{form}}{unit}"


def _failure(state: State, now: float, deadline: float) -> Message | None:
	last = state.last
	if state.unfinished and state.last_attempt_at and now - state.last_attempt_at > deadline:
		# The next push records it as killed; none may come.
		return message("the push started at {at} has not finished", at=iso_utc(state.last_attempt_at))
	if last is None or last.outcome == DELIVERED:
		return None
	return message(
		"the last push ({at}, {trigger}) was not delivered: {error}",
		at=iso_utc(last.at),
		trigger=trigger_word(last.trigger),
		error=first_line(last.error, 300) if last.error else outcome_word(last.outcome),
	)


def _asked(state: State, now: float) -> Message | None:
	if not seconds_asked(now, state.not_before):
		return None
	return message("the control plane asked to wait until {time}", time=iso_utc(state.not_before or now))


def _delivered(push: Push, age: float, interval: float, tick: float | None) -> Message:
	tenants = tenants_word(push.payload["tenant_count"]) if push.payload else message("unknown")
	if push.trigger == "frappe" and tick and tick > interval + MAX_SLACK_SECONDS:
		return message(
			"delivered {age} ago, every {tick} (Frappe's scheduler), {tenants}",
			age=duration(age),
			tick=interval_word(tick),
			tenants=tenants,
		)
	return message(
		"delivered {age} ago, every {interval}, {tenants}",
		age=duration(age),
		interval=interval_word(interval),
		tenants=tenants,
	)


def _nothing_yet(state: State, tick: float | None) -> Message:
	if state.unfinished:
		return message("a push was started but did not finish")
	other = state.last_delivered
	if other and other.payload:
		return message(
			"the last delivered push ({at}) was for {node}",
			at=iso_utc(other.at),
			node=sanitize(str(other.payload["node_id"])),
		)
	if tick:
		return message(
			(
				"no push has run yet. Frappe's scheduler runs every {seconds} s; if no push follows, "
				"run `prego-metrics doctor`"
			),
			seconds=f"{tick:g}",
		)
	return message(
		"no push has run yet. Run `prego-metrics push`, then `prego-metrics doctor` to see which triggers run"
	)


def _push_as_dict(push: Push | None) -> dict[str, Any] | None:
	if push is None:
		return None
	return {
		"id": push.id,
		"at": iso_utc(push.at),
		"driver": push.trigger,
		"outcome": push.outcome,
		"payload": dict(push.payload) if push.payload else None,
		"status_code": push.status_code,
		"attempts": push.attempts,
		"duration_ms": push.duration_ms,
		"error": sanitize(push.error) if push.error else None,
		"error_code": code_of(push.error) or None,
	}
