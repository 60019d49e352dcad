"""One tenant as it is shown: the census's verdict with what its folder and its database told, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prego_metrics.agent.base.formatting import size_text
from prego_metrics.agent.base.messages import Message, code_of, message, params_as_json, plain, restore
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.tenants.inventory.backups import Backups
from prego_metrics.tenants.inventory.database import DatabaseFigures
from prego_metrics.tenants.inventory.quota import NO_QUOTA, SITE_KEY, Quota, Used
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk

OLD_BACKUP_SECONDS = 86400.0


@dataclass(frozen=True)
class Tenant:
	"""A site and its figures; None is what was not asked for. read_at is when, in Unix seconds."""

	site: Site
	disk: SiteOnDisk | None
	database: DatabaseFigures | None
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
		"""What is known of what it takes: files, backups and database."""
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
		"""The share of the quota that is used, 1 at the quota; None without a quota or without figures."""
		used = self.quota_used
		return used.bytes / self.quota.bytes if used and self.quota.bytes else None

	def backup_age(self, now: float) -> float | None:
		"""Return the seconds since the newest backup was written, or None without any."""
		if self.disk is None or self.disk.backups.newest_at is None:
			return None
		return max(0.0, now - self.disk.backups.newest_at)


def warnings_of(tenant: Tenant, now: float) -> list[str]:
	"""Return what is wrong with a tenant, in words; sites that are no tenants are not warned about."""
	if not tenant.site.counted:
		return []
	found: list[str] = [tenant.site.reason] if tenant.site.warning else []
	found += _of_quota(tenant)
	if tenant.disk is not None:
		found += _of_backups(tenant.disk.backups, tenant.backup_age(now))
		if tenant.disk.all_unreadable:
			found.append(
				message(
					"{count} entries cannot be read: its size is a lower bound",
					count=tenant.disk.all_unreadable,
				)
			)
	return found + (_of_database(tenant.database) if tenant.database else [])


def _of_quota(tenant: Tenant) -> list[Message]:
	quota, used = tenant.quota, tenant.quota_used
	if quota.refused is not None:
		return [
			message(
				'"{key}" is {value} in its site_config.json, and must be a number of GB from 0.001 to 100000, or 0 '
				"for no quota: until then it has none",
				key=SITE_KEY,
				value=quota.refused,
			)
		]
	if used is None or quota.bytes is None or used.bytes <= quota.bytes:
		return []
	shown, most = size_text(used.bytes), size_text(quota.bytes)
	percent = f"{100 * used.bytes / quota.bytes:.0f}"
	if used.lower_bound:
		return [
			message(
				"over its quota: at least {used} of {quota} ({percent} %)",
				used=shown,
				quota=most,
				percent=percent,
			)
		]
	return [
		message("over its quota: {used} of {quota} ({percent} %)", used=shown, quota=most, percent=percent)
	]


def _of_backups(backups: Backups, age: float | None) -> list[Message]:
	if backups.error:
		return [message("the backups cannot be read: {reason}", reason=backups.error)]
	if age is None:
		return [message("no backup")]
	found = []
	if age > OLD_BACKUP_SECONDS:
		found.append(message("the newest backup is {days} days old", days=f"{age / 86400:.1f}"))
	if not backups.newest_complete:
		found.append(message("the newest backup is not complete: files, private files or tables are missing"))
	return found


def _of_database(figures: DatabaseFigures) -> list[Message]:
	found = []
	if figures.error:
		found.append(message("database: {error}", error=figures.error))
	if figures.failed_jobs_day:
		found.append(message("{count} scheduled jobs failed in the last day", count=figures.failed_jobs_day))
	if figures.stuck_mails:
		found.append(message("{count} mails stuck for more than an hour", count=figures.stuck_mails))
	return found


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


def tenant_as_stored(tenant: Tenant) -> dict[str, Any]:
	"""Return a tenant as the usage store has it: beside its sentences also their codes, to be translated."""
	sentences = {"reason": tenant.site.reason, "database_error": tenant.database and tenant.database.error}
	codes = {
		name: {"code": sentence.code, "params": params_as_json(sentence)}
		for name, sentence in sentences.items()
		if isinstance(sentence, Message)
	}
	return {**tenant_as_dict(tenant, tenant.read_at), "codes": codes}


def tenant_from_dict(content: Mapping[str, Any]) -> Tenant:
	"""Read back what `tenant_as_stored` gave. Raises ValueError for anything else: any app can write the store."""
	try:
		disk, database, codes = content["disk"], content["database"], content.get("codes") or {}
		if database and database["error"] is not None:
			database = {**database, "error": _sentence(database["error"], codes.get("database_error"))}
		tenant = Tenant(
			Site(
				_text(content["site"]),
				_text(content["bench"]),
				content["counted"] is True,
				_sentence(content["reason"], codes.get("reason")),
				False,
				content["maintenance"],
				content["paused"],
			),
			SiteOnDisk(**{**disk, "backups": Backups(**disk["backups"])}) if disk else None,
			DatabaseFigures(**database) if database else None,
			float(content["read_at"]),
			_quota(content.get("quota")),
		)
	except (KeyError, TypeError, AttributeError) as error:
		raise ValueError(f"is no tenant of ours ({type(error).__name__})") from None
	_check(tenant)
	return tenant


def _quota(content: Mapping[str, Any] | None) -> Quota:
	if content is None:
		return NO_QUOTA  # kept before there were quotas
	size, refused = content["bytes"], content["refused"]
	if size is not None and not (type(size) is int and size > 0):
		raise ValueError("is no tenant of ours (a quota is none)")
	return Quota(size, content["own"] is True, None if refused is None else _text(refused))


def _sentence(text: object, stored: Mapping[str, Any] | None) -> Message:
	return restore(stored["code"], stored["params"], _text(text)) if stored else plain(_text(text))


def _text(value: object) -> str:
	if not isinstance(value, str):
		raise ValueError("is no tenant of ours (a text is missing)")
	return value


def _check(tenant: Tenant) -> None:
	numbers: list[Any] = [tenant.read_at]
	if tenant.disk:
		backups = tenant.disk.backups
		numbers += [tenant.disk.public_files_bytes, tenant.disk.private_files_bytes]
		numbers += [backups.bytes, backups.newest_at]
		if not all(map(_is_amount, (tenant.disk.unreadable, backups.count, backups.unreadable))):
			raise ValueError("is no tenant of ours (a count is none)")
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
