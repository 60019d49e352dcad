"""`prego-metrics tenants`: every site and why it counts; with options, its usage too."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import click

from prego_metrics.agent.base.errors import CensusError, PregoMetricsError
from prego_metrics.agent.collectors.census import Census, census_as_dict
from prego_metrics.agent.collectors.lost_sites import require_no_bench_lost, require_none_lost
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import QUOTA_KEYS, Config, load_config
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.options import bench_option, help_end, json_option
from prego_metrics.cli.ui.output import fail, print_json, print_line, print_warning
from prego_metrics.tenants.inventory.database import read_databases
from prego_metrics.tenants.inventory.database_session import import_libraries
from prego_metrics.tenants.inventory.parallel import read_sites
from prego_metrics.tenants.inventory.site_folder import locate_sites
from prego_metrics.tenants.inventory.tenant import Tenant, tenant_as_dict, total_of

_LARGEST_FIRST = {"files": "files_bytes", "backups": "backups_bytes", "database": "database_bytes"}


@click.command(
	short_help="Show every site, counted or not, why, and its usage.",
	epilog=help_end(
		"counting.md",
		"prego-metrics tenants",
		"prego-metrics tenants --sizes --database --sort total --top 20",
	),
)
@bench_option
@click.option("--sizes", is_flag=True, help="Also measure each site's files and backups, as du does.")
@click.option(
	"--database", is_flag=True, help="Also query each site's database with the site's own credentials."
)
@click.option(
	"--sort",
	type=click.Choice(["name", "total", *_LARGEST_FIRST, "quota", "backup-age"]),
	default="name",
	show_default=True,
	help="Largest or oldest first.",
)
@click.option(
	"--top", type=click.IntRange(min=1), metavar="N", help="Show the first N; the totals include all."
)
@click.option(
	"--scan",
	is_flag=True,
	help=(
		"Scan everything into the usage store, one site at a time at low priority; resumes "
		"where it was killed."
	),
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
@json_option
def tenants(
	bench_path: str | None,
	sizes: bool,
	database: bool,
	sort: str,
	top: int | None,
	scan: bool,
	as_csv: bool,
	as_json: bool,
) -> None:
	"""Show every site, counted or not, and why; with --sizes and --database also its usage.

	Exit codes: 0 shown, 1 another usage scan is running, 2 the sites cannot be counted.
	"""
	detailed = sizes or database
	shaped = bool(as_csv or top or sort != "name")
	for conflict, problem in (
		(as_csv and as_json, "--csv and --json are two forms of the same: give one of them"),
		(
			scan and (detailed or shaped or as_json),
			"--scan fills the usage store and shows nothing: use it alone",
		),
		(shaped and not detailed, "--sort, --top and --csv go with --sizes or --database"),
		(sort == "database" and not database, "--sort database goes with --database"),
		(sort in ("files", "backups") and not sizes, f"--sort {sort} goes with --sizes"),
	):
		if conflict:
			raise click.UsageError(problem)
	_import_now(scan=scan, database=scan or database)
	if not as_json:
		from prego_metrics.cli.ui import tables, tenant_tables

	try:
		bench = open_bench_as_owner(bench_path)
		config = load_config(bench, os.environ)
		if scan:
			_scan(config)
		elif not detailed:
			census = count_tenants(config)
			_warn_of_lost_sites(config, census)
			if as_json:
				print_json(census_as_dict(census))
			else:
				tables.print_census(census)
		else:
			config.require(QUOTA_KEYS)
			read, now = _in_order(_read(config, sizes=sizes, database=database), sort), time.time()
			if as_csv:
				click.echo(tenant_tables.tenants_as_csv(read[:top], now), nl=False)
			elif as_json:
				print_json(_as_dict(read, top, now))
			else:
				tenant_tables.print_tenants(read, top, sizes=sizes, database=database, now=now)
	except PregoMetricsError as error:
		fail(error, json_with={"tenant_count": None, "sites": []} if as_json else None)


def _warn_of_lost_sites(config: Config, census: Census) -> None:
	"""Say why a push would not send this count, where tenants or a bench have lost their volume."""
	marks = StateFolder(config.bench.sites).read()[0].site_marks
	try:
		require_no_bench_lost(config.benches, marks)
		require_none_lost(census, config.exclude_sites, marks)
	except CensusError as error:
		print_warning(error.message)


def _import_now(*, scan: bool, database: bool) -> None:
	"""Import what not every call needs before root is given up: who it becomes may not be able to read it."""
	if scan:
		import prego_metrics.tenants.usage.scan  # noqa: F401
	if database and os.geteuid() == 0:
		import_libraries()


def _read(config: Config, *, sizes: bool, database: bool) -> list[Tenant]:
	sites = locate_sites(config, count_tenants(config))
	read: dict[str, Tenant] = {}
	with _progress(len(sites) * (sizes + database)) as advance:
		# First: it forks, and the databases are queried in threads.
		for located, disk in read_sites(sites, sizes=sizes):
			read[located.folder] = Tenant(located.site, disk, None, time.time(), located.quota)
			if sizes:
				advance()
		if database:
			for located, database_usage in read_databases(sites, os.environ):
				tenant = read[located.folder]
				read[located.folder] = replace(tenant, database=database_usage, read_at=time.time())
				advance()
	return [read[located.folder] for located in sites]


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
	"""Give what is called at each step; a bar on stderr, where that is a terminal."""
	if not total or not sys.stderr.isatty():
		yield lambda: None
		return
	with click.progressbar(length=total, label="Reading", file=sys.stderr) as bar:
		yield lambda: bar.update(1)


def _in_order(tenants: list[Tenant], sort: str) -> list[Tenant]:
	if sort == "name":
		return tenants

	def weight(tenant: Tenant) -> float:
		if sort == "total":
			return tenant.total_bytes
		if sort == "backup-age":
			newest = tenant.disk.backups.newest_at if tenant.disk else None
			return float("inf") if newest is None else -newest  # no backup at all is the oldest
		value = tenant.quota_share if sort == "quota" else getattr(tenant, _LARGEST_FIRST[sort])
		return float("-inf") if value is None else float(value)

	return sorted(tenants, key=weight, reverse=True)


def _as_dict(tenants: list[Tenant], top: int | None, now: float) -> dict[str, Any]:
	return {
		"tenant_count": sum(tenant.site.counted for tenant in tenants),
		"totals": {
			size: total_of(tenants, size) for size in ("files_bytes", "backups_bytes", "database_bytes")
		},
		"sites": [tenant_as_dict(tenant, now) for tenant in tenants[:top]],
	}


def _scan(config: Config) -> None:
	from prego_metrics.tenants.usage.scan import ScanRunning, scan_tenants

	os.nice(10)  # for good: this process does nothing else
	try:
		result = scan_tenants(config, os.environ, progress=_progress)
	except ScanRunning as error:
		print_line(f"Busy: {error}", sys.stderr)
		sys.exit(1)
	if result.set_aside:
		print_warning(result.set_aside)
	click.echo(f"{result.scanned} sites scanned, {result.scanned_before} already scanned by the run before.")
