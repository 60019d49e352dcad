"""Who may read the log of pushes, over HTTP: Frappe's own permission checks are off in its tests.

Needs a bench, see real_bench.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import real_bench
from real_bench import KEY, NODE_ID, SITE, Visitor

from prego_metrics.sandbox.server import LocalControlPlane

DOCTYPE = "Prego Metrics Push"
THIS_NODE = "prego_metrics.node_metrics.doctype.prego_metrics_push.prego_metrics_push.this_node"
MANAGER, PLAIN = "manager@log.test", "plain@log.test"

pytestmark = pytest.mark.bench

# Not frappe.client.get_count: it checks no permission in v15, so any user of a site counts any DocType's rows.
READING = {
	"list": ("GET", f"/api/resource/{DOCTYPE}", {}),
	"get_list": ("GET", "/api/method/frappe.client.get_list", {"doctype": DOCTYPE}),
	"report view": (
		"GET",
		"/api/method/frappe.desk.reportview.get",
		{"doctype": DOCTYPE, "fields": '["name"]'},
	),
	"export": (
		"POST",
		"/api/method/frappe.desk.reportview.export_query",
		{"doctype": DOCTYPE, "fields": '["name"]', "file_format_type": "CSV", "title": "x"},
	),
	"this node": ("GET", f"/api/method/{THIS_NODE}", {}),
}


@pytest.fixture(scope="module")
def people() -> Iterator[dict[str, Visitor]]:
	"""A System Manager, a user of another role and a guest, on an operator's site whose log has a push."""
	with LocalControlPlane(KEY) as plane, real_bench.key_file() as path:
		plane.store.register_node(NODE_ID, "eu", "127.0.0.1")
		settings = {"node_id": NODE_ID, "control_plane_url": plane.url, "api_key_file": path, "site": SITE}
		with real_bench.configured(**settings, alert_after=1000):
			real_bench.execute(SITE, "prego_metrics.prego_push.push")
			real_bench.execute(SITE, "prego_metrics.prego_push.push_if_due")
			try:
				real_bench.make_user(SITE, MANAGER, "System Manager")
				real_bench.make_user(SITE, PLAIN, real_bench.PLAIN_ROLE)
				yield {
					"manager": Visitor(SITE, MANAGER),
					"plain user": Visitor(SITE, PLAIN),
					"guest": Visitor(SITE),
				}
			finally:
				for email in (MANAGER, PLAIN):
					real_bench.delete_user(SITE, email)


@pytest.mark.parametrize("way", READING)
def test_a_system_manager_reads_the_log(people: dict[str, Visitor], way: str) -> None:
	assert people["manager"].call(*READING[way]).status_code == 200


@pytest.mark.parametrize("way", READING)
@pytest.mark.parametrize("who", ["plain user", "guest"])
def test_nobody_else_reads_anything_of_it(people: dict[str, Visitor], who: str, way: str) -> None:
	assert people[who].call(*READING[way]).status_code == 403


def test_not_even_a_system_manager_writes_or_deletes(people: dict[str, Visitor]) -> None:
	manager = people["manager"]
	name = manager.call("GET", f"/api/resource/{DOCTYPE}", {"limit": "1"}).json()["data"][0]["name"]
	for method, path, values in (
		("POST", f"/api/resource/{DOCTYPE}", {"name": "0" * 16, "outcome": "delivered"}),
		("PUT", f"/api/resource/{DOCTYPE}/{name}", {"outcome": "failed"}),
		("DELETE", f"/api/resource/{DOCTYPE}/{name}", {}),
		(
			"POST",
			"/api/method/frappe.client.set_value",
			{"doctype": DOCTYPE, "name": name, "fieldname": "error", "value": "x"},
		),
	):
		assert manager.call(method, path, values).status_code == 403, (method, path)
	assert manager.call("GET", f"/api/resource/{DOCTYPE}/{name}", {}).status_code == 200
