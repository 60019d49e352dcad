"""What makes pushes happen: which triggers tick, whether they agree, and whether they are fast enough."""

from __future__ import annotations

import itertools
import os
import statistics
import time

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import Message, code_of, coded, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.bench.installed_frappe import frappe_version, tick_seconds
from prego_metrics.agent.bench.processes import how_to_restart
from prego_metrics.agent.setup.systemd_units import enabled_timer
from prego_metrics.agent.state.lock_contention import stuck_push
from prego_metrics.agent.state.model import Tick
from prego_metrics.agent.state.outcomes import DELIVERED, NOT_SENT, outcome_word
from prego_metrics.agent.state.schedule import MAX_SLACK_SECONDS
from prego_metrics.agent.state.status import FRESH, NEVER, STALE, judge_status
from prego_metrics.doctor.check import (
	FAIL,
	PASS,
	SKIP,
	WARN,
	Examination,
	Finding,
	alive_triggers,
	found,
	living_ticks,
)
from prego_metrics.doctor.frappe_on_disk import doubt_of_tick, first_run_awaited
from prego_metrics.doctor.units import timer_awaited

# The timer and cron of this app run each minute.
MINUTE_SECONDS = 60.0
_GAPS_LOOKED_AT = 10
# A gap longer than this is an outage, which other checks name.
_OUTAGE_SECONDS = 3600.0


def triggers(node: Examination) -> Finding:
	"""Something asks for a push again and again."""
	ticks = node.ticks
	start = message(
		"start one that runs `prego-metrics push --if-due` every minute: a timer (`prego-metrics systemd`) or cron"
	)
	if node.has_app:
		start = message(
			"fix the failed Frappe checks, enable the scheduler (`bench --site SITE enable-scheduler`), or add a trigger: "
			"`prego-metrics systemd`, or cron with `prego-metrics push --if-due`"
		)
	alive = living_ticks(node)
	if not alive and node.unwritable:
		return found(SKIP, "runs cannot be recorded: see the check `state`")
	if not ticks:
		awaited = first_run_awaited(node, settings_changed_at(node))
		return awaited or timer_awaited(node) or found(FAIL, "no trigger has ever run", start)
	last_runs = joined(_last_run(tick) for tick in ticks)
	# What ran by hand once, and not since, is no trigger that stopped.
	stopped = [tick.trigger for tick in ticks if tick not in alive and tick.is_repeated]
	again = message("start it again")
	timer = enabled_timer(node.bench) if "timer" in stopped else None
	if timer:
		unit = timer.removesuffix(".timer")
		again = message(
			"run `sudo systemctl start {unit}.timer`; if it runs, see `journalctl -u {unit}`", unit=unit
		)
		start = message("{again}. Also: {start}", again=again, start=start)
	if not alive:
		return found(FAIL, "every trigger has stopped: {ticks}", start, ticks=last_runs)
	if not any(tick.is_repeated for tick in alive):
		return found(
			WARN,
			"no trigger has run a second time yet: {ticks}",
			"run the doctor again in {seconds} s",
			ticks=last_runs,
			seconds=f"{_repeat_seconds(node, alive):.0f}",
		)
	if stopped:
		return found(
			WARN,
			"stopped: {triggers} ({ticks})",
			"{again}. If it was removed for good, delete its file tick-TRIGGER.json in {folder}",
			again=again,
			triggers=", ".join(stopped),
			ticks=last_runs,
			folder=sanitize(node.folder.path),
		)
	unable = [tick.trigger for tick in alive if tick.outcome == NOT_SENT]
	if unable:
		action = message(
			"run the doctor as the user and in the environment of that trigger: its settings or its key differ"
		)
		if stuck_push(node.folder):
			action = message("fix the check `lock`")
		elif node.cannot_push:
			action = message("fix the checks `configuration`, `api_key` and `tenants`")
		return found(
			WARN,
			"running, but unable to send: {triggers} ({ticks})",
			action,
			triggers=", ".join(unable),
			ticks=last_runs,
		)
	once = [tick.trigger for tick in alive if not tick.is_repeated]
	if once:
		return found(
			PASS, "{ticks}. Only one run seen so far: {triggers}", ticks=last_runs, triggers=", ".join(once)
		)
	return Finding(PASS, last_runs)


def second_trigger(node: Examination) -> Finding:
	"""Frappe's scheduler is not the only trigger where it is known to fall silent."""
	alive = alive_triggers(node)
	if not alive:
		return found(SKIP, "no trigger is running")
	if alive != {"frappe"}:
		return found(PASS, "pushed by {triggers}", triggers=", ".join(sorted(alive)))
	version = frappe_version(node.bench)
	if version is None or not version.goes_dormant:
		return found(PASS, "only Frappe's scheduler pushes")
	return found(
		WARN,
		"only Frappe's scheduler pushes, and Frappe {version} stops running jobs when nobody logs in for days",
		"add a second trigger: `prego-metrics systemd`, or cron with `prego-metrics push --if-due`",
		version=version.full,
	)


