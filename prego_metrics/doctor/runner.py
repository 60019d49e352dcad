"""A check for each way in which a push can fail: what was seen, and what to do. Sends no metrics."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prego_metrics.agent.base.messages import wording
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.doctor import bench as checks_bench
from prego_metrics.doctor import frappe_on_disk as checks_frappe_on_disk
from prego_metrics.doctor import instance as checks_instance
from prego_metrics.doctor import network as checks_network
from prego_metrics.doctor import settings as checks_settings
from prego_metrics.doctor import tenant_usage as checks_tenant_figures
from prego_metrics.doctor import triggers as checks_drivers
from prego_metrics.doctor.check import SKIP, Check, Examination
from prego_metrics.doctor.control_plane import check_control_plane


@dataclass(frozen=True)
class Group:
	"""Checks that are made together, since they look at one thing; most are alone."""

	names: tuple[str, ...]
	make: Callable[[Examination], Iterable[Check]]


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
_FRAPPE_MODULE = "prego_metrics.desk.doctor.site"


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
	_alone(checks_drivers.drivers),
	_alone(checks_drivers.second_driver),
	_alone(checks_drivers.driver_settings),
	_alone(checks_drivers.interval),
	_alone(checks_drivers.last_push),
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
	announce: Callable[[str], None] = lambda name: None,
) -> Iterator[Check]:
	"""Yield the checks one after the other, as they are made; with `only`, those of these names.

	`announce` is told what is looked at next. Where Frappe can be imported, what its database and Redis
	tell is asked too. Foreseen conditions never raise.
	"""
	seen = Examination(bench, environ, online)
	for group in (*_GROUPS, *_frappe_groups(bench)):
		wanted = [name for name in group.names if not only or name in only]
		if wanted:
			announce(wanted[0])
			yield from (check for check in group.make(seen) if not only or check.name in only)


def _frappe_groups(bench: Bench) -> tuple[Group, ...]:
	if not is_frappe_at_hand(bench):
		return (Group(FRAPPE_NAMES, _without_frappe),)
	groups = importlib.import_module(_FRAPPE_MODULE).groups()
	assert isinstance(groups, tuple)
	return groups


def is_frappe_at_hand(bench: Bench) -> bool:
	"""Tell whether this Python is that of the bench, and so can import the Frappe that serves it."""
	try:
		found = importlib.util.find_spec("frappe")
	except (ImportError, ValueError):
		return False
	if found is None or not found.origin:
		return False
	apps = os.path.realpath(os.path.join(bench.root, "apps"))
	return os.path.realpath(found.origin).startswith(apps + os.sep)


def _without_frappe(seen: Examination) -> Iterator[Check]:
	for name in FRAPPE_NAMES:
		yield Check(
			name,
			SKIP,
			wording("not looked at: it takes the bench's own Python, as in `bench prego-metrics doctor`"),
		)
