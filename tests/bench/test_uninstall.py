"""What is left of the app on a site after people used it. Needs a bench, see real_bench.py."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from real_bench import HISTORY_OF_THE_SITE, TENANT_SITE, app_installed, bench, in_site

pytestmark = pytest.mark.bench


@pytest.fixture(autouse=True)
def app_on_the_site() -> Iterator[None]:
	with app_installed(TENANT_SITE):
		yield
	in_site(
		TENANT_SITE,
		f"""
for doctype, name in {BUILT_BY_PEOPLE!r}.items():
	frappe.delete_doc(doctype, name, force=True, delete_permanently=True)
frappe.db.delete("Deleted Document", {{"data": ("like", "%Prego %")}})
""",
	)


# What the next statements make, by DocType.
BUILT_BY_PEOPLE = {
	"Calendar View": "My calendar",
	"Client Script": "My script",
	"Custom Field": "Note-push",
	"Dashboard": "Mine",
	"Dashboard Chart": "My chart",
	"Kanban Board": "My board",
	"Notification": "My alert",
	"Number Card": "My card",
	"Report": "My pushes",
	"Webhook": "My hook",
	"Workspace": "Mine",
}


# What the Desk writes when somebody looks at the log, filters it, changes its form, or lets it send alerts.
USE = """
import json
from frappe.custom.doctype.custom_field.custom_field import create_custom_field
from frappe.desk.doctype.route_history.route_history import deferred_insert
from frappe.permissions import add_permission, add_user_permission
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.desk.operator_site import this_bench
from prego_metrics.desk.notifications import CHANNELS
log = "Prego Metrics Push"
frappe.set_user("Administrator")
frappe.db.bulk_insert(log, ["name", "pushed_at", "node_id", "outcome", "driver"], [["f" * 16, "2026-01-01 00:00:00", "sg-1", "failed", "cron"]], ignore_duplicates=True)
config = load_config(this_bench(), {})
for channel in ("notification", "error-log"):
	CHANNELS[channel](AlertEvent("f" * 16, 1.0, "failing", 3, "no connection", 1.0), config)
frappe.get_doc("User", "Administrator").add_roles("Prego Metrics Reader")
from frappe.model.utils.user_settings import save, sync_user_settings
save(log, json.dumps({"last_view": "List"})); sync_user_settings()
def new(doctype, **values):
	frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True, ignore_if_duplicate=True, ignore_links=True)
new("List Filter", filter_name="failed", reference_doctype=log, filters="[]")
if not frappe.db.exists("List View Settings", log):
	new("List View Settings", name=log)
new("Route History", route="List/" + log, user="Administrator")
new("Route History", route="query-report/Prego Tenants", user="Administrator")
new("Route History", route="Workspaces/Prego Metrics", user="Administrator")
new("Comment", comment_type="Comment", reference_doctype=log, reference_name="f" * 16, content="x")
new("View Log", reference_doctype=log, reference_name="f" * 16, viewed_by="Administrator")
new("Access Log", export_from=log, user="Administrator")
new("Access Log", report_name="Prego Tenants", user="Administrator")
new("Tag Link", document_type=log, document_name="f" * 16, tag="x", title="x")
new("ToDo", reference_type=log, reference_name="f" * 16, description="x", allocated_to="Administrator")
new("DocShare", share_doctype=log, share_name="f" * 16, user="Administrator", read=1)
new("Report", report_name="My pushes", ref_doctype=log, report_type="Report Builder", is_standard="No")
new("Notification", name="My alert", subject="x", document_type=log, event="Method", method="prego_alert", message="x", recipients=[{"receiver_by_role": "System Manager"}])
new("Dashboard Chart", chart_name="My chart", chart_type="Count", document_type=log, based_on="pushed_at", timeseries=1, timespan="Last Year", time_interval="Daily", filters_json="[]", type="Line")
new("Number Card", label="My card", document_type=log, function="Count", filters_json="[]", type="Document Type")
new("Client Script", name="My script", dt=log, script="", enabled=0)
new("Webhook", name="My hook", webhook_doctype=log, webhook_docevent="after_insert", request_url="http://127.0.0.1:1/", enabled=0)
new("Kanban Board", kanban_board_name="My board", reference_doctype=log, field_name="outcome", columns=[])
new("Calendar View", name="My calendar", reference_doctype=log, subject_field="node_id", start_date_field="pushed_at", end_date_field="pushed_at")
new("Custom Role", report="Prego Tenants", roles=[{"role": "System Manager"}])
new("Workspace", name="Mine", label="Mine", title="Mine", public=1, content="[]", shortcuts=[{"type": "DocType", "link_to": log, "label": "p"}], charts=[{"chart_name": "Prego Pushes per Day", "label": "c"}], number_cards=[{"number_card_name": "Prego Tenants", "label": "t"}])
new("Dashboard", dashboard_name="Mine", charts=[{"chart": "Prego Pushes per Day", "width": "Half"}], cards=[{"card": "Prego Tenants"}])
create_custom_field("Note", {"fieldname": "push", "label": "Push", "fieldtype": "Link", "options": log})
create_custom_field(log, {"fieldname": "remark", "label": "Remark", "fieldtype": "Data"})
frappe.make_property_setter({"doctype": log, "fieldname": "error", "property": "hidden", "value": 0, "property_type": "Check"})
add_permission(log, "Report Manager")
add_user_permission(log, "f" * 16, "Administrator", ignore_permissions=True)
frappe.get_doc("Log Settings").save()
from frappe.desk.query_report import run
try:
	run("Prego Tenants", filters="{")  # what is no JSON makes it raise, and Frappe notes that
