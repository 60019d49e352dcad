"""Made-up usage of tenants in a usage store, for tests of what is drawn of it."""

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
from prego_metrics.tenants.inventory.database import DatabaseUsage
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.store import FILE_NAME
from prego_metrics.tenants.usage.writer import UsageWriter

BENCH = "/home/frappe/bench"


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
	database_usage = (
		DatabaseUsage(data_bytes=database, index_bytes=0)
		if database is not None
		else DatabaseUsage(error="refused")
	)
	site = Site(name, bench, not reason, reason or "tenant", False, False, False)
	return Tenant(site, disk, database_usage, read_at)


def save_usage(sites: Path, tenants: Iterable[Tenant]) -> None:
	"""Save these tenants as a scan does, each at its own time, and end the scan."""
	saved = list(tenants)
	with UsageWriter(str(sites)) as store:
		store.begin_scan(min(tenant.read_at for tenant in saved))
		for tenant in sorted(saved, key=lambda one: one.read_at):
			store.save(tenant)
		present = {(tenant.site.bench, tenant.site.name) for tenant in saved}
		store.end_scan(max(tenant.read_at for tenant in saved), present)


def stored_days(sites: Path) -> set[int]:
	"""Return the days of which the usage store holds sizes, numbered from the epoch."""
	with contextlib.closing(sqlite3.connect(sites / FOLDER_NAME / FILE_NAME)) as store:
		return {day for (day,) in store.execute("SELECT day FROM days")}


@contextlib.contextmanager
def empty_usage_store(bench: Path) -> Iterator[Path]:
	"""A real bench without a usage store; what it had is back afterwards. Yields where the store goes."""
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
