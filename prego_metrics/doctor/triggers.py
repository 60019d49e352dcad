"""What makes pushes happen: which triggers tick, whether they agree, and whether they are fast enough."""

from __future__ import annotations

import itertools
import os
import statistics
import time

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import Message, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.bench.installed_frappe import frappe_version, tick_seconds
from prego_metrics.agent.state.model import Tick
from prego_metrics.agent.state.outcomes import NOT_SENT, outcome_word
from prego_metrics.agent.state.schedule import MAX_SLACK_SECONDS, fresh_seconds
from prego_metrics.agent.state.status import FRESH, judge_status
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination

# The timer and cron of this app run each minute.
MINUTE_SECONDS = 60.0
_GAPS_LOOKED_AT = 10
# A gap longer than this is an outage, which other checks name.
_OUTAGE_SECONDS = 3600.0


def triggers(seen: Examination) -> Check:
	"""Something asks for a push again and again."""
	now = time.time()
	ticks = seen.ticks
	start = message(
		"mend what the checks of Frappe name (scheduler, workers, job and the others), or enable the scheduler of "
		"a site that has the app (`bench --site SITE enable-scheduler`), or a timer or cron that runs "
		"`prego-metrics push --if-due` every minute"
	)
	if not ticks:
		return Check("triggers", FAIL, message("no trigger has ever ticked"), start)
	alive = _alive(seen, now)
	text = joined(_told(now, tick) for tick in ticks)
	if not alive:
		return Check("triggers", FAIL, message("every trigger has stopped: {ticks}", ticks=text), start)
	stopped = [tick.trigger for tick in ticks if tick not in alive]
	if stopped:
		return Check(
			"triggers",
			WARN,
			message("stopped: {triggers} ({ticks})", triggers=", ".join(stopped), ticks=text),
			message(
				"start it again, or remove its file tick-TRIGGER.json in {folder} if it is gone for good",
				folder=sanitize(seen.folder.path),
			),
		)
	unable = [tick.trigger for tick in alive if tick.outcome == NOT_SENT]
	if unable:
		return Check(
			"triggers",
			WARN,
			message(
				"ticking, but unable to send anything: {triggers} ({ticks})",
				triggers=", ".join(unable),
				ticks=text,
			),
			message(
				"run the doctor as the user, and with the environment, of that trigger: its settings or its key differ"
			),
		)
	return Check("triggers", PASS, text)


def second_trigger(seen: Examination) -> Check:
	"""Frappe's scheduler is not the only trigger where it is known to fall silent."""
	alive = {tick.trigger for tick in _alive(seen, time.time())}
	if alive != {"frappe"}:
		if not alive:
			return Check("second_trigger", SKIP, message("no trigger ticks"))
		return Check(
			"second_trigger", PASS, message("pushed by {triggers}", triggers=", ".join(sorted(alive)))
		)
	version = frappe_version(seen.bench)
	if version is None or not version.goes_dormant:
		return Check("second_trigger", PASS, message("pushed by Frappe's scheduler alone"))
	return Check(
		"second_trigger",
		WARN,
		message(
			"pushed by Frappe's scheduler alone, and Frappe {version} passes over a site that nobody logs in to",
			version=version.text,
		),
		message(
			"give the node a second trigger: a timer, or a line in the crontab, that runs `prego-metrics push --if-due`"
		),
	)


def trigger_settings(seen: Examination) -> Check:
	"""Every trigger pushes as the same node, and as often."""
	alive = _alive(seen, time.time())
	changed_at = _settings_changed_at(seen)
	differing = [
		tick
		for tick in alive
		if tick.at > changed_at
		and (tick.node_id != seen.config.node_id or tick.push_interval != seen.config.push_interval)
	]
	if not alive:
		return Check("trigger_settings", SKIP, message("no trigger ticks"))
	# In the hardened mode the node's name is not in the file that this run of the doctor has read.
	if not seen.config.node_id:
		return Check(
			"trigger_settings", SKIP, message("node_id is not set here, so there is nothing to compare")
		)
	if differing:
		return Check(
			"trigger_settings",
			WARN,
			joined(
				message(
					"{trigger} pushes as {node} every {interval} s",
					trigger=tick.trigger,
					node=sanitize(tick.node_id) or message("nobody"),
					interval=f"{tick.push_interval:g}",
				)
				for tick in differing
			),
			message(
				"give every trigger the same settings: look for PREGO_METRICS_ variables in its environment"
			),
		)
	return Check(
		"trigger_settings",
		PASS,
		message(
			"every trigger pushes as {node} every {interval} s",
			node=sanitize(seen.config.node_id) or message("nobody"),
			interval=f"{seen.config.push_interval:g}",
		),
	)


