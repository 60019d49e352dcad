"""What people and Frappe have written about this app on a site, and uninstalling it would leave there.

Frappe deletes the DocTypes of an app, and none of the rows that name them: custom fields, filters, shares,
what was told and mailed. What a site notes of its own (which apps were installed when, which roles a user was
given) stays: it is the site's history, not ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import frappe

# DocType: its field that holds the name of a DocType of ours.
_BY_DOCTYPE = (
	("Access Log", "export_from"),
	("Activity Log", "reference_doctype"),
	("Assignment Rule", "document_type"),
	("Comment", "reference_doctype"),
	("Custom DocPerm", "parent"),
	("Custom Field", "dt"),
	("DocShare", "share_doctype"),
	("Document Follow", "ref_doctype"),
	("List Filter", "reference_doctype"),
	("List View Settings", "name"),
	# Without its DocType this row would keep the form Log Settings from being saved.
	("Logs To Clear", "ref_doctype"),
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
# DocType: its child DocType of recipients or links, deleted with it.
_LETTERS = (("Email Queue", "Email Queue Recipient"), ("Communication", "Communication Link"))
_USER_SETTINGS = "_user_settings"


def delete_leftovers(module: str) -> None:
	"""Delete what names the DocTypes, reports and workspaces of a module. To be called while they are there."""
	doctypes = _of(module, "DocType")
	reports = _of(module, "Report")
	for kept_in, field in _BY_DOCTYPE:
		_delete(kept_in, field, doctypes)
	for kept_in, field in _BY_REPORT:
		_delete(kept_in, field, reports)
	delete_told(doctypes)
	for notification in _of(module, "Notification"):
		frappe.db.delete("Version", {"ref_doctype": "Notification", "docname": notification})
	for name in doctypes + reports + _of(module, "Workspace"):
		slug = name.lower().replace(" ", "-")
		for shown in (name, slug):
			# A route is the name alone, or stands beside the view and the document.
			for pattern in (shown, f"%/{shown}", f"{shown}/%", f"%/{shown}/%"):
				frappe.db.delete("Route History", {"route": ("like", pattern)})
	_delete("Singles", "doctype", doctypes)
	_delete_user_settings(doctypes)


def delete_told(doctypes: Sequence[str]) -> None:
	"""Delete what was told about these DocTypes: errors, alerts, mails. A tick beside the uninstall may tell more."""
	frappe.db.delete("Error Log", {"method": ("like", "Prego Metrics:%")})
	_delete("Notification Log", "document_type", doctypes)
	for letter, child in _LETTERS:
		names = frappe.get_all(letter, filters={"reference_doctype": ("in", doctypes)}, pluck="name")
		_delete(child, "parent", names)
		_delete(letter, "name", names)


def _of(module: str, doctype: str) -> list[str]:
	names: list[str] = frappe.get_all(doctype, filters={"module": module}, pluck="name", limit=0)
	return names


def _delete(doctype: str, field: str, values: Sequence[str]) -> None:
	if values and (doctype == "Singles" or frappe.db.table_exists(doctype)):
		frappe.db.delete(doctype, {field: ("in", values)})


def _delete_user_settings(doctypes: list[str]) -> None:
	"""Delete how each user looked at our lists: Frappe keeps it in a table, and newer in Redis."""
	frappe.db.delete("__UserSettings", {"doctype": ("in", doctypes)})
	for key in list(frappe.cache.hgetall(_USER_SETTINGS)):
		text = key.decode() if isinstance(key, bytes) else str(key)
		if text.partition("::")[0] in doctypes:
			frappe.cache.hdel(_USER_SETTINGS, text)
