"""The one place where the versions of Frappe differ for installed code; for tests it is `node_metrics/frappe_tests`.

The Desk's address needs no place here: where the Desk is at `/desk`, Frappe redirects `/app/…` there.
"""

from __future__ import annotations

import frappe

APP = "prego_metrics"


def extend_bootinfo(bootinfo: frappe._dict) -> None:
	"""Add the app, without a workspace, to the app list of a Desk that does not offer it but may open its pages.

	The sidebar of 16-dev looks up the app of each opened page, and fails on one that `add_to_apps_screen` does not
	permit: on a tenant's site, and for a user without the role. An app without a workspace gets no icon. v15 has no
	such list, and 17 does not use it here.
	"""
	apps = bootinfo.get("app_data")
	if apps is None or frappe.db.table_exists("Workspace Sidebar"):
		return
	if all(app["app_name"] != APP for app in apps):
		(icon,) = frappe.get_hooks("add_to_apps_screen", app_name=APP)
		entry = {"app_name": APP, "app_title": icon["title"], "app_logo_url": icon["logo"], "app_route": ""}
		apps.append({**entry, "modules": [], "workspaces": []})


def sidebars_of(workspace: str) -> list[str]:
	"""Return the names of the sidebars of a workspace of the app, none before 17: each user who changed it has a copy."""
	if not frappe.db.table_exists("Workspace Sidebar"):
		return []
	users = frappe.get_all("Workspace Sidebar", {"for_user": ("is", "set")}, ["name", "for_user"], limit=0)
	return [workspace, *(row.name for row in users if row.name == f"{workspace}-{row.for_user}")]


def delete_sidebar_and_icon(workspace: str) -> None:
	"""Delete what 17 makes at install and does not take back: an icon of the app and a sidebar of its workspace.

	Frappe's own uninstall looks for the icon by another name, and for a sidebar that names the app, as these do not.
	"""
	sidebars = sidebars_of(workspace)
	if not sidebars:
		return
	for name in sidebars:
		frappe.db.delete("Workspace Sidebar Item", {"parent": name, "parenttype": "Workspace Sidebar"})
		frappe.db.delete("Workspace Sidebar", {"name": name})
	frappe.db.delete("Desktop Icon", {"link_type": "Workspace Sidebar", "link_to": workspace})
	frappe.db.delete("Desktop Icon", {"app": APP})
