"""A check for each way in which a push can fail: what was seen, and what to do. Sends no metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.doctor import bench as checks_bench
from prego_metrics.doctor import frappe_on_disk as checks_frappe_on_disk
from prego_metrics.doctor import instance as checks_instance
from prego_metrics.doctor import network as checks_network
from prego_metrics.doctor import settings as checks_settings
from prego_metrics.doctor import tenant_usage as checks_tenant_figures
from prego_metrics.doctor import triggers as triggers_checks
from prego_metrics.doctor.check import SKIP, Check, Examination, Group
from prego_metrics.doctor.control_plane import check_control_plane

# What Frappe's database and Redis alone can tell, in the order in which it is looked at.
FRAPPE_NAMES = (
	"redis",
	"workers",
	"database",
	"app_on_site",
	"scheduler",
	"dormant",
	"job",
	"stuck_job",
)


def _alone(check: Callable[[Examination], Check]) -> Group:
	return Group((check.__name__,), lambda seen: (check(seen),))


_GROUPS = (
	_alone(checks_settings.configuration),
	_alone(checks_settings.api_key),
	_alone(checks_settings.shadowed),
	_alone(checks_settings.heartbeat),
	_alone(checks_instance.instance),
	_alone(checks_bench.tenants),
	_alone(checks_bench.plausible),
	_alone(checks_bench.host),
	_alone(checks_bench.file_system),
	_alone(checks_bench.lock),
	_alone(checks_bench.state),
	_alone(checks_bench.state_disk),
	_alone(triggers_checks.triggers),
	_alone(triggers_checks.second_trigger),
	_alone(triggers_checks.trigger_settings),
	_alone(triggers_checks.interval),
	_alone(triggers_checks.last_push),
	_alone(checks_frappe_on_disk.operators_site),
	_alone(checks_frappe_on_disk.scheduler_switches),
	_alone(checks_frappe_on_disk.scheduler_process),
	_alone(checks_tenant_figures.tenant_figures),
	_alone(checks_network.proxy),
	_alone(checks_network.dns),
	_alone(checks_network.tls),
	Group(("control_plane", "clock"), check_control_plane),
)

NAMES = tuple(name for group in _GROUPS for name in group.names) + FRAPPE_NAMES


def examine(
	bench: Bench,
	environ: Mapping[str, str],
	*,
	online: bool = True,
	only: Collection[str] = (),
	frappe_groups: Sequence[Group] = (),
	announce: Callable[[str], None] = lambda name: None,
) -> Iterator[Check]:
	"""Yield the checks one after the other, as they are made; with `only`, those of these names.

	`announce` is called with the name of each check before it is made. `frappe_groups` make the checks that
	need the site's database and Redis; without them these are skipped. Foreseen conditions never raise.
	"""
	seen = Examination(bench, environ, online)
	for group in (*_GROUPS, *(frappe_groups or (Group(FRAPPE_NAMES, _without_frappe),))):
		wanted = [name for name in group.names if not only or name in only]
		if wanted:
			announce(wanted[0])
			yield from (check for check in group.make(seen) if not only or check.name in only)


def _without_frappe(seen: Examination) -> Iterator[Check]:
	for name in FRAPPE_NAMES:
		yield Check(
			name,
			SKIP,
			message("not looked at: it takes the bench's own Python, as in `bench prego-metrics doctor`"),
		)
