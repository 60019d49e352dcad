"""The one place where the versions of Frappe differ for installed code; for tests it is `node_metrics/frappe_tests`.

The Desk's address needs no place here: where the Desk is at `/desk`, Frappe redirects `/app/…` there.
"""

from __future__ import annotations

import frappe

APP = "prego_metrics"
WORKSPACE = "Prego Metrics"
# What the log of permissions notes as removed when the app is uninstalled.
_GOVERNED = ("Prego Metrics Push", "Prego Node", "Prego Tenants", "Prego Metrics Reader", WORKSPACE)


def extend_bootinfo(bootinfo: frappe._dict) -> None:
	"""Name the app, without a workspace, to a Desk that does not offer it here but may open its pages.

	The sidebar of 16-dev looks up the app of each page that is opened, and fails on one that
	`add_to_apps_screen` does not permit: on a tenant's site, and for a user without the role. An app without a
	workspace gets no icon. v15 has no such list, and 17 does not look there.
	"""
	apps = bootinfo.get("app_data")
	if apps is None or frappe.db.table_exists("Workspace Sidebar"):
		return
	if all(app["app_name"] != APP for app in apps):
		(icon,) = frappe.get_hooks("add_to_apps_screen", app_name=APP)
		named = {"app_name": APP, "app_title": icon["title"], "app_logo_url": icon["logo"], "app_route": ""}
		apps.append({**named, "modules": [], "workspaces": []})


def delete_what_later_versions_keep() -> None:
	"""Delete what Frappe made of this app by itself and does not take back; not all of it is there in v15.

	Since 16 it logs the permissions of a deleted report. 17 makes an icon of the app and a sidebar of its
	workspace when the app is installed, with a copy for each user who changed it; its own uninstall looks for
	the icon by another name, and for a sidebar that names the app, as these do not.
	"""
	if frappe.db.table_exists("Permission Log"):
		frappe.db.delete("Permission Log", {"for_document": ("in", _GOVERNED)})
		frappe.db.delete("Permission Log", {"reference": ("in", _GOVERNED)})
	if frappe.db.table_exists("Workspace Sidebar"):
		items = "Workspace Sidebar Item"
		for name in _sidebars():
			frappe.db.delete(items, {"parent": name, "parenttype": "Workspace Sidebar"})
			frappe.db.delete("Workspace Sidebar", {"name": name})
		frappe.db.delete("Desktop Icon", {"link_type": "Workspace Sidebar", "link_to": WORKSPACE})
		frappe.db.delete("Desktop Icon", {"app": APP})


def _sidebars() -> list[str]:
	"""Return the workspace's sidebar, and the copies of users, which have the user's name behind it."""
	users = frappe.get_all(
		"Workspace Sidebar", filters={"for_user": ("is", "set")}, fields=["name", "for_user"]
	)
	copies = [row.name for row in users if row.name == f"{WORKSPACE}-{row.for_user}"]
	return [WORKSPACE, *copies]