def trigger_settings(node: Examination) -> Finding:
	"""Every trigger pushes as the same node, and as often."""
	alive = living_ticks(node)
	changed_at = settings_changed_at(node)
	differing = [
		tick
		for tick in alive
		if tick.at > changed_at
		and (tick.node_id != node.config.node_id or tick.push_interval != node.config.push_interval)
	]
	if not alive:
		return found(SKIP, "no trigger is running")
	# In the hardened mode the node's name is not in the file that this run of the doctor has read.
	if not node.config.node_id:
		return found(SKIP, "node_id is not set here, so there is nothing to compare")
	if differing:
		return found(
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
			"use the same settings for every trigger: look for PREGO_METRICS_ variables in its environment",
		)
	return found(
		PASS,
		"every trigger pushes as {node} every {interval} s",
		node=sanitize(node.config.node_id),
		interval=f"{node.config.push_interval:g}",
	)


def settings_changed_at(node: Examination) -> float:
	"""Return since when the settings are what they are: a tick before that knew no better."""
	try:
		return os.stat(config_file(node.bench)).st_mtime
	except OSError:
		return 0.0


def interval(node: Examination) -> Finding:
	"""The triggers run often enough for the interval, by their settings and as seen."""
	living = living_ticks(node)
	if not living:
		return found(SKIP, "no trigger is running")
	# What ran once, by hand perhaps, has no pace.
	alive = [tick for tick in living if tick.is_repeated] or living
	changed_at = settings_changed_at(node)
	wanted = (node.pushed if all(tick.at > changed_at for tick in alive) else node.config).push_interval
	lengths = {
		tick.trigger: tick_seconds(node.bench, node.common) if tick.trigger == "frappe" else MINUTE_SECONDS
		for tick in alive
	}
	# Frappe's scheduler leaves the pushes to any other trigger.
	leading = [trigger for trigger in lengths if trigger != "frappe"] or list(lengths)
	slowest = max(leading, key=lambda trigger: lengths[trigger])
	if lengths[slowest] > wanted + MAX_SLACK_SECONDS:
		action = message("set push_interval to 60 or more")
		if slowest == "frappe":
			action = message(
				"run `prego-metrics configure --scheduler-tick-interval {seconds}` and restart the bench's processes: "
				"{how}. Or set push_interval to {tick}",
				seconds=f"{min(wanted, MINUTE_SECONDS):g}",
				how=how_to_restart(node.bench),
				tick=f"{lengths[slowest]:g}",
			)
		return found(
			WARN,
			"{trigger} runs every {seconds} s, too slow for a push_interval of {interval} s",
			action,
			trigger=slowest,
			seconds=f"{lengths[slowest]:g}",
			interval=f"{wanted:g}",
		)
	longest_gap = wanted + MINUTE_SECONDS + MAX_SLACK_SECONDS
	if "frappe" in lengths and (doubt := doubt_of_tick(node, changed_at, longest_gap)):
		return found(
			WARN,
			coded("tick_unproven", seconds=f"{lengths['frappe']:g}", reason=doubt),
			"restart the bench's processes: {how}",
			how=how_to_restart(node.bench),
		)
	gap = _usual_gap(node)
	if gap is not None and gap > longest_gap:
		return found(
			WARN,
			"pushes are usually {seconds} s apart, but push_interval is {interval} s",
			message(
				"restart Frappe's scheduler and workers, which read scheduler_tick_interval only when they start: {how}",
				how=how_to_restart(node.bench),
			)
			if "frappe" in lengths
			else message("make the triggers run every minute"),
			seconds=f"{gap:.0f}",
			interval=f"{wanted:g}",
		)
	return Finding(
		PASS,
		joined(
			(
				message("{trigger} runs every {seconds} s", trigger=trigger, seconds=f"{length:g}")
				for trigger, length in lengths.items()
			),
			", ",
		),
	)


def _usual_gap(node: Examination) -> float | None:
	"""Return the median of the seconds between the last scheduled pushes, or None if there are too few."""
	times = [push.at for push in node.history if push.trigger != "manual"][-_GAPS_LOOKED_AT - 1 :]
	gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
	gaps = [gap for gap in gaps if 0 < gap < _OUTAGE_SECONDS]
	return statistics.median(gaps) if len(gaps) >= _GAPS_LOOKED_AT // 2 else None


def last_push(node: Examination) -> Finding:
	"""The control plane has a fresh row of this node."""
	status = judge_status(node.state, node.pushed, time.time(), folder=node.folder)
	if status.verdict == FRESH:
		return Finding(PASS, status.sentence)
	action = message("fix the failed checks, then run: prego-metrics push")
	if status.last is None or (status.verdict == NEVER and status.last.outcome == DELIVERED):
		once = message("push once: prego-metrics push")
		return Finding(WARN, status.sentence, action if node.cannot_push else once)
	if code_of(status.last.error) == "push_killed":
		action = message(
			"find out what killed it: out of memory (`journalctl -k`), a limit of its unit, container or worker, or a "
			"reboot. Then run: prego-metrics push"
		)
	if (
		code_of(status.last.error) == "key_with_timer_only"
		and status.last.trigger == "manual"
		and status.verdict not in (NEVER, STALE)
		and "timer" in alive_triggers(node)
	):
		return Finding(WARN, status.sentence, message("nothing: the timer pushes within a minute"))
	code = code_of(status.last.error) or (STALE if status.verdict == STALE else "")
	return Finding(FAIL, status.sentence, action, code)


def _repeat_seconds(node: Examination, alive: list[Tick]) -> float:
	"""Return how long it takes until one of these triggers, if it is one, has run again."""
	if any(tick.trigger != "frappe" for tick in alive):
		return MINUTE_SECONDS
	return max(MINUTE_SECONDS, tick_seconds(node.bench, node.common))


def _last_run(tick: Tick) -> Message:
	age = time.time() - tick.at
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
