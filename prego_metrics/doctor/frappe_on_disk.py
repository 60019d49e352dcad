"""Frappe's scheduler, as far as the disk tells: its switches, and whether a process of it runs.

What needs its database or Redis is asked in `prego_metrics/desk/doctor/site.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from prego_metrics.agent.base.kernel import is_locked
from prego_metrics.agent.base.messages import Message, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination
from prego_metrics.doctor.triggers import is_triggered

# In the order in which Frappe's scheduler asks for them.
SWITCHES = ("maintenance_mode", "pause_scheduler", "disable_scheduler")


def operators_site(seen: Examination) -> Check:
	"""The site on which the node is shown, and failures are told, is there."""
	site = seen.config.site
	if not site:
		return Check(
			"operators_site",
			SKIP,
			message(
				"none is set, so nothing is shown or told in a Desk: `prego-metrics configure --site SITE` names it"
			),
		)
	trouble = _site_config(seen, site)
	if isinstance(trouble, str):
		return Check(
			"operators_site",
			WARN,
			message(
				"{site} was dropped or renamed: its site_config.json {reason}",
				site=sanitize(site),
				reason=trouble,
			),
			message(
				"name the site as its folder in sites/ is called now: `prego-metrics configure --site SITE`"
			),
		)
	return Check("operators_site", PASS, sanitize(site))


def scheduler_switches(seen: Examination) -> Check:
	"""No key of the configuration stops Frappe's scheduler: for the whole bench, or on the operator's site."""
	site = seen.config.site
	written = _site_config(seen, site) if site else {}
	found: list[Message] = []
	for switch in SWITCHES:
		# A site's own key counts before the bench's, also one that says no.
		if isinstance(written, Mapping) and switch in written:
			if written[switch]:
				found.append(message("{switch} is set on {site}", switch=switch, site=sanitize(site or "")))
		elif seen.common.get(switch):
			found.append(message("{switch} is set for the whole bench", switch=switch))
	if not found:
		return Check("scheduler_switches", PASS, message("none is set that would stop Frappe's scheduler"))
	state = WARN if is_triggered(seen, without="frappe") or not seen.config.scheduler_pushes else FAIL
	return Check(
		"scheduler_switches",
		state,
		joined(found),
		message(
			"Frappe's scheduler does nothing until it is off again (`bench update` leaves maintenance_mode and "
			"pause_scheduler on when it fails): {commands}",
			commands=", ".join(_off(text) for text in found),
		),
	)


def _off(found: Message) -> str:
	"""Return the command that sets a switch off where it was found."""
	where = f"--site {found.params['site']} set-config" if "site" in found.params else "set-config -g"
	return f"bench {where} -p {found.params['switch']} 0"


def _site_config(seen: Examination, site: str) -> Mapping[str, object] | str:
	"""Return what a site's own configuration holds, or why it cannot be read."""
	try:
		return read_site_config(os.path.join(seen.bench.sites, site, "site_config.json"))
	except OSError:
		return message("is not there")
	except Unreadable as error:
		reason: str = error.args[0]
		return reason


def scheduler_process(seen: Examination) -> Check:
	"""A process of Frappe's scheduler runs: it holds a lock, which the kernel lists."""
	path = os.path.join(seen.bench.root, "config", "scheduler_process")
	has_trigger = is_triggered(seen, only="frappe")
	held = is_locked(path)
	if held:
		return Check("scheduler_process", PASS, message("Frappe's scheduler runs"))
	if has_trigger:
		return Check("scheduler_process", PASS, message("Frappe's scheduler ticks, from elsewhere"))
	if held is None:
		return Check(
			"scheduler_process", SKIP, message("whether Frappe's scheduler runs cannot be seen from here")
		)
	state = WARN if is_triggered(seen, without="frappe") else FAIL
	return Check(
		"scheduler_process",
		state,
		message("no process of Frappe's scheduler runs for this bench, on this machine"),
		message(
			"start it: `bench restart`, or `supervisorctl status` to see why it ended; in containers, the one called scheduler"
		),
	)
