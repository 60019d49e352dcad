"""A check for each way in which a push can fail: what was seen, and what to do. Sends no metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from prego_metrics.agent.base.errors import NotSent, fault_of
from prego_metrics.agent.base.messages import coded
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
	units,
)
from prego_metrics.doctor.check import FAIL, SKIP, Check, Examination, Finding, found
from prego_metrics.doctor.frappe_facts import Frappe

FRAPPE = "frappe"
# By group, in the order in which they are made. A check is called as its function.
GROUPS: Mapping[str, tuple[Callable[[Examination], Finding], ...]] = {
	"settings": (
		settings.configuration,
		settings.api_key,
		settings.shadowed,
		settings.heartbeat,
		settings.alert_url,
	),
	"bench": (
		bench.instance,
		bench.tenants,
		bench.host,
		bench.file_system,
		bench.lock,
		bench.state,
		bench.state_disk,
		tenant_usage.tenant_figures,
	),
	"triggers": (
		triggers.triggers,
		triggers.second_trigger,
		triggers.trigger_settings,
		triggers.interval,
		units.units,
		triggers.last_push,
	),
	"control_plane": (control_plane.control_plane, control_plane.clock, control_plane.tls),
	FRAPPE: (
		frappe_on_disk.operators_site,
		frappe_on_disk.scheduler_switches,
		frappe_on_disk.scheduler_process,
		queues.redis,
		queues.workers,
		running_frappe.database,
		running_frappe.app_on_site,
		running_frappe.scheduler,
		running_frappe.dormant,
		running_frappe.job,
		queues.stuck_job,
	),
}

# What these look at stands in the settings, or follows from them.
_OF_SETTINGS = frozenset(
	(
		"shadowed",
		"heartbeat",
		"alert_url",
		"instance",
		"tenants",
		"host",
		"trigger_settings",
		"interval",
		"units",
		"operators_site",
		"scheduler_switches",
		"tenant_figures",
		"redis",
		"workers",
		"stuck_job",
	)
)
NAMES = tuple(check.__name__ for checks in GROUPS.values() for check in checks)


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
	bench's Frappe, the checks that ask it are skipped; on a bench without this app those of Frappe are left out.
	A fault in one check is its finding. NotSent ends them: the bench cannot be read.
	"""
	node = Examination(bench, environ, online, connect)
	for group, checks in GROUPS.items():
		for check in checks:
			name = check.__name__
			if name in only if only else group != FRAPPE or node.has_app:
				announce(name)
				yield Check(group, name, *_finding(node, group, check))


def _finding(node: Examination, group: str, check: Callable[[Examination], Finding]) -> Finding:
	"""Return what a check finds, unless it could only find what follows from the finding of another."""
	if check.__name__ in _OF_SETTINGS and node.settings_unread:
		return found(SKIP, "needs readable settings: see the check `configuration`")
	if group == FRAPPE and not node.has_app:
		return found(SKIP, "this bench does not have the app, so its Frappe does not push")
	try:
		return check(node)
	except NotSent:
		raise
	except Exception as error:  # noqa: BLE001 - a fault in one check must not hide what the others find
		fault = fault_of(error)
		return found(FAIL, coded("check_failed", fault=fault), "report it to the developers of prego_metrics")
