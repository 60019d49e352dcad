"""`prego-metrics capacity`: how many more average tenants fit, on what assumptions, and what has grown."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import Any

import click
import psutil
from rich.text import Text

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.formatting import size_text
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.cli.ui.console import console
from prego_metrics.cli.ui.options import bench_option, fail, json_option, open_bench_as_owner, print_json
from prego_metrics.tenants.usage.capacity import (
	CapacityUnknown,
	Grown,
	Resource,
	Sizes,
	forecast,
	grown,
	tenant_sizes,
)
from prego_metrics.tenants.usage.store import Day, cached_figures

_SHOWN = 5
_DAY_SECONDS = 86400.0
_PERCENT = click.FloatRange(min=1, max=100)


@click.command(short_help="Forecast how many more average tenants fit.")
@bench_option
@click.option(
	"--disk-threshold", type=_PERCENT, default=80.0, show_default=True, help="Percent, as df has it."
)
@click.option(
	"--memory-threshold", type=_PERCENT, default=85.0, show_default=True, help="Percent not available."
)
@click.option(
	"--days",
	type=click.IntRange(min=1, max=400),
	default=30,
	show_default=True,
	help="How far back growth is looked at.",
)
@json_option
def capacity(
	bench_path: str | None, disk_threshold: float, memory_threshold: float, days: int, as_json: bool
) -> None:
	"""Forecast how many more average tenants fit before disk or memory passes a threshold.

	From what `tenants --collect` keeps and the host now. Never part of a push.

	Exit codes: 0 shown, 2 there is too little to forecast from.
	"""
	try:
		config = load_config(open_bench_as_owner(bench_path), os.environ)
		found = _found(config, disk_threshold, memory_threshold, days)
	except PregoMetricsError as error:
		fail(str(error), json_with={"fits": None} if as_json else None)
	if as_json:
		print_json(found)
	else:
		_print(found)


def _found(config: Config, disk_pct: float, memory_pct: float, days: int) -> dict[str, Any]:
	now = time.time()
	census = count_tenants(config)
	counted = {(site.bench, site.name) for site in census.sites if site.counted}
	tenants, history = cached_figures(config.bench.sites, now - days * _DAY_SECONDS)
	sizes = tenant_sizes(tenants, counted)
	result = forecast(
		sizes,
		_disk(config.bench.sites),
		_memory(),
		len(counted),
		disk_pct=disk_pct,
		memory_pct=memory_pct,
	)
	ages = [now - tenant.read_at for tenant in tenants if (tenant.site.bench, tenant.site.name) in counted]
	growth = grown(history, counted)
	return {
		**asdict(result),
		"tenants": len(counted),
		"sizes": asdict(sizes),
		"oldest_figures_seconds": round(max(0.0, *ages)),
		"assumptions": _assumptions(config, sizes, len(counted), disk_pct, memory_pct),
		"growth": _growth(growth, history, days),
	}


def _disk(sites: str) -> Resource:
	try:
		usage = psutil.disk_usage(sites)
	except OSError as error:
		raise CapacityUnknown(f"{sanitize(sites)}: {error.strerror or error}") from None
	return Resource(usage.used, usage.free)


def _memory() -> Resource:
	try:
		memory = psutil.virtual_memory()
	except (OSError, ValueError, LookupError, RuntimeError):
		raise CapacityUnknown("the kernel's memory figures cannot be read") from None
	used = memory.total - memory.available
	if used <= 0:
		raise CapacityUnknown("the kernel reports no memory in use: there is no share of a tenant")
	return Resource(used, memory.available)


def _assumptions(config: Config, sizes: Sizes, tenants: int, disk_pct: float, memory_pct: float) -> list[str]:
	quartiles = f"{size_text(round(sizes.lower_quartile))} to {size_text(round(sizes.upper_quartile))}"
	found = [
		f"disk may reach {disk_pct:g} %, memory {memory_pct:g} %",
		f"a new tenant takes {size_text(round(sizes.mean))} on disk, the mean of {sizes.tenants} tenants; "
		f"the range is from their quartiles, {quartiles}",
		f"files, backups and databases all lie on the file system of {sanitize(config.bench.sites)}",
		f"all memory in use is the {tenants} tenants' in equal shares, the system's own included: "
		"more may fit by memory than is said",
		"the tenants that are here do not grow",
	]
	if sizes.without_database:
		found.append(
			f"{sizes.without_database} databases were not read, and are taken as nothing: fewer may fit"
		)
	if sizes.not_read_whole:
		found.append(
			f"files or backups of {sizes.not_read_whole} tenants were not read whole, and what is missing is taken "
			"as nothing: fewer may fit"
		)
	if sizes.tenants < tenants:
		found.append(f"{tenants - sizes.tenants} tenants have no figures yet, and are taken as the others")
	return found


def _growth(growth: list[Grown], history: list[Day], days: int) -> dict[str, Any]:
	return {
		"looked_back_days": days,
		"tenants": len(growth),
		"bytes_a_day": round(sum(one.bytes_a_day for one in growth)) if growth else None,
		"days_known": len({day.day for day in history}),
		"fastest": [{**asdict(one), "bytes_a_day": round(one.bytes_a_day)} for one in growth[:_SHOWN]],
	}


def _print(found: dict[str, Any]) -> None:
	fits, growth = found["fits"], found["growth"]
	_say(
		f"Forecast: about {fits['expected']} more tenants fit beside the {found['tenants']} that are here "
		f"({fits['low']} to {fits['high']}); {found['limit']} is the limit."
	)
	for what in ("disk", "memory"):
		one = found[what]
		_say(f"  by {what}: {one['expected']} ({one['low']} to {one['high']})")
	_say(f"Assumed (oldest figures: {found['oldest_figures_seconds'] / 3600:.0f} h):")
	for assumption in found["assumptions"]:
		_say(f"- {assumption}")
	if growth["bytes_a_day"] is None:
		_say("Growth is not known yet: it needs the figures of a tenant on two days.")
		return
	_say(
		f"Grown in the last {growth['looked_back_days']} days ({growth['days_known']} with figures): "
		f"{_signed(growth['bytes_a_day'])} a day, {growth['tenants']} tenants together"
	)
	for one in growth["fastest"]:
		_say(
			f"  {sanitize(one['site'])}: {_signed(one['bytes_a_day'])} a day, "
			f"{_signed(one['bytes'])} in {one['days']} days"
		)


def _say(line: str) -> None:
	"""Print a line, folded between words where the terminal is narrower."""
	console().print(Text(line))


def _signed(size: int) -> str:
	return ("-" if size < 0 else "+") + size_text(abs(size))
