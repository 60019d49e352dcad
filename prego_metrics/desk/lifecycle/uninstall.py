"""What uninstalling the app does to a site, beyond Frappe's own deletion of the app's DocTypes and records.

The app deletes what it created itself (a role, job rows, logs) and the rows that Frappe writes about records: its
logs, and the settings of forms, lists and permissions (frappe#17441). What people built on the app's DocTypes is
theirs, so it is printed and stays. So does the site's own history, such as which apps were installed when.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import click
import frappe
import redis

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.state.store import FOLDER_NAME
from prego_metrics.desk.adapters.compat import APP, delete_sidebar_and_icon, sidebars_of
from prego_metrics.desk.adapters.jobs import PUSH_JOB, SCAN_JOB
from prego_metrics.desk.node_method import READER_ROLE
from prego_metrics.desk.operator_site import this_bench

MODULE = "Node Metrics"
# The app's records by DocType. By name, since after_uninstall looks for references when they are gone.
RECORDS: dict[str, tuple[str, ...]] = {
	"DocType": ("Prego Metrics Push", "Prego Node"),
	"Report": ("Prego Tenants",),
	"Notification": ("Prego Metrics Alert",),
	"Workspace": ("Prego Metrics",),
	"Dashboard Chart": ("Prego Pushes per Day",),
	"Number Card": ("Prego Node State", "Prego Tenants", "Prego Failures in a Row", "Prego Last Delivered"),
}
DOCTYPES = RECORDS["DocType"]
(REPORT,) = RECORDS["Report"]
(NOTIFICATION,) = RECORDS["Notification"]
(WORKSPACE,) = RECORDS["Workspace"]
_NAMES = [name for names in RECORDS.values() for name in names]
# DocTypes whose rows Frappe writes about records, or that would break without the record that they name.
FRAPPE_ROWS = frozenset(
	(
		*("Access Log", "Activity Log", "Comment", "Communication", "Communication Link", "Custom DocPerm"),
		*("Custom Field", "Custom Role", "DocShare", "Document Follow", "Document Share Key", "Email Queue"),
		*("Energy Point Log", "Error Log", "List Filter", "Logs To Clear", "Notification Log"),
		*("Notification Subscribed Document", "Permission Log", "Property Setter", "Submission Queue"),
		*("Tag Link", "ToDo", "User Permission", "Version", "View Log", "Workflow Action"),
	)
)
# More of them, which no link field finds.
_MORE_FRAPPE_ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
	("Access Log", {"export_from": ("in", DOCTYPES)}),
	("Access Log", {"report_name": REPORT}),
	("Block Module", {"module": MODULE}),
	("Custom DocPerm", {"parent": ("in", DOCTYPES)}),
	("Custom DocPerm", {"role": READER_ROLE}),
	("Error Log", {"method": ("like", "Prego Metrics:%")}),
	# Of a report that raised, Frappe writes the name among the variables of the traceback only.
	("Error Log", {"method": "Report Error", "error": ("like", f"%report_name = '{REPORT}'%")}),
	("Error Log", {"reference_doctype": "Notification", "reference_name": NOTIFICATION}),
	("Has Role", {"role": READER_ROLE}),
	("List View Settings", {"name": ("in", DOCTYPES)}),
	("Permission Log", {"for_document": ("in", (*_NAMES, READER_ROLE))}),
	("Permission Log", {"reference": ("in", (*_NAMES, READER_ROLE))}),
	("Prepared Report", {"report_name": REPORT}),
	("Role", {"name": READER_ROLE}),
	*(
		("Route History", {"route": ("like", f"%{spelling}%")})
		for name in (*DOCTYPES, REPORT, WORKSPACE)
		for spelling in (name, name.lower().replace(" ", "-"))
	),
	("Version", {"ref_doctype": "Notification", "docname": NOTIFICATION}),
)
_USER_SETTINGS = "_user_settings"


def before_uninstall() -> None:
	"""Delete the rows that refer to the app's records. In a dry run, list what people built, and change nothing."""
	if _is_dry_run():
		_print_built_by_people()
		return
	jobs = frappe.get_all(
		"Scheduled Job Type", filters={"method": ("in", (PUSH_JOB, SCAN_JOB))}, pluck="name"
	)
	frappe.db.delete("Scheduled Job Log", {"scheduled_job_type": ("in", jobs)})
	frappe.db.delete("Scheduled Job Type", {"name": ("in", jobs)})
	_delete_frappe_rows()
	# Frappe gives a report its DocType's module, and deletes it with the module.
	frappe.db.set_value("Report", {"module": MODULE, "name": ("!=", REPORT)}, "module", None)


