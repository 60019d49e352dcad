"""Every site of this node, counted or not, and why, as of now; and their usage, as it was last scanned."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from typing import Any

import frappe
from frappe import _

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.formatting import size_text
from prego_metrics.agent.base.messages import message_of, translated
from prego_metrics.agent.base.sanitize import spreadsheet_cell
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import Config
from prego_metrics.desk.adapters.site_locale import local_time
from prego_metrics.desk.error_boundary import guarded
from prego_metrics.desk.operator_site import operator_config, refusal
from prego_metrics.node_metrics.report.prego_tenants.scan_message import unreadable, usage_message
from prego_metrics.tenants.inventory.tenant import Tenant, total_of, warnings_of
from prego_metrics.tenants.usage.reader import stored_tenants
from prego_metrics.tenants.usage.store import StoreError

_MEGABYTE = 1_000_000
_HOUR_SECONDS = 3600
Rows = list[dict[str, Any]]
Report = tuple[Rows, Rows] | tuple[Rows, Rows, str, None, Rows]


def execute(filters: dict[str, Any] | None = None) -> Report:
	"""Return columns, rows, when they were scanned, no chart, and totals.

	Where there are none, and anywhere but on the operator's site, one row says why. Nothing is raised there: Frappe
	writes an Error Log, with each frame's variables, when a report raises. And Frappe 15 cannot export a report
	without a row.
	"""
	frappe.only_for("System Manager")
	config = operator_config()
	if config is None:
		return _columns(), [{"reason": refusal()}]
	return guarded(lambda: _report(config, frappe._dict(filters or {})))


def _report(config: Config, wanted: frappe._dict) -> Report:
	try:
		sites = count_tenants(config).sites
	except NotSent as error:
		reason = f"{_('The tenants cannot be counted')}: {translated(message_of(error), _)}"
		return _columns(), [{"reason": _cell(reason)}]
	scanned, message = _scanned(config)
	now = time.time()
	tenants = [tenant for site in sites if _matches(tenant := _tenant(site, scanned), wanted, now)]
	return _columns(), [_row(tenant, now) for tenant in tenants], message, None, _totals(tenants, now)


def _scanned(config: Config) -> tuple[dict[tuple[str, str], Tenant], str]:
	"""Return the latest usage by bench and site, and the message above the table."""
	try:
		scanned = {
			(tenant.site.bench, tenant.site.name): tenant for tenant in stored_tenants(config.bench.sites)
		}
		return scanned, usage_message(config)
	except StoreError as error:
		return {}, unreadable(error)


def _tenant(site: Site, scanned: dict[tuple[str, str], Tenant]) -> Tenant:
	"""Return the site as it counts now, with the usage of its last scan."""
	tenant = scanned.get((site.bench, site.name))
	return replace(tenant, site=site) if tenant else Tenant(site, None, None, 0.0)


def _columns() -> Rows:
	return [
		_column("site", _("Site"), width=170),
		_column("counted", _("Counted"), width=95),
		_column("warnings", _("Warnings"), width=300),
		_column("total_mb", _("Total (MB)"), "Float", 100, precision=2),
		_column("files_mb", _("Files (MB)"), "Float", 100, precision=2),
		_column("backups_mb", _("Backups (MB)"), "Float", 130, precision=2),
		_column("database_mb", _("Database (MB)"), "Float", 140, precision=2),
		_column("quota_pct", _("Of Quota (%)"), "Float", 120, precision=1),
		_column("backup_hours", _("Backup Age (h)"), "Float", 130, precision=1),
		_column("backup_complete", _("Backup Complete"), width=140),
		_column("enabled_users", _("Enabled Users"), "Int", 120),
		_column("last_login", _("Last Login"), "Datetime", 190),
		_column("reason", _("Why"), width=260),
		_column("maintenance", _("Maintenance"), width=110),
		_column("paused", _("Scheduler Paused"), width=140),
		_column("apps", _("Apps"), width=240),
		_column("database_type", _("Database Type"), width=150),
		_column("bench", _("Bench"), width=220),
		_column("read_at", _("Scanned At"), "Datetime", 190),
	]


def _column(
	fieldname: str, label: str, fieldtype: str = "Data", width: int = 100, **more: Any
) -> dict[str, Any]:
	# The heading of a column of empty texts would stand on the right otherwise.
	align = {"align": "left"} if fieldtype == "Data" else {}
	return {"fieldname": fieldname, "label": label, "fieldtype": fieldtype, "width": width, **align, **more}


def _row(tenant: Tenant, now: float) -> dict[str, Any]:
	"""Return a tenant as a row; None is what is not known."""
	site, disk, database = tenant.site, tenant.disk, tenant.database
	age, share = tenant.backup_age(now), tenant.quota_share
	sizes = (tenant.files_bytes, tenant.backups_bytes, tenant.database_bytes)
	return {
		"site": _cell(site.name),
		"counted": _yes_or_no(site.counted),
		"warnings": _cell("; ".join(translated(warning, _) for warning in warnings_of(tenant, now))),
		"total_mb": None if None in sizes else _megabytes(tenant.total_bytes),
		"files_mb": _megabytes(tenant.files_bytes),
		"backups_mb": _megabytes(tenant.backups_bytes),
		"database_mb": _megabytes(tenant.database_bytes),
		"quota_pct": None if share is None else round(100 * share, 1),
		"backup_hours": None if age is None else round(age / _HOUR_SECONDS, 1),
		"backup_complete": _complete(tenant),
		"enabled_users": database.enabled_users if database else None,
		"last_login": _local(database.last_login_at) if database else None,
		"reason": _cell(translated(site.reason, _)),
		"maintenance": _yes_or_no(site.maintenance),
		"paused": _yes_or_no(site.paused),
		"apps": _cell(", ".join(f"{name} {version}" for name, version in (database.apps or {}).items()))
		if database
		else None,
		"database_type": _cell(disk.database_type) if disk else None,
		"bench": _cell(site.bench),
		"read_at": _local(tenant.read_at or None),
	}


def _cell(value: str) -> str:
	# Escaped, since the Desk shows a cell of the type Data as HTML, and any app can name a folder.
	return frappe.utils.escape_html(spreadsheet_cell(value))


def _yes_or_no(value: bool | None) -> str:
	return _("Unknown") if value is None else _("Yes") if value else _("No")


def _complete(tenant: Tenant) -> str | None:
	if tenant.disk is None:
		return None
	if tenant.disk.backups.newest_at is None:
		return _("Unknown") if tenant.disk.backups.error else _("no backup")
	return _yes_or_no(tenant.disk.backups.newest_complete)


def _megabytes(size: int | None) -> float | None:
	# To the byte, so that an export can be added up.
	return None if size is None else size / _MEGABYTE


def _local(at: float | None) -> datetime.datetime | None:
	try:
		return None if at is None else local_time(at).replace(microsecond=0)
	except (OverflowError, OSError, ValueError):
		return None  # any app can write the usage store


def _matches(tenant: Tenant, wanted: frappe._dict, now: float) -> bool:
	site = tenant.site
	if wanted.counted in ("Yes", "No") and site.counted is not (wanted.counted == "Yes"):
		return False
	if frappe.utils.cint(wanted.with_warnings) and not warnings_of(tenant, now):
		return False
	return not wanted.site or str(wanted.site).lower() in site.name.lower()


def _totals(tenants: list[Tenant], now: float) -> Rows:
	"""Return the sums of the rows that are shown and counted; a sum that lacks a tenant says "at least"."""
	counted = [tenant for tenant in tenants if tenant.site.counted]
	scanned = sum(tenant.disk is not None for tenant in counted)
	is_complete = scanned == len(counted)
	tenants_label = _("Tenants") if is_complete else _("Tenants ({0} scanned)").format(scanned)
	totals: Rows = [_total(tenants_label, len(counted), "Int")]
	for label, size in (
		(_("Files"), "files_bytes"),
		(_("Backups"), "backups_bytes"),
		(_("Databases"), "database_bytes"),
	):
		totals.append(_total(label, _sum(counted, size)))
	totals.append(_total(_("With warnings"), sum(bool(warnings_of(one, now)) for one in counted), "Int"))
	return totals


def _total(label: str, value: object, datatype: str = "Data") -> dict[str, Any]:
	return {"label": label, "value": value, "datatype": datatype}


def _sum(counted: list[Tenant], size: str) -> str:
	total = total_of(counted, size)
	if total is None:
		return _("unknown")
	is_complete = all(getattr(tenant, size) is not None for tenant in counted)
	return size_text(total) if is_complete else _("at least {0}").format(size_text(total))
