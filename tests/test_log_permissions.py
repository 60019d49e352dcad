"""Who may read the log of pushes, over HTTP: Frappe's own permission checks are off in its tests.

Needs PREGO_TEST_BENCH, PREGO_TEST_SITE (the operator's site) and PREGO_TEST_URL (where that site answers, such as
http://127.0.0.1:8000), with the users and passwords that PREGO_TEST_MANAGER and PREGO_TEST_PLAIN_USER give as
user:password.
"""

from __future__ import annotations

import os

import pytest
import requests

SITE = os.environ.get("PREGO_TEST_SITE", "")
URL = os.environ.get("PREGO_TEST_URL", "")
MANAGER = os.environ.get("PREGO_TEST_MANAGER", "")
PLAIN_USER = os.environ.get("PREGO_TEST_PLAIN_USER", "")
DOCTYPE = "Prego Metrics Push"
THIS_NODE = "prego_metrics.node_metrics.doctype.prego_metrics_push.prego_metrics_push.this_node"

pytestmark = pytest.mark.skipif(
	not (SITE and URL and MANAGER and PLAIN_USER),
	reason="no site to ask: set PREGO_TEST_SITE, PREGO_TEST_URL, PREGO_TEST_MANAGER and PREGO_TEST_PLAIN_USER",
)

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


class Client:
	"""A session on the site, for a user, or for nobody."""

	def __init__(self, credentials: str = "") -> None:
		self._session = requests.Session()
		self._session.headers["Host"] = SITE
		if credentials:
			user, _, password = credentials.partition(":")
			answer = self.call("POST", "/api/method/login", {"usr": user, "pwd": password})
			assert answer.status_code == 200, f"{user} cannot log in"
			# A page's token, as a browser has it; without it Frappe refuses every POST.
			page = self._session.get(URL + "/app", timeout=60).text
			_, _, after = page.partition('csrf_token = "')
			self._session.headers["X-Frappe-CSRF-Token"] = after.partition('"')[0]

	def call(self, method: str, path: str, values: dict[str, str]) -> requests.Response:
		place = {"params": values} if method == "GET" else {"json": values}
		return self._session.request(method, URL + path, timeout=60, **place)


@pytest.mark.parametrize("way", READING)
def test_a_system_manager_reads_the_log(way: str) -> None:
	assert Client(MANAGER).call(*READING[way]).status_code == 200


@pytest.mark.parametrize("way", READING)
@pytest.mark.parametrize("credentials", [PLAIN_USER, ""], ids=["plain user", "guest"])
def test_nobody_else_reads_anything_of_it(way: str, credentials: str) -> None:
	assert Client(credentials).call(*READING[way]).status_code == 403


def test_not_even_a_system_manager_writes_or_deletes() -> None:
	manager = Client(MANAGER)
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