def _settings_changed_at(seen: Examination) -> float:
	"""Return since when the settings are what they are: a tick before that knew no better."""
	try:
		return os.stat(config_file(seen.bench)).st_mtime
	except OSError:
		return 0.0


def interval(seen: Examination) -> Check:
	"""The triggers tick often enough for the interval, by their settings and as seen."""
	alive = _alive(seen, time.time())
	if not alive:
		return Check("interval", SKIP, message("no trigger ticks"))
	changed_at = _settings_changed_at(seen)
	wanted = (seen.pushed if all(tick.at > changed_at for tick in alive) else seen.config).push_interval
	lengths = {
		tick.trigger: tick_seconds(seen.bench, seen.common) if tick.trigger == "frappe" else MINUTE_SECONDS
		for tick in alive
	}
	slowest = max(lengths, key=lambda trigger: lengths[trigger])
	if lengths[slowest] > wanted + MAX_SLACK_SECONDS:
		text = message(
			"{trigger} ticks every {seconds} s, which cannot keep an interval of {interval} s",
			trigger=slowest,
			seconds=f"{lengths[slowest]:g}",
			interval=f"{wanted:g}",
		)
		if slowest == "frappe":
			return Check(
				"interval",
				WARN,
				text,
				message(
					"set scheduler_tick_interval to {seconds} (`prego-metrics configure --scheduler-tick-interval "
					"{seconds}`), then restart Frappe's scheduler and its workers; or set push_interval to {tick}",
					seconds=f"{min(wanted, MINUTE_SECONDS):g}",
					tick=f"{lengths[slowest]:g}",
				),
			)
		return Check("interval", WARN, text, message("set push_interval to 60 or more"))
	gap = _usual_gap(seen)
	if gap is not None and gap > wanted + MINUTE_SECONDS + MAX_SLACK_SECONDS:
		return Check(
			"interval",
			WARN,
			message(
				"pushes are usually {seconds} s apart, and push_interval is {interval} s",
				seconds=f"{gap:.0f}",
				interval=f"{wanted:g}",
			),
			message(
				"the triggers tick too seldom: Frappe's scheduler and workers read scheduler_tick_interval only when "
				"they start (`bench restart`)"
			),
		)
	shown = joined(
		(
			message("{trigger} ticks every {seconds} s", trigger=trigger, seconds=f"{length:g}")
			for trigger, length in lengths.items()
		),
		", ",
	)
	return Check("interval", PASS, shown)


def _usual_gap(seen: Examination) -> float | None:
	"""Return the median of the seconds between the last scheduled pushes, or None if there are too few."""
	times = [push.at for push in seen.history if push.trigger != "manual"][-_GAPS_LOOKED_AT - 1 :]
	gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
	gaps = [gap for gap in gaps if 0 < gap < _OUTAGE_SECONDS]
	return statistics.median(gaps) if len(gaps) >= _GAPS_LOOKED_AT // 2 else None


def last_push(seen: Examination) -> Check:
	"""The control plane has a fresh row of this node."""
	status = judge_status(seen.state, seen.pushed, time.time())
	if status.verdict == FRESH:
		return Check("last_push", PASS, status.sentence)
	if status.last is None:
		return Check("last_push", WARN, status.sentence, message("push once: prego-metrics push"))
	return Check(
		"last_push",
		FAIL,
		status.sentence,
		message("mend what the other checks name, then: prego-metrics push"),
	)


def is_triggered(seen: Examination, *, only: str = "", without: str = "") -> bool:
	"""Tell whether a trigger ticks; the one named, or any but the one named."""
	triggers = {tick.trigger for tick in _alive(seen, time.time())}
	return only in triggers if only else bool(triggers - {without})


def _alive(seen: Examination, now: float) -> list[Tick]:
	shortest = seen.config.push_interval  # a crontab with an interval of its own may also run that seldom
	return [
		tick for tick in seen.ticks if 0 <= now - tick.at <= fresh_seconds(max(shortest, tick.push_interval))
	]


def _told(now: float, tick: Tick) -> Message:
	age = now - tick.at
	if age < 0:
		return message(
			"{trigger} in the future, {outcome}", trigger=tick.trigger, outcome=outcome_word(tick.outcome)
		)
	return message(
		"{trigger} {age} ago, {outcome}",
		trigger=tick.trigger,
		age=duration(age),
		outcome=outcome_word(tick.outcome),
	)
