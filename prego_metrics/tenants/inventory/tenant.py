"""One tenant: the census's verdict, what was read of its folder and its database, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from prego_metrics.agent.base.formatting import size_text
from prego_metrics.agent.base.messages import Message, code_of, message
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.tenants.inventory.backups import Backups
from prego_metrics.tenants.inventory.database import DatabaseUsage
from prego_metrics.tenants.inventory.quota import NO_QUOTA, SITE_KEY, Quota, Used
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk

OLD_BACKUP_SECONDS = 86400.0


@dataclass(frozen=True)
class Tenant:
	"""A site and its usage; None is what was not asked for. read_at is when it was read, in Unix seconds."""

	site: Site
	disk: SiteOnDisk | None
	database: DatabaseUsage | None
	read_at: float
	quota: Quota = NO_QUOTA

	@property
	def files_bytes(self) -> int | None:
		return self.disk.files_bytes if self.disk else None

	@property
	def backups_bytes(self) -> int | None:
		return self.disk.backups.bytes if self.disk else None

	@property
	def database_bytes(self) -> int | None:
		return self.database.bytes if self.database else None

	@property
	def total_bytes(self) -> int:
		"""Files, backups and database together, as far as they are known."""
		return sum(size or 0 for size in (self.files_bytes, self.backups_bytes, self.database_bytes))

	@property
	def quota_used(self) -> Used | None:
		"""What counts towards the quota, files and database; None where neither was read.

		Backups do not count: how many there are is the operator's choice and not the tenant's.
		"""
		sizes = (self.files_bytes, self.database_bytes)
		known = [size for size in sizes if size is not None]
		if not known:
			return None
		unread = self.disk.unreadable if self.disk else 0
		return Used(sum(known), len(known) < len(sizes) or unread > 0)

	@property
	def quota_share(self) -> float | None:
		"""The share of the quota that is used, 1 at the quota; None without a quota or without a size."""
		used = self.quota_used
		return used.bytes / self.quota.bytes if used and self.quota.bytes else None

	def backup_age(self, now: float) -> float | None:
		"""Return the seconds since the newest backup was written, or None without any."""
		if self.disk is None or self.disk.backups.newest_at is None:
			return None
		return max(0.0, now - self.disk.backups.newest_at)


def warnings_of(tenant: Tenant, now: float) -> list[str]:
	"""Return what is wrong with a tenant; a site that is not a tenant has no warnings."""
	if not tenant.site.counted:
		return []
	warnings: list[str] = [tenant.site.reason] if tenant.site.warning else []
	warnings += _of_quota(tenant)
	if tenant.disk is not None:
		warnings += _of_backups(tenant.disk.backups, tenant.backup_age(now))
		if tenant.disk.all_unreadable:
			warnings.append(
				message(
					"{count} entries cannot be read, so the size is a lower bound",
					count=tenant.disk.all_unreadable,
				)
			)
	return warnings + (_of_database(tenant.database) if tenant.database else [])


def _of_quota(tenant: Tenant) -> list[Message]:
	quota, used = tenant.quota, tenant.quota_used
	if quota.refused is not None:
		return [
			message(
				(
					'"{key}" is {value} in its site_config.json and is ignored: it must be a number of '
					"GB from 0.001 to 100000, or 0 for no quota"
				),
				key=SITE_KEY,
				value=quota.refused,
			)
		]
	if used is None or quota.bytes is None or used.bytes <= quota.bytes:
		return []
	size = size_text(used.bytes)
	return [
		message(
			"over quota: {used} of {quota} ({percent} %)",
			used=message("at least {size}", size=size) if used.lower_bound else size,
			quota=size_text(quota.bytes),
			percent=f"{100 * used.bytes / quota.bytes:.0f}",
		)
	]


def _of_backups(backups: Backups, age: float | None) -> list[Message]:
	if backups.error:
		return [message("the backups cannot be read: {reason}", reason=backups.error)]
	if age is None:
		return [message("no backup")]
	warnings = []
	if age > OLD_BACKUP_SECONDS:
		warnings.append(message("the newest backup is {days} days old", days=f"{age / 86400:.1f}"))
	if not backups.newest_complete:
		warnings.append(
			message("the newest backup is incomplete: files, private files or tables are missing")
		)
	return warnings


def _of_database(database: DatabaseUsage) -> list[Message]:
	warnings = []
	if database.error:
		warnings.append(message("database: {error}", error=database.error))
	if database.failed_jobs_day:
		warnings.append(
			message("failed scheduled jobs in the last day: {count}", count=database.failed_jobs_day)
		)
	if database.stuck_mails:
		warnings.append(message("mails stuck for more than an hour: {count}", count=database.stuck_mails))
	return warnings


def tenant_as_dict(tenant: Tenant, now: float) -> dict[str, Any]:
	"""Return a tenant as JSON has it."""
	site = tenant.site
	return {
		"site": site.name,
		"bench": site.bench,
		"counted": site.counted,
		"reason": str(site.reason),
		"reason_code": code_of(site.reason),
		"maintenance": site.maintenance,
		"paused": site.paused,
		"read_at": tenant.read_at,
		"disk": asdict(tenant.disk) if tenant.disk else None,
		"database": asdict(tenant.database) if tenant.database else None,
		"quota": _quota_as_dict(tenant),
		"warnings": warnings_of(tenant, now),
	}


def _quota_as_dict(tenant: Tenant) -> dict[str, Any]:
	used, share = tenant.quota_used, tenant.quota_share
	return {
		**asdict(tenant.quota),
		"used_bytes": used.bytes if used else None,
		"used_is_lower_bound": used.lower_bound if used else None,
		"used_pct": None if share is None else round(100 * share, 1),
	}


def total_of(tenants: Iterable[Tenant], size: str) -> int | None:
	"""Return the sum of one of the tenants' sizes, such as `files_bytes`, or None where no tenant has it."""
	known = [number for tenant in tenants if (number := getattr(tenant, size)) is not None]
	return sum(known) if known else None
