"""What makes pushes happen: which drivers tick, whether they agree, and whether they are fast enough."""

from __future__ import annotations

import itertools
import os
import statistics
import time

from prego_metrics.agent.base.messages import Wording, joined, wording
from prego_metrics.agent.base.sanitize import printable
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.bench.installed_frappe import frappe_version, tick_seconds
from prego_metrics.agent.push.result import NOT_SENT, outcome_word
from prego_metrics.agent.state.model import Tick
from prego_metrics.agent.state.schedule import MAX_SLACK_SECONDS, fresh_seconds
from prego_metrics.agent.state.status import FRESH, duration, judge_status
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination

# The timer and cron of this app run each minute.
MINUTE_SECONDS = 60.0
_GAPS_LOOKED_AT = 10
# A gap longer than this is an outage, which other checks name.
_OUTAGE_SECONDS = 3600.0


def drivers(seen: Examination) -> Check:
	"""Something asks for a push again and again."""
	now = time.time()
	ticks = seen.ticks
	start = wording(
		"mend what the checks of Frappe name (scheduler, workers, job and the others), or enable the scheduler of "
		"a site that has the app (`bench --site SITE enable-scheduler`), or a timer or cron that runs "
		"`prego-metrics push --if-due` every minute"
	)
	if not ticks:
		return Check("drivers", FAIL, wording("no driver has ever ticked"), start)
	alive = _alive(seen, now)
	text = joined(_told(now, tick) for tick in ticks)
	if not alive:
		return Check("drivers", FAIL, wording("every driver has stopped: {ticks}", ticks=text), start)
	stopped = [tick.driver for tick in ticks if tick not in alive]
	if stopped:
		return Check(
			"drivers",
			WARN,
			wording("stopped: {drivers} ({ticks})", drivers=", ".join(stopped), ticks=text),
			wording(
				"start it again, or remove its file tick-DRIVER.json in {folder} if it is gone for good",
				folder=printable(seen.folder.path),
			),
		)
	unable = [tick.driver for tick in alive if tick.outcome == NOT_SENT]
	if unable:
		return Check(
			"drivers",
			WARN,
			wording(
				"ticking, but unable to send anything: {drivers} ({ticks})",
				drivers=", ".join(unable),
				ticks=text,
			),
			wording(
				"run the doctor as the user, and with the environment, of that driver: its settings or its key differ"
			),
		)
	return Check("drivers", PASS, text)


def second_driver(seen: Examination) -> Check:
	"""Frappe's scheduler is not the only driver where it is known to fall silent."""
	alive = {tick.driver for tick in _alive(seen, time.time())}
	if alive != {"frappe"}:
		if not alive:
			return Check("second_driver", SKIP, wording("no driver ticks"))
		return Check("second_driver", PASS, wording("driven by {drivers}", drivers=", ".join(sorted(alive))))
	version = frappe_version(seen.bench)
	if version is None or not version.goes_dormant:
		return Check("second_driver", PASS, wording("driven by Frappe's scheduler alone"))
	return Check(
		"second_driver",
		WARN,
		wording(
			"driven by Frappe's scheduler alone, and Frappe {version} passes over a site that nobody logs in to",
			version=version.text,
		),
		wording(
			"give the node a second driver: a timer, or a line in the crontab, that runs `prego-metrics push --if-due`"
		),
	)


