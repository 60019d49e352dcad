"""One tenant as it is shown: the census's verdict with what its folder and its database told, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prego_metrics.agent.backups import Backups
from prego_metrics.agent.census import Site
from prego_metrics.agent.inventory import SiteOnDisk
from prego_metrics.agent.site_database import DatabaseFigures

OLD_BACKUP_SECONDS = 86400.0


@dataclass(frozen=True)
class Tenant:
	"""A site and its figures; None is what was not asked for. read_at is when, in Unix seconds."""

	site: Site
	disk: SiteOnDisk | None
	database: DatabaseFigures | None
	read_at: float

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
		"""What is known of what it takes: files, backups and database."""
		return sum(size or 0 for size in (self.files_bytes, self.backups_bytes, self.database_bytes))

	def backup_age(self, now: float) -> float | None:
		"""Return the seconds since the newest backup was written, or None without any."""
		if self.disk is None or self.disk.backups.newest_at is None:
			return None
		return max(0.0, now - self.disk.backups.newest_at)


def warnings_of(tenant: Tenant, now: float) -> list[str]:
	"""Return what is wrong with a tenant, in words; sites that are no tenants are not warned about."""
	if not tenant.site.counted:
		return []
	found = [tenant.site.reason] if tenant.site.warning else []
	if tenant.disk is not None:
		found += _of_backups(tenant.disk.backups, tenant.backup_age(now))
		if tenant.disk.unreadable:
			found.append(f"{tenant.disk.unreadable} entries cannot be read: its size is a lower bound")
	if tenant.database is not None:
		if tenant.database.error:
			found.append(f"database: {tenant.database.error}")
		if tenant.database.failed_jobs_day:
			found.append(f"{tenant.database.failed_jobs_day} scheduled jobs failed in the last day")
		if tenant.database.stuck_mails:
			found.append(f"{tenant.database.stuck_mails} mails stuck for more than an hour")
	return found


def _of_backups(backups: Backups, age: float | None) -> list[str]:
	if backups.error:
		return [backups.error]
	if age is None:
		return ["no backup"]
	found = [f"the newest backup is {age / 86400:.1f} days old"] if age > OLD_BACKUP_SECONDS else []
	if not backups.newest_complete:
		found.append("the newest backup is not complete: files, private files or tables are missing")
	return found


def tenant_as_dict(tenant: Tenant, now: float) -> dict[str, Any]:
	"""Return a tenant as JSON has it."""
	site = tenant.site
	return {
		"site": site.name,
		"bench": site.bench,
		"counted": site.counted,
		"reason": str(site.reason),
		"maintenance": site.maintenance,
		"paused": site.paused,
		"read_at": tenant.read_at,
		"disk": asdict(tenant.disk) if tenant.disk else None,
		"database": asdict(tenant.database) if tenant.database else None,
		"warnings": warnings_of(tenant, now),
	}


def tenant_from_dict(content: Mapping[str, Any]) -> Tenant:
	"""Read back what `tenant_as_dict` gave. Raises ValueError for anything else: any app can write the cache."""
	try:
		disk, database = content["disk"], content["database"]
		tenant = Tenant(
			Site(
				_text(content["site"]),
				_text(content["bench"]),
				content["counted"] is True,
				_text(content["reason"]),
				False,
				content["maintenance"],
				content["paused"],
			),
			SiteOnDisk(**{**disk, "backups": Backups(**disk["backups"])}) if disk else None,
			DatabaseFigures(**database) if database else None,
			float(content["read_at"]),
		)
	except (KeyError, TypeError, AttributeError) as error:
		raise ValueError(f"is no tenant of ours ({type(error).__name__})") from None
	_check(tenant)
	return tenant


def _text(value: object) -> str:
	if not isinstance(value, str):
		raise ValueError("is no tenant of ours (a text is missing)")
	return value


def _check(tenant: Tenant) -> None:
	numbers: list[Any] = [tenant.read_at]
	if tenant.disk:
		backups = tenant.disk.backups
		numbers += [tenant.disk.public_files_bytes, tenant.disk.private_files_bytes, tenant.disk.created_at]
		numbers += [tenant.disk.unreadable, backups.count, backups.bytes, backups.newest_at]
	if tenant.database:
		base = tenant.database
		numbers += [base.data_bytes, base.index_bytes, base.enabled_users, base.last_login_at]
		numbers += [base.failed_jobs_day, base.stuck_mails]
	if not all(number is None or _is_amount(number) for number in numbers):
		raise ValueError("is no tenant of ours (a number is none)")


def _is_amount(number: Any) -> bool:
	# What JSON can hold beyond that (NaN, an infinity, a thousand digits) no page can show.
	return type(number) in (int, float) and 0 <= number < 2**63


def total_of(tenants: Iterable[Tenant], figure: str) -> int | None:
	"""Return the sum of one of a tenant's sizes, or None where no tenant has it."""
	known = [size for tenant in tenants if (size := getattr(tenant, figure)) is not None]
	return sum(known) if known else None
