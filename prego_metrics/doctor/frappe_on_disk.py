"""Frappe's scheduler, as far as the disk shows: its switches, and whether a process of it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from prego_metrics.agent.base.kernel import is_locked
from prego_metrics.agent.base.messages import Message, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config
from prego_metrics.doctor.check import PASS, SKIP, WARN, Examination, Finding
from prego_metrics.doctor.triggers import alive_triggers, severity_without_frappe

# In the order in which Frappe's scheduler asks for them.
SWITCHES = ("maintenance_mode", "pause_scheduler", "disable_scheduler")


def operators_site(node: Examination) -> Finding:
	"""The site on which the node is shown, and failures are told, is there."""
	site = node.config.site
	if not site:
		return Finding(
			SKIP,
			message(
				"none is set, so nothing is shown or told in a Desk: `prego-metrics configure --site SITE` names it"
			),
		)
	contents = _site_config(node, site)
	if isinstance(contents, str):
		return Finding(
			WARN,
			message(
				"{site} was dropped or renamed: its site_config.json {reason}",
				site=sanitize(site),
				reason=contents,
			),
			message(
				"name the site as its folder in sites/ is called now: `prego-metrics configure --site SITE`"
			),
		)
	return Finding(PASS, sanitize(site))


def scheduler_switches(node: Examination) -> Finding:
	"""No key of the configuration stops Frappe's scheduler: for the whole bench, or on the operator's site."""
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
		return Finding(PASS, message("none is set that would stop Frappe's scheduler"))
	return Finding(
		severity_without_frappe(node),
		joined(switched_on),
		message(
			"Frappe's scheduler does nothing until it is off again (`bench update` leaves maintenance_mode and "
			"pause_scheduler on when it fails): {commands}",
			commands=", ".join(_off(switch) for switch in switched_on),
		),
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
		return message("is not there")
	except Unreadable as error:
		reason: str = error.args[0]
		return reason


def scheduler_process(node: Examination) -> Finding:
	"""A process of Frappe's scheduler runs: it holds a lock, which the kernel lists."""
	path = os.path.join(node.bench.root, "config", "scheduler_process")
	held = is_locked(path)
	if held:
		return Finding(PASS, message("Frappe's scheduler runs"))
	if "frappe" in alive_triggers(node):
		return Finding(PASS, message("Frappe's scheduler ticks, from elsewhere"))
	if held is None:
		return Finding(SKIP, message("whether Frappe's scheduler runs cannot be seen from here"))
	return Finding(
		severity_without_frappe(node),
		message("no process of Frappe's scheduler runs for this bench, on this machine"),
		message(
			"start it: `bench restart`, or `supervisorctl status` to see why it ended; in containers, the one called scheduler"
		),
	)