def after_uninstall() -> None:
	"""Delete the rows that uninstalling itself wrote, and print what stays on the site and on the node, and why."""
	if _is_dry_run():
		return
	# What runs beside the uninstall can put the old list of apps back into Frappe's cache, from which Frappe
	# then writes the new one; and a tick may have sent an alert.
	frappe.clear_cache()
	frappe.db.delete("Installed Application", {"app_name": APP})
	_delete_frappe_rows()
	delete_sidebar_and_icon(WORKSPACE)
	frappe.db.delete("Deleted Document", {"deleted_doctype": "Module Def", "deleted_name": MODULE})
	frappe.db.delete("Deleted Document", {"data": ("like", f'%"module": "{MODULE}"%')})
	# A migrate replaces the row of a job whose path or cron has changed.
	frappe.db.delete("Deleted Document", {"data": ("like", f'%"method": "{APP}.%')})
	# uninstall-app commits before it calls this hook, and not again after it.
	frappe.db.commit()  # nosemgrep: frappe-manual-commit -- nobody else would
	_print_built_by_people()
	click.echo("The settings and the state stay, since another site or a timer may push. To remove them:")
	click.echo(f"  rm -r {sanitize(os.path.join(this_bench().sites, FOLDER_NAME))}")
	click.echo("  bench set-config -g -p prego_metrics '{}'")


def built_by_people() -> dict[str, set[str]]:
	"""Return, by DocType, the names of what refers to the app's records and is not Frappe's own."""
	built: defaultdict[str, set[str]] = defaultdict(set)
	deleted = {**RECORDS, "Workspace Sidebar": sidebars_of(WORKSPACE)}
	for doctype, filters in _references():
		if not _is_frappes(doctype, filters):
			is_child = frappe.get_meta(doctype).istable
			fields = ["parenttype as doctype", "parent as name"] if is_child else ["name"]
			for row in frappe.get_all(doctype, filters, fields, limit=0):
				owner = row.get("doctype") or doctype
				if row.name not in deleted.get(owner, ()):
					built[owner].add(row.name)
	return dict(built)


def _print_built_by_people() -> None:
	built = built_by_people()
	if built:
		click.echo(
			"People made these for records of prego_metrics. They stay; delete what is not needed any more:"
		)
	for doctype, names in sorted(built.items()):
		click.echo(f"  {sanitize(doctype)}: {', '.join(sanitize(name) for name in sorted(names))}")


def _references() -> Iterator[tuple[str, dict[str, Any]]]:
	"""Yield the DocTypes with a field that can name the app's records, each with filters for the rows that do."""
	stored = set(frappe.get_all("DocType", {"issingle": 0, "is_virtual": 0}, pluck="name", limit=0))
	for definition, owner in (("DocField", "parent"), ("Custom Field", "dt")):
		yield definition, {"options": ("in", DOCTYPES)}
		links = {"fieldtype": ("in", ("Link", "Dynamic Link")), owner: ("in", stored)}
		for field in frappe.get_all(
			definition, links, [f"{owner} as doctype", "fieldname", "fieldtype", "options"], limit=0
		):
			# The options of a link are the DocType of its values, those of a dynamic one the field that names it.
			if field.options in RECORDS:
				yield field.doctype, {field.fieldname: ("in", RECORDS[field.options])}
			elif field.fieldtype == "Dynamic Link":
				yield field.doctype, {field.options: ("in", list(RECORDS)), field.fieldname: ("in", _NAMES)}


def _is_frappes(doctype: str, filters: dict[str, Any]) -> bool:
	# A custom link to the app's DocType is somebody's; a custom field of it is not.
	return doctype in FRAPPE_ROWS and "options" not in filters


def _delete_frappe_rows() -> None:
	for doctype, filters in (*(one for one in _references() if _is_frappes(*one)), *_MORE_FRAPPE_ROWS):
		if frappe.db.table_exists(doctype):
			children = frappe.get_meta(doctype).get_table_fields()
			names = frappe.get_all(doctype, filters, pluck="name", limit=0) if children else []
			for child in children if names else ():
				frappe.db.delete(child.options, {"parenttype": doctype, "parent": ("in", names)})
			frappe.db.delete(doctype, filters)
	frappe.db.delete("Singles", {"doctype": ("in", DOCTYPES)})
	_delete_user_settings()


def _delete_user_settings() -> None:
	"""Delete how each user viewed the app's lists: Frappe keeps it in a table, and newer entries in Redis."""
	frappe.db.delete("__UserSettings", {"doctype": ("in", DOCTYPES)})
	try:
		for key in list(frappe.cache.hgetall(_USER_SETTINGS)):
			entry = key.decode() if isinstance(key, bytes) else str(key)
			if entry.partition("::")[0] in DOCTYPES:
				frappe.cache.hdel(_USER_SETTINGS, entry)
	except redis.exceptions.ConnectionError:
		pass  # Redis is down and forgets the entries; they are saved nowhere else


def _is_dry_run() -> bool:
	context = click.get_current_context(silent=True)
	return bool(context and context.params.get("dry_run"))
