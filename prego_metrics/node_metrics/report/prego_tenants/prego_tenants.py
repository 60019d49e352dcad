"""The inventory behind tenant_count: every site of this node, counted or not, and why."""

from __future__ import annotations

from typing import Any

import frappe
from frappe import _

from prego_metrics.agent.census import Site
from prego_metrics.agent.errors import NotSent
from prego_metrics.agent.tenants import count_tenants
from prego_metrics.agent.wording import said, translated
from prego_metrics.operators_site import refusal_here, require_operators_site


def execute(filters: dict[str, Any] | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
	"""Return columns and rows; anywhere but on the operator's site, a row that says why there is none.

	Nothing is raised there: Frappe writes an Error Log, with each frame's variables, when a report raises. And
	Frappe 15 cannot export a report without a row.
	"""
	frappe.only_for("System Manager")
	refusal = refusal_here()
	if refusal:
		return _columns(), [{"reason": refusal}]
	config = require_operators_site()
	try:
		sites = count_tenants(config).sites
	except NotSent as error:
		frappe.throw(translated(said(error), _), title=_("The tenants cannot be counted"))
	wanted = frappe._dict(filters or {})
	return _columns(), [_row(site) for site in sites if _matches(site, wanted)]


def _columns() -> list[dict[str, Any]]:
	return [
		{"fieldname": "site", "label": _("Site"), "fieldtype": "Data", "width": 260},
		{"fieldname": "counted", "label": _("Counted"), "fieldtype": "Data", "width": 90},
		{"fieldname": "reason", "label": _("Why"), "fieldtype": "Data", "width": 380},
		{"fieldname": "maintenance", "label": _("Maintenance"), "fieldtype": "Data", "width": 110},
		{"fieldname": "paused", "label": _("Scheduler Paused"), "fieldtype": "Data", "width": 140},
		{"fieldname": "bench", "label": _("Bench"), "fieldtype": "Data", "width": 260},
	]


def _row(site: Site) -> dict[str, Any]:
	# Escaped, since the Desk shows a cell of the type Data as HTML, and any app can name a folder.
	return {
		"site": frappe.utils.escape_html(site.name),
		"counted": _yes_or_no(site.counted),
		"reason": frappe.utils.escape_html(translated(site.reason, _)),
		"maintenance": _yes_or_no(site.maintenance),
		"paused": _yes_or_no(site.paused),
		"bench": frappe.utils.escape_html(site.bench),
	}


def _yes_or_no(value: bool | None) -> str:
	return _("Unknown") if value is None else _("Yes") if value else _("No")


def _matches(site: Site, wanted: frappe._dict) -> bool:
	if wanted.counted in ("Yes", "No") and site.counted is not (wanted.counted == "Yes"):
		return False
	return not wanted.site or str(wanted.site).lower() in site.name.lower()