def driver_settings(seen: Examination) -> Check:
	"""Every driver pushes as the same node, and as often."""
	alive = _alive(seen, time.time())
	changed_at = _settings_changed_at(seen)
	differing = [
		tick
		for tick in alive
		if tick.at > changed_at
		and (tick.node_id != seen.config.node_id or tick.push_interval != seen.config.push_interval)
	]
	if not alive:
		return Check("driver_settings", SKIP, wording("no driver ticks"))
	# In the hardened mode the node's name is not in the file that this run of the doctor has read.
	if not seen.config.node_id:
		return Check(
			"driver_settings", SKIP, wording("node_id is not set here, so there is nothing to compare")
		)
	if differing:
		return Check(
			"driver_settings",
			WARN,
			joined(
				wording(
					"{driver} pushes as {node} every {interval} s",
					driver=tick.driver,
					node=printable(tick.node_id) or wording("nobody"),
					interval=f"{tick.push_interval:g}",
				)
				for tick in differing
			),
			wording(
				"give every driver the same settings: look for PREGO_METRICS_ variables in its environment"
			),
		)
	return Check(
		"driver_settings",
		PASS,
		wording(
			"every driver pushes as {node} every {interval} s",
			node=printable(seen.config.node_id) or wording("nobody"),
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
	"""The drivers tick often enough for the interval, by their settings and as seen."""
	alive = _alive(seen, time.time())
	if not alive:
		return Check("interval", SKIP, wording("no driver ticks"))
	changed_at = _settings_changed_at(seen)
	wanted = (seen.pushed if all(tick.at > changed_at for tick in alive) else seen.config).push_interval
	lengths = {
		tick.driver: tick_seconds(seen.bench, seen.common) if tick.driver == "frappe" else MINUTE_SECONDS
		for tick in alive
	}
	slowest = max(lengths, key=lambda driver: lengths[driver])
	if lengths[slowest] > wanted + MAX_SLACK_SECONDS:
		text = wording(
			"{driver} ticks every {seconds} s, which cannot keep an interval of {interval} s",
			driver=slowest,
			seconds=f"{lengths[slowest]:g}",
			interval=f"{wanted:g}",
		)
		if slowest == "frappe":
			return Check(
				"interval",
				WARN,
				text,
				wording(
					"set scheduler_tick_interval to {seconds} (`prego-metrics configure --scheduler-tick-interval "
					"{seconds}`), then restart Frappe's scheduler and its workers; or set push_interval to {tick}",
					seconds=f"{min(wanted, MINUTE_SECONDS):g}",
					tick=f"{lengths[slowest]:g}",
				),
			)
		return Check("interval", WARN, text, wording("set push_interval to 60 or more"))
	gap = _usual_gap(seen)
	if gap is not None and gap > wanted + MINUTE_SECONDS + MAX_SLACK_SECONDS:
		return Check(
			"interval",
			WARN,
			wording(
				"pushes are usually {seconds} s apart, and push_interval is {interval} s",
				seconds=f"{gap:.0f}",
				interval=f"{wanted:g}",
			),
			wording(
				"the drivers tick too seldom: Frappe's scheduler and workers read scheduler_tick_interval only when "
				"they start (`bench restart`)"
			),
		)
	shown = joined(
		(
			wording("{driver} ticks every {seconds} s", driver=driver, seconds=f"{length:g}")
			for driver, length in lengths.items()
		),
		", ",
	)
	return Check("interval", PASS, shown)


def _usual_gap(seen: Examination) -> float | None:
	"""Return the median of the seconds between the last scheduled pushes, or None if there are too few."""
	times = [push.at for push in seen.history if push.driver != "manual"][-_GAPS_LOOKED_AT - 1 :]
	gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
	gaps = [gap for gap in gaps if 0 < gap < _OUTAGE_SECONDS]
	return statistics.median(gaps) if len(gaps) >= _GAPS_LOOKED_AT // 2 else None


def last_push(seen: Examination) -> Check:
	"""The control plane has a fresh row of this node."""
	status = judge_status(seen.state, seen.pushed, time.time())
	if status.verdict == FRESH:
		return Check("last_push", PASS, status.sentence)
	if status.last is None:
		return Check("last_push", WARN, status.sentence, wording("push once: prego-metrics push"))
	return Check(
		"last_push",
		FAIL,
		status.sentence,
		wording("mend what the other checks name, then: prego-metrics push"),
	)


def is_driven(seen: Examination, *, only: str = "", without: str = "") -> bool:
	"""Tell whether a driver ticks; the one named, or any but the one named."""
	drivers = {tick.driver for tick in _alive(seen, time.time())}
	return only in drivers if only else bool(drivers - {without})


def _alive(seen: Examination, now: float) -> list[Tick]:
	shortest = seen.config.push_interval  # a crontab with an interval of its own may also run that seldom
	return [
		tick for tick in seen.ticks if 0 <= now - tick.at <= fresh_seconds(max(shortest, tick.push_interval))
	]


def _told(now: float, tick: Tick) -> Wording:
	age = now - tick.at
	if age < 0:
		return wording(
			"{driver} in the future, {outcome}", driver=tick.driver, outcome=outcome_word(tick.outcome)
		)
	return wording(
		"{driver} {age} ago, {outcome}",
		driver=tick.driver,
		age=duration(age),
		outcome=outcome_word(tick.outcome),
	)
