"""Frappe's scheduler, as far as disk and kernel show: its tick, its switches, and whether a process of it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.messages import Message, coded, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.installed_frappe import TICK_KEY, scheduler_tick
from prego_metrics.agent.bench.processes import (
	app_added_at,
	how_to_restart,
	is_scheduler_running,
	scheduler_started_at,
)
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config
from prego_metrics.doctor.check import (
	PASS,
	SKIP,
	WARN,
	Examination,
	Finding,
	alive_triggers,
	found,
	living_ticks,
	severity_without_frappe,
)

# In the order in which Frappe's scheduler asks for them.
SWITCHES = ("maintenance_mode", "pause_scheduler", "disable_scheduler")
# So long after a tick a worker has taken the job.
_WORKER_SECONDS = 60.0


def operators_site(node: Examination) -> Finding:
	"""The site on which the node is shown, and to which alerts go, is there."""
	site = node.config.site
	if not site:
		return found(
			SKIP,
			"no operator site is set, so no Desk shows this node or its alerts: `prego-metrics configure --site SITE`",
		)
	contents = _site_config(node, site)
	if isinstance(contents, str):
		return found(
			WARN,
			"{site} was dropped or renamed: its site_config.json {reason}",
			"set its current name: `prego-metrics configure --site SITE`",
			site=sanitize(site),
			reason=contents,
		)
	return Finding(PASS, sanitize(site))


def scheduler_switches(node: Examination) -> Finding:
	"""No key of the configuration stops Frappe's scheduler: for the whole bench, or on the operator site."""
	site = node.config.site
	of_site = _site_config(node, site) if site else {}
	switched_on: list[Message] = []
	for switch in SWITCHES:
		# A site's own key counts before the bench's, also one that says no.
		if isinstance(of_site, Mapping) and switch in of_site:
			if of_site[switch]:
				switched_on.append(
					message("{switch} is set on {site}", switch=switch, site=sanitize(site or ""))
				)
		elif node.common.get(switch):
			switched_on.append(message("{switch} is set for the whole bench", switch=switch))
	if not switched_on:
		return found(PASS, "no configuration key stops Frappe's scheduler")
	return found(
		severity_without_frappe(node),
		joined(switched_on),
		"turn it off so that Frappe's scheduler runs again: {commands}. (A failed `bench update` leaves maintenance_mode "
		"and pause_scheduler on)",
		commands=", ".join(_off(switch) for switch in switched_on),
	)


def _off(switch: Message) -> str:
	"""Return the command that sets a switch off where it was found."""
	where = f"--site {switch.params['site']} set-config" if "site" in switch.params else "set-config -g"
	return f"bench {where} -p {switch.params['switch']} 0"


def _site_config(node: Examination, site: str) -> Mapping[str, object] | str:
	"""Return what a site's own configuration holds, or why it cannot be read."""
	try:
		return read_site_config(os.path.join(node.bench.sites, site, "site_config.json"))
	except OSError:
		return message("does not exist")
	except Unreadable as error:
		reason: str = error.args[0]
		return reason


def scheduler_process(node: Examination) -> Finding:
	"""A process of Frappe's scheduler runs: it holds a lock, which the kernel lists."""
	held = is_scheduler_running(node.bench)
	is_heard = any(tick.trigger == "frappe" for tick in living_ticks(node))
	restart, severity = how_to_restart(node.bench), severity_without_frappe(node)
	if held and not is_heard and (times := _older_than_app(node)):
		started_at, added_at = times
		return found(
			severity,
			coded("processes_old", started=iso_utc(started_at), added=iso_utc(added_at)),
			"restart the bench's processes: {how}",
			how=restart,
		)
	if held:
		return found(PASS, "Frappe's scheduler is running")
	if is_heard:
		return found(PASS, "Frappe's scheduler is running elsewhere")
	if held is None:
		return found(SKIP, "this user or container cannot see whether Frappe's scheduler is running")
	return found(
		severity,
		"Frappe's scheduler is not running for this bench on this machine",
		"start it: {how}. A scheduler that was running when an app was added may have stopped by itself",
		how=restart,
	)


def _older_than_app(node: Examination) -> tuple[float, float] | None:
	"""Return when the scheduler started and when an app was added, if that was later: it cannot import that app."""
	started_at, added_at = scheduler_started_at(node.bench), app_added_at(node.bench)
	return (started_at, added_at) if started_at and added_at and started_at < added_at else None


def first_run_awaited(node: Examination, changed_at: float) -> Finding | None:
	"""Return that Frappe's scheduler will push, within its first tick after it started or the settings changed."""
	tick = scheduler_tick(node.bench)
	if tick is None or not node.config.scheduler_pushes or is_scheduler_running(node.bench) is False:
		return None
	if _older_than_app(node):
		return None  # waiting does not help
	since = max(changed_at, scheduler_started_at(node.bench) or 0.0)
	if time.time() > since + tick + _WORKER_SECONDS:
		return None
	return found(
		WARN,
		"no trigger has run yet. Frappe's scheduler runs every {seconds} s, so expect the first run by {at}",
		"run the doctor again after that, or push now: prego-metrics push",
		seconds=f"{tick:g}",
		at=iso_utc(since + tick + _WORKER_SECONDS),
	)


def doubt_of_tick(node: Examination, changed_at: float, longest_gap: float) -> Message | None:
	"""Return what speaks against the tick that the configuration asks for, or None.

	Only a scheduler that started after the last change is known to have it. One that started before has to show it
	by two pushes in a row; of one that is not seen from here, pushes that are too far apart raise a doubt.
	"""
	started_at = scheduler_started_at(node.bench)
	if TICK_KEY not in node.common or (started_at is not None and started_at >= changed_at):
		return None
	gap = time.time() - max(tick.at for tick in node.ticks if tick.trigger == "frappe")
	is_shown = started_at is None
	if alive_triggers(node) - {"frappe"}:
		is_shown = True  # the others push, so its pushes are too few to judge by
	elif len(pushes := [push.at for push in node.history if push.trigger == "frappe"][-2:]) == 2:
		gap, is_shown = max(gap, pushes[1] - pushes[0]), True
	if is_shown and gap <= longest_gap:
		return None
	if started_at is None:
		return message("the last pushes were {seconds} s apart", seconds=f"{gap:.0f}")
	return message("it started at {at}, before the last change of the configuration", at=iso_utc(started_at))
