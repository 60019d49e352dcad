"""A tenant as the usage store keeps it, read back as hostile input: any app can write the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prego_metrics.agent.base.messages import Message, params_as_json, plain, restore
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.tenants.inventory.backups import Backups
from prego_metrics.tenants.inventory.database import DatabaseUsage
from prego_metrics.tenants.inventory.quota import Quota
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk
from prego_metrics.tenants.inventory.tenant import Tenant, tenant_as_dict


def tenant_as_stored(tenant: Tenant) -> dict[str, Any]:
	"""Return a tenant as the usage store has it: beside its sentences also their codes, to be translated."""
	sentences = {"reason": tenant.site.reason, "database_error": tenant.database and tenant.database.error}
	codes = {
		name: {"code": sentence.code, "params": params_as_json(sentence)}
		for name, sentence in sentences.items()
		if isinstance(sentence, Message)
	}
	return {**tenant_as_dict(tenant, tenant.read_at), "codes": codes}


def tenant_from_stored(content: Mapping[str, Any]) -> Tenant:
	"""Read back what `tenant_as_stored` gave. Raises ValueError for anything else."""
	try:
		disk, database, codes = content["disk"], content["database"], content.get("codes") or {}
		if database and database["error"] is not None:
			database = {**database, "error": _sentence(database["error"], codes.get("database_error"))}
		tenant = Tenant(
			Site(
				_string(content["site"]),
				_string(content["bench"]),
				content["counted"] is True,
				_sentence(content["reason"], codes.get("reason")),
				False,
				content["maintenance"],
				content["paused"],
			),
			SiteOnDisk(**{**disk, "backups": Backups(**disk["backups"])}) if disk else None,
			DatabaseUsage(**database) if database else None,
			float(content["read_at"]),
			_quota(content["quota"]),
		)
	except (KeyError, TypeError, AttributeError) as error:
		raise ValueError(f"is not a stored tenant ({type(error).__name__})") from None
	_check(tenant)
	return tenant


def _quota(content: Mapping[str, Any]) -> Quota:
	size, refused = content["bytes"], content["refused"]
	if size is not None and not (type(size) is int and size > 0):
		raise ValueError("is not a stored tenant (quota)")
	return Quota(size, content["own"] is True, None if refused is None else _string(refused))


def _sentence(value: object, stored: Mapping[str, Any] | None) -> Message:
	return restore(stored["code"], stored["params"], _string(value)) if stored else plain(_string(value))


def _string(value: object) -> str:
	if not isinstance(value, str):
		raise ValueError("is not a stored tenant (string)")
	return value


def _check(tenant: Tenant) -> None:
	numbers: list[Any] = [tenant.read_at]
	if tenant.disk:
		backups = tenant.disk.backups
		numbers += [tenant.disk.public_files_bytes, tenant.disk.private_files_bytes]
		numbers += [backups.bytes, backups.newest_at]
		if not all(
			_is_amount(value) for value in (tenant.disk.unreadable, backups.count, backups.unreadable)
		):
			raise ValueError("is not a stored tenant (count)")
	if tenant.database:
		database = tenant.database
		numbers += [database.data_bytes, database.index_bytes, database.enabled_users]
		numbers += [database.last_login_at, database.failed_jobs_day, database.stuck_mails]
	if not all(number is None or _is_amount(number) for number in numbers):
		raise ValueError("is not a stored tenant (number)")


def _is_amount(number: Any) -> bool:
	# What JSON can hold beyond that (NaN, an infinity, a thousand digits) no page can show.
	return type(number) in (int, float) and 0 <= number < 2**63