except ValueError:
	pass
"""

LEFT = """
import json
columns = {}
for table, column in frappe.db.sql("select table_name, column_name from information_schema.columns where table_schema = database() and data_type in ('varchar', 'text', 'longtext', 'mediumtext')"):
	if (table, column) != ("tabUser", "last_known_versions"):
		columns.setdefault(table, []).append(column)
left = [table for (table,) in frappe.db.sql("show tables like 'tabPrego%%'")]
for table, names in columns.items():
	condition = " or ".join(f"`{name}` like '%%prego%%' or `{name}` like '%%Node Metrics%%'" for name in names)
	if table in HISTORY_OF_THE_SITE:
		condition = f"not ({HISTORY_OF_THE_SITE[table]}) and ({condition})"
	if table == "tabUser":
		condition = " or ".join(f"`{name}` like 'Prego %%'" for name in names)
	rows = frappe.db.sql(f"select * from `{table}` where {condition} limit 5", as_dict=True)
	left += [(table, row.get("parent") or row["name"], {key: str(value)[:80] for key, value in row.items() if "rego" in str(value)}) for row in rows]
print(json.dumps(left))
"""


def listed_in(output: str) -> dict[str, str]:
	"""Return what the command says that people made, by DocType."""
	_, _, listing = output.partition("People made these for records of prego_metrics.")
	entries = itertools.takewhile(lambda line: line.startswith("  "), listing.splitlines()[1:])
	return dict(entry.strip().split(": ", 1) for entry in entries)


def test_uninstall_after_real_use_deletes_what_names_us_and_lists_what_people_built() -> None:
	in_site(TENANT_SITE, USE)
	output = bench("--site", TENANT_SITE, "uninstall-app", "prego_metrics", "--dry-run", "--yes")
	assert listed_in(output) == BUILT_BY_PEOPLE
	output = bench("--site", TENANT_SITE, "uninstall-app", "prego_metrics", "--yes", "--no-backup")
	assert listed_in(output) == BUILT_BY_PEOPLE
	left = json.loads(in_site(TENANT_SITE, f"HISTORY_OF_THE_SITE = {HISTORY_OF_THE_SITE!r}\n{LEFT}"))
	assert [row for row in left if row[1] not in BUILT_BY_PEOPLE.values()] == []
	assert {name for _, name, _ in left} == set(BUILT_BY_PEOPLE.values())
	# The site works on with what stays.
	bench("--site", TENANT_SITE, "migrate")
	in_site(TENANT_SITE, OPEN_THE_DESK)


# What the Desk asks for when it starts, and when it opens the workspace with our former shortcut, card and chart.
OPEN_THE_DESK = """
import json
from frappe.desk.desktop import get_desktop_page, get_workspace_sidebar_items
from frappe.email.doctype.notification.notification import trigger_daily_alerts
from frappe.sessions import get
frappe.set_user("Administrator")
frappe.local.session_obj = None
assert get_workspace_sidebar_items()
assert get_desktop_page(json.dumps({"name": "Mine", "title": "Mine", "public": 1}))
frappe.get_meta("Note")
trigger_daily_alerts()
"""


def test_the_app_can_be_installed_again_beside_what_people_built() -> None:
	in_site(TENANT_SITE, USE)
	bench("--site", TENANT_SITE, "uninstall-app", "prego_metrics", "--yes", "--no-backup")
	bench("--site", TENANT_SITE, "install-app", "prego_metrics")
	counted = in_site(
		TENANT_SITE, "print(frappe.db.count('Prego Metrics Push'), frappe.db.exists('Webhook', 'My hook'))"
	)
	assert counted.split(maxsplit=1) == ["0", "My hook\n"]


def test_a_dry_run_of_uninstall_changes_no_row() -> None:
	before = in_site(TENANT_SITE, CHECKSUMS)
	output = bench("--site", TENANT_SITE, "uninstall-app", "prego_metrics", "--dry-run", "--yes")
	assert listed_in(output) == {}
	assert in_site(TENANT_SITE, CHECKSUMS) == before


# Of the tables that a dry run might touch; those that the scheduler or a request writes are left away.
CHECKSUMS = """
tables = ["DocType", "DocField", "DocPerm", "Module Def", "Role", "Has Role", "Workspace", "Number Card", "Dashboard Chart", "Dashboard Chart Source", "Report", "Notification", "Logs To Clear", "Prego Metrics Push", "Installed Application", "Deleted Document", "Version", "Custom Field", "Property Setter"]
for table in (table for table in tables if frappe.db.table_exists(table)):
	print(table, frappe.db.sql(f"checksum table `tab{table}`")[0][1])
print(frappe.get_all("Scheduled Job Type", pluck="name", order_by="name"))
"""
