"""A check for each way in which a push can fail: what was seen, and what to do. Sends no metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.doctor import (
	bench,
	control_plane,
	frappe_on_disk,
	queues,
	running_frappe,
	settings,
	tenant_usage,
	triggers,
)
from prego_metrics.doctor.check import SKIP, Check, Examination, Finding
from prego_metrics.doctor.frappe_facts import Frappe

# In the order in which they are made. A check is called as its function.
CHECKS: tuple[Callable[[Examination], Finding], ...] = (
	settings.configuration,
	settings.api_key,
	settings.shadowed,
	settings.heartbeat,
	bench.instance,
	bench.tenants,
	bench.host,
	bench.file_system,
	bench.lock,
	bench.state,
	bench.state_disk,
	triggers.triggers,
	triggers.second_trigger,
	triggers.trigger_settings,
	triggers.interval,
	triggers.last_push,
	frappe_on_disk.operators_site,
	frappe_on_disk.scheduler_switches,
	frappe_on_disk.scheduler_process,
	tenant_usage.tenant_figures,
	control_plane.control_plane,
	control_plane.clock,
	control_plane.tls,
	queues.redis,
	queues.workers,
	running_frappe.database,
	running_frappe.app_on_site,
	running_frappe.scheduler,
	running_frappe.dormant,
	running_frappe.job,
	queues.stuck_job,
)

# What these look at stands in the settings, or follows from them.
_OF_SETTINGS = frozenset(
	(
		"shadowed",
		"heartbeat",
		"instance",
		"tenants",
		"host",
		"trigger_settings",
		"interval",
		"operators_site",
		"scheduler_switches",
		"tenant_figures",
		"redis",
		"workers",
		"stuck_job",
	)
)
# What the checks of these modules look at is Frappe's own.
_OF_FRAPPE = (frappe_on_disk.__name__, queues.__name__, running_frappe.__name__)

NAMES = tuple(check.__name__ for check in CHECKS)


def examine(
	bench: Bench,
	environ: Mapping[str, str],
	*,
	online: bool = True,
	only: Collection[str] = (),
	connect: Callable[[Examination], Frappe] | None = None,
	announce: Callable[[str], None] = lambda name: None,
) -> Iterator[Check]:
	"""Yield the checks one after the other, as they are made; with `only`, those of these names.

	`announce` is called with the name of each check before it is made. Without `connect`, which returns the
	bench's Frappe, the checks that ask it are skipped. Foreseen conditions never raise.
	"""
	node = Examination(bench, environ, online, connect)
	for check in CHECKS:
		if not only or check.__name__ in only:
			announce(check.__name__)
			yield Check(check.__name__, *_finding(node, check))


def _finding(node: Examination, check: Callable[[Examination], Finding]) -> Finding:
	"""Return what a check finds, unless it could only find what follows from the finding of another."""
	if check.__name__ in _OF_SETTINGS and node.settings_unread:
		return Finding(SKIP, message("not looked at: the settings cannot be read"))
	if check.__module__ in _OF_FRAPPE and not node.has_app:
		return Finding(
			SKIP, message("not looked at: this app is none of the bench's, so its Frappe pushes nothing")
		)
	return check(node)
