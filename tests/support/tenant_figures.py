"""Made figures of tenants in a cache, for tests of what is drawn of them."""

from __future__ import annotations

import contextlib
import os
import pwd
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from prego_metrics.agent.collectors.sites import Site
from prego_metrics.agent.state.store import FOLDER_NAME
from prego_metrics.tenants.inventory.backups import Backups
from prego_metrics.tenants.inventory.database import DatabaseFigures
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.store import FILE_NAME, TenantHistory

BENCH = "/home/frappe/bench"
DAY_SECONDS = 86400


def made_tenant(
	name: str,
	read_at: float,
	files: int,
	backups: int,
	database: int | None,
	*,
	bench: str = BENCH,
	reason: str = "",
) -> Tenant:
	"""A tenant of these sizes in bytes; a database of None was not read, a reason leaves the site out."""
	disk = SiteOnDisk(
		database_type="mariadb",
		database_name="_db",
		developer_mode=False,
		bench_apps=("frappe",),
		public_files_bytes=files,
		private_files_bytes=0,
		unreadable=0,
		backups=Backups(count=1, bytes=backups, newest_at=read_at, newest_complete=True),
	)
	figures = (
		DatabaseFigures(data_bytes=database, index_bytes=0)
		if database is not None
		else DatabaseFigures(error="refused")
	)
	site = Site(name, bench, not reason, reason or "tenant", False, False, False)
	return Tenant(site, disk, figures, read_at)


def keep(sites: Path, tenants: Iterable[Tenant]) -> None:
	"""Keep the figures as scans do, each tenant at its own time; then say that the scan is over."""
	kept = list(tenants)
	with TenantHistory(str(sites), write=True) as history:
		history.begin(min(tenant.read_at for tenant in kept))
		for tenant in sorted(kept, key=lambda one: one.read_at):
			history.keep(tenant)
		present = {(tenant.site.bench, tenant.site.name) for tenant in kept}
		history.end(max(tenant.read_at for tenant in kept), present)


def kept_days(sites: Path) -> set[int]:
	"""Return the days of which the cache holds sizes, numbered from the epoch."""
	with contextlib.closing(sqlite3.connect(sites / FOLDER_NAME / FILE_NAME)) as cache:
		return {day for (day,) in cache.execute("SELECT day FROM days")}


@contextlib.contextmanager
def cache_of(bench: Path) -> Iterator[Path]:
	"""A real bench without a cache of figures; what it had is back afterwards. Yields where the cache goes."""
	path = bench / "sites" / FOLDER_NAME / FILE_NAME
	kept = path.with_name("tenants.sqlite.of-the-bench")
	if path.exists():
		path.rename(kept)
	try:
		yield path
	finally:
		path.unlink(missing_ok=True)
		if kept.exists():
			kept.rename(path)


def give_to_owner(path: Path) -> None:
	"""Give a file that root made to the owner of its folder."""
	owner = pwd.getpwuid(path.parent.stat().st_uid)
	if os.geteuid() == 0:
		os.chown(path, owner.pw_uid, owner.pw_gid)
