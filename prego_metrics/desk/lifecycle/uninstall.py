"""What people and Frappe have written about this app on a site, and uninstalling it would leave there.

Frappe deletes the DocTypes of an app, and none of the rows that name them: custom fields, filters, shares,
what was told and mailed. What a site notes of its own (which apps were installed when, which roles a user was
given) stays: it is the site's history, not ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import frappe
import redis

# What the module brings, by name: uninstalling asks twice, and the second time none of it is there any more.
DOCTYPES = ("Prego Metrics Push", "Prego Node")
REPORTS = ("Prego Tenants",)
NOTIFICATIONS = ("Prego Metrics Alert",)
WORKSPACES = ("Prego Metrics",)
MODULES = ("Node Metrics",)
CHARTS = ("Prego Pushes per Day",)
CARDS = ("Prego Tenants", "Prego Failures in a Row", "Prego Last Delivered")
# DocType: its field that holds the name of a DocType of ours.
_BY_DOCTYPE = (
	("Access Log", "export_from"),
	("Activity Log", "reference_doctype"),
	("Assignment Rule", "document_type"),
	("Comment", "reference_doctype"),
	("Custom DocPerm", "parent"),
	("Custom Field", "dt"),
	("Error Log", "reference_doctype"),
	("DocShare", "share_doctype"),
	("Document Follow", "ref_doctype"),
	("List Filter", "reference_doctype"),
	("List View Settings", "name"),
	# Without its DocType this row would keep the form Log Settings from being saved.
	("Logs To Clear", "ref_doctype"),
	("Notification Log", "document_type"),
	("Property Setter", "doc_type"),
	("Tag Link", "document_type"),
	("ToDo", "reference_type"),
	("Version", "ref_doctype"),
	("View Log", "reference_doctype"),
)
# DocType: its field that holds the name of a report of ours.
_BY_REPORT = (
	("Access Log", "report_name"),
	("Auto Email Report", "report"),
	("Prepared Report", "report_name"),
)
# DocType: its field that names a DocType or report of ours, of what people make in the Desk for it; each has rows
# of its own, or is cached.
_MADE_FOR_US = (
	("Calendar View", "reference_doctype"),
	("Client Script", "dt"),
	("Custom Role", "report"),
	("Dashboard Chart", "document_type"),
	("Document Naming Rule", "document_type"),
	("Form Tour", "reference_doctype"),
	("Kanban Board", "reference_doctype"),
	("Notification", "document_type"),
	("Number Card", "document_type"),
	("Server Script", "reference_doctype"),
	("Webhook", "webhook_doctype"),
)
# DocType of a row in what people made for themselves: its field that names something of ours.
_SHOWN_ELSEWHERE = (
	("Block Module", "module"),
	("Dashboard Chart Link", "chart"),
	("Number Card Link", "card"),
	("Workspace Chart", "chart_name"),
	("Workspace Link", "link_to"),
	("Workspace Number Card", "number_card_name"),
	("Workspace Shortcut", "link_to"),
)
# DocType: its child DocType of recipients or links, deleted with it.
_LETTERS = (("Email Queue", "Email Queue Recipient"), ("Communication", "Communication Link"))
_USER_SETTINGS = "_user_settings"


def delete_leftovers() -> None:
	"""Delete what was told by the app, and what names its DocTypes, reports and workspaces."""
	frappe.db.delete("Error Log", {"method": ("like", "Prego Metrics:%")})
	for kept_in, field in _BY_DOCTYPE:
		_delete(kept_in, field, DOCTYPES)
	for kept_in, field in _BY_REPORT:
		_delete(kept_in, field, REPORTS)
	for made, field in _MADE_FOR_US:
		if frappe.db.exists("DocType", made):
			for name in frappe.get_all(made, filters={field: ("in", (*DOCTYPES, *REPORTS))}, pluck="name"):
				frappe.delete_doc(made, name, force=True, ignore_permissions=True, delete_permanently=True)
	for row, field in _SHOWN_ELSEWHERE:
		_delete(row, field, (*DOCTYPES, *REPORTS, *WORKSPACES, *MODULES, *CHARTS, *CARDS))
	for letter, child in _LETTERS:
		names = frappe.get_all(letter, filters={"reference_doctype": ("in", DOCTYPES)}, pluck="name")
		_delete(child, "parent", names)
		_delete(letter, "name", names)
	frappe.db.delete(
		"Error Log", {"reference_doctype": "Notification", "reference_name": ("in", NOTIFICATIONS)}
	)
	for report in REPORTS:
		# A report that raised: Frappe names it nowhere but among the variables of the traceback.
		raised = ("like", f"%report_name = '{report}'%")
		frappe.db.delete("Error Log", {"method": "Report Error", "error": raised})
	frappe.db.delete("Version", {"ref_doctype": "Notification", "docname": ("in", NOTIFICATIONS)})
	frappe.db.delete("Singles", {"doctype": ("in", DOCTYPES)})
	for name in (*DOCTYPES, *REPORTS, *WORKSPACES):
		for shown in (name, name.lower().replace(" ", "-")):
			# A route is the name alone, or stands beside the view and the document.
			for pattern in (shown, f"%/{shown}", f"{shown}/%", f"%/{shown}/%"):
				frappe.db.delete("Route History", {"route": ("like", pattern)})
	_delete_user_settings()


def _delete(doctype: str, field: str, values: Sequence[str]) -> None:
	if values and frappe.db.table_exists(doctype):
		frappe.db.delete(doctype, {field: ("in", values)})


def _delete_user_settings() -> None:
	"""Delete how each user looked at our lists: Frappe keeps it in a table, and newer in Redis."""
	frappe.db.delete("__UserSettings", {"doctype": ("in", DOCTYPES)})
	try:
		for key in list(frappe.cache.hgetall(_USER_SETTINGS)):
			text = key.decode() if isinstance(key, bytes) else str(key)
			if text.partition("::")[0] in DOCTYPES:
				frappe.cache.hdel(_USER_SETTINGS, text)
	except redis.exceptions.ConnectionError:
		pass  # it is down, and forgets what it had: Frappe saves it nowhere
