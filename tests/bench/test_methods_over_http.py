"""Who may ask the node over HTTP, and that a tenant's site on the same bench learns nothing of it.

Needs a bench, see real_bench.py. The app is installed on PREGO_TEST_TENANT_SITE for some tests, and
uninstalled afterwards.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_bench
from made_tenants import empty_usage_store, give_to_owner, made_tenant, save_usage
from nightly_bench import is_complete, wait_for
from real_bench import BENCH, KEY, NODE_ID, SITE, TENANT_SITE, Visitor, in_site

from prego_metrics.sandbox.server import LocalControlPlane

pytestmark = pytest.mark.bench

MANAGER, PLAIN, READER = "manager@page.test", "plain@page.test", "reader@page.test"
READING = ("status", "tenants", "series", "metrics", "tenant_sizes", "tenant_history")
ACTING = ("push", "doctor", "collect")


@pytest.fixture(scope="module")
def plane() -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY) as plane, real_bench.key_file() as path:
		plane.store.register_node(NODE_ID, "eu", "127.0.0.1")
		settings = {"node_id": NODE_ID, "control_plane_url": plane.url, "api_key_file": path, "site": SITE}
		with real_bench.configured(**settings, scheduler_pushes=False, alert_after=1000):
			yield plane


@pytest.fixture(scope="module")
def people(plane: LocalControlPlane) -> Iterator[dict[str, Visitor]]:
	real_bench.forget_rate_limits()
	real_bench.make_user(SITE, MANAGER, "System Manager")
	real_bench.make_user(SITE, PLAIN, real_bench.PLAIN_ROLE)
	real_bench.make_user(SITE, READER, "Prego Metrics Reader")
	yield {
		"manager": Visitor(SITE, MANAGER),
		"plain": Visitor(SITE, PLAIN),
		"reader": Visitor(SITE, READER),
		"guest": Visitor(SITE),
	}
	for email in (MANAGER, PLAIN, READER):
		real_bench.delete_user(SITE, email)


def ask(visitor: Visitor, method: str):
	path = f"/api/method/prego_metrics.api.{method}"
	return visitor.post(path) if method in ACTING else visitor.get(path)


def test_a_system_manager_reads_pushes_and_checks(people: dict[str, Visitor]) -> None:
	manager = people["manager"]
	pushed = ask(manager, "push").json()["message"]
	assert pushed["outcome"] == "delivered", pushed
	status = ask(manager, "status").json()["message"]
	assert (status["status"], status["node_id"], status["who"]) == ("fresh", NODE_ID, MANAGER)
	assert status["last"]["payload"] == pushed["payload"]
	sites = ask(manager, "tenants").json()["message"]
	assert sites["tenant_count"] == pushed["payload"]["tenant_count"]
	assert ask(manager, "series").json()["message"]["buckets"][-1]["tenant_count"]
	checks = ask(manager, "doctor").json()["message"]["checks"]
	assert {check["state"] for check in checks} <= {"pass", "warn", "fail", "skip"}
	assert KEY not in ask(manager, "status").text


def test_what_was_scanned_is_exported_as_numbers(people: dict[str, Visitor]) -> None:
	real_bench.bench("prego-metrics", "tenants", "--scan")
	answer = people["manager"].post(
		"/api/method/frappe.desk.query_report.export_query",
		report_name="Prego Tenants",
		file_format_type="CSV",
		visible_idx="[]",
	)
	assert answer.status_code == 200, answer.text[-300:]
	rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
	assert {row["Site"] for row in rows} == {
		path.parent.name for path in Path(BENCH, "sites").glob("*/site_config.json")
	}
	assert all(float(row["Database (MB)"]) > 1 for row in rows)
	asked_at = time.time()
	asked = ask(people["manager"], "collect").json()["message"]
	assert isinstance(asked["queued"], bool) and asked["message"]
	if asked["queued"]:
		# The next tests set the usage store aside: not under the hands of a worker.
		wait_for(lambda: is_complete(asked_at), 120)


def test_a_dry_run_sends_and_records_nothing(people: dict[str, Visitor]) -> None:
	before = ask(people["manager"], "status").json()["message"]["last"]
	result = people["manager"].post("/api/method/prego_metrics.api.push", dry_run=1).json()["message"]
	assert result["outcome"] == "dry_run"
	assert result["payload"]["node_id"] == NODE_ID
	assert ask(people["manager"], "status").json()["message"]["last"] == before


@pytest.mark.parametrize("asked", ["yes", "on", "", "2"])
def test_a_dry_run_in_other_words_is_refused_and_no_push(people: dict[str, Visitor], asked: str) -> None:
	real_bench.forget_rate_limits()
	before = ask(people["manager"], "status").json()["message"]["last"]
	answer = people["manager"].post("/api/method/prego_metrics.api.push", dry_run=asked)
	assert answer.status_code == 417, answer.text[:300]
	assert ask(people["manager"], "status").json()["message"]["last"] == before


def test_what_acts_wants_a_post_and_a_period_is_one_of_three(people: dict[str, Visitor]) -> None:
	for method in ACTING:
		assert people["manager"].get(f"/api/method/prego_metrics.api.{method}").status_code == 403
	refused = people["manager"].get("/api/method/prego_metrics.api.series", period="year")
	assert (refused.status_code, refused.json()["error_code"]) == (417, "command_failed")
	assert "day, week, month" in refused.text


def test_parameters_that_a_method_does_not_have_are_ignored(people: dict[str, Visitor]) -> None:
	answer = people["manager"].get(
		"/api/method/prego_metrics.api.series", period="week", config="mine", limit="1"
	)
	assert answer.status_code == 200, answer.text[:300]
	assert answer.json()["message"]["period"] == "week"


def test_the_tenants_sizes_are_as_many_as_asked_for_and_a_days_history_is_one_tenants(
	people: dict[str, Visitor],
) -> None:
	manager, path = people["manager"], "/api/method/prego_metrics.api."
	now = time.time()
	with empty_usage_store(Path(BENCH)) as store:
		assert "tenants --scan" in ask(manager, "tenant_sizes").json()["message"]["nothing"]
		tenants = [made_tenant(f"t{number}.example", now, number, 0, 0) for number in range(60)]
		save_usage(Path(BENCH) / "sites", tenants)
		give_to_owner(store)
		sizes = manager.get(f"{path}tenant_sizes", top=3, days=7).json()["message"]
		assert [row["site"] for row in sizes["largest"]] == ["t59.example", "t58.example", "t57.example"]
		assert sizes["growth"]["tenants"] == 0 and sizes["sites"] == 60
		asked_for = {"site": "t59.example", "bench": sizes["largest"][0]["bench"]}
		days = manager.get(f"{path}tenant_history", **asked_for).json()["message"]["days"]
		assert [day["total_bytes"] for day in days] == [59]
	assert "No usage of" in ask(manager, "tenant_history").json()["message"]["nothing"]


@pytest.mark.parametrize("parameters", [{"top": 0}, {"top": 51}, {"days": 400}, {"top": "all"}, {"days": ""}])
def test_the_tenants_sizes_are_never_asked_for_without_an_end(
	people: dict[str, Visitor], parameters: dict[str, object]
) -> None:
	answer = people["manager"].get("/api/method/prego_metrics.api.tenant_sizes", **parameters)
	assert answer.status_code == 417, answer.text[:300]
	assert "Traceback" not in answer.json().get("_server_messages", "")


@pytest.mark.parametrize(
	("who", "method"),
	[
		(who, method)
		for who in ("plain", "reader", "guest")
		for method in (*READING, *ACTING)
		if (who, method) != ("reader", "metrics")
	],
)
def test_nobody_else_may_ask(people: dict[str, Visitor], who: str, method: str) -> None:
	answer = ask(people[who], method)
	assert answer.status_code in (401, 403), answer.text[:300]
	assert NODE_ID not in answer.text
	assert "tenant_count" not in answer.text


def test_the_readers_role_reads_metrics_and_nothing_else(people: dict[str, Visitor]) -> None:
	answer = ask(people["reader"], "metrics")
	assert answer.status_code == 200
	assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
	assert "prego_push_interval_seconds " in answer.text
	reader = people["reader"]
	accepted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
	url = f"{reader.base}/api/method/prego_metrics.api.metrics"
	scraped = reader.session.get(url, headers=accepted, timeout=60)
	assert scraped.headers["Content-Type"].startswith("application/openmetrics-text")
	assert scraped.text.endswith("# EOF\n")
	for doctype in ("Prego Metrics Push", "Prego Node"):
		listed = people["reader"].get(f"/api/resource/{doctype}")
		assert listed.status_code in (401, 403) or listed.json()["data"] == []


@pytest.fixture(scope="module")
def error_logs_of_before() -> set[str]:
	"""The Error Logs that the tenant's site has already: its setup may have failed once, and named anything."""
	return {log["name"] for log in json.loads(in_site(TENANT_SITE, ALL_ERROR_LOGS))}


@pytest.fixture(scope="module")
def tenants_people(plane: LocalControlPlane, error_logs_of_before: set[str]) -> Iterator[dict[str, Visitor]]:
	with real_bench.app_installed(TENANT_SITE):
		real_bench.make_user(TENANT_SITE, MANAGER, "System Manager")
		real_bench.make_user(TENANT_SITE, PLAIN, real_bench.PLAIN_ROLE)
		yield {"manager": Visitor(TENANT_SITE, MANAGER), "plain": Visitor(TENANT_SITE, PLAIN)}
		for email in (MANAGER, PLAIN):
			real_bench.delete_user(TENANT_SITE, email)


ALL_ERROR_LOGS = "print(frappe.as_json(frappe.get_all('Error Log', fields=['*'])))"
CARD = "/api/method/prego_metrics.desk.cards."
WAYS_TO_ASK = [
	*(
		(("post" if method in ACTING else "get"), f"/api/method/prego_metrics.api.{method}", {})
		for method in (*READING, *ACTING)
	),
	*(
		("get", f"{CARD}{card}", {})
		for card in ("node_state", "tenants", "failures_in_a_row", "last_delivered", "pushes_per_day")
	),
	(
		"get",
		"/api/method/prego_metrics.node_metrics.doctype.prego_metrics_push.prego_metrics_push.this_node",
		{},
	),
	("get", "/api/resource/Prego Node/Prego Node", {}),
	("get", "/api/resource/Prego Node", {}),
	("get", "/api/resource/Prego Metrics Push", {"fields": '["*"]'}),
	("get", "/api/method/frappe.desk.form.load.getdoc", {"doctype": "Prego Node", "name": "Prego Node"}),
	("get", "/api/method/frappe.client.get", {"doctype": "Prego Node"}),
	("get", "/api/method/frappe.desk.reportview.get", {"doctype": "Prego Node", "fields": '["*"]'}),
	("get", "/api/method/frappe.desk.reportview.get_count", {"doctype": "Prego Node"}),
	("get", "/api/method/frappe.desk.reportview.get_list", {"doctype": "Prego Node", "fields": '["*"]'}),
	("get", "/api/method/frappe.desk.reportview.get_stats", {"doctype": "Prego Node", "stats": "[]"}),
	("get", "/api/method/frappe.desk.reportview.get", {"doctype": "Prego Metrics Push", "fields": '["*"]'}),
	("get", "/api/method/frappe.desk.reportview.get_count", {"doctype": "Prego Metrics Push"}),
	(
		"post",
		"/api/method/frappe.desk.reportview.export_query",
		{"doctype": "Prego Metrics Push", "fields": '["*"]', "file_format_type": "CSV", "title": "x"},
	),
	("post", "/api/method/frappe.desk.query_report.run", {"report_name": "Prego Tenants"}),
	(
		"post",
		"/api/method/frappe.desk.query_report.export_query",
		# The Desk names the rows that it shows, and Frappe 15 raises without that.
		{"report_name": "Prego Tenants", "file_format_type": "CSV", "visible_idx": "[0]"},
	),
	*(
		("get", f"/api/method/frappe.client.{method}", {"doctype": "Prego Metrics Push", **parameters})
		for method, parameters in (
			("get_list", {"fields": '["*"]'}),
			("get_count", {}),
			("get_value", {"fieldname": "node_id", "filters": '{"outcome": "delivered"}'}),
			("get", {"filters": '{"outcome": "delivered"}'}),
			("validate_link", {"docname": "0"}),
		)
	),
	("get", "/api/method/frappe.client.get_value", {"doctype": "Prego Node", "fieldname": "node_id"}),
	("get", "/api/method/frappe.desk.search.search_link", {"doctype": "Prego Metrics Push", "txt": ""}),
	("get", "/api/method/frappe.utils.global_search.search", {"text": "node"}),
	("get", "/app/prego-node", {}),
	("get", "/app/prego-metrics", {}),
]


@pytest.mark.parametrize("who", ["manager", "plain"])
@pytest.mark.parametrize(("how", "path", "parameters"), WAYS_TO_ASK)
def test_a_tenants_site_learns_nothing_of_the_node_or_other_tenants(
	tenants_people: dict[str, Visitor], who: str, how: str, path: str, parameters: dict[str, object]
) -> None:
	answer = getattr(tenants_people[who], how)(path, **parameters)
	others = {place.parent.name for place in Path(BENCH, "sites").glob("*/site_config.json")} - {TENANT_SITE}
	assert answer.status_code != 500, answer.text[-600:]
	for secret in (NODE_ID, KEY, BENCH, "127.0.0.1:9", *others):
		assert secret not in answer.text, (path, answer.text[:600])


def test_a_tenants_system_manager_is_told_why_there_is_nothing(tenants_people: dict[str, Visitor]) -> None:
	answer = ask(tenants_people["manager"], "status")
	assert answer.status_code == 403
	assert "not the operator site" in answer.text
	shown = tenants_people["manager"].get("/api/resource/Prego Node/Prego Node").json()["data"]
	assert "not the operator site" in shown["not_shown"]


def test_nothing_of_the_node_is_written_into_a_tenants_database(
	tenants_people: dict[str, Visitor], error_logs_of_before: set[str]
) -> None:
	counted = tenants_people["manager"].get(
		"/api/method/frappe.desk.reportview.get_count", doctype="Prego Metrics Push"
	)
	assert counted.json()["message"] == 0
	real_bench.execute(TENANT_SITE, "prego_metrics.prego_push.push_if_due")
	counted = tenants_people["manager"].get(
		"/api/method/frappe.desk.reportview.get_count", doctype="Prego Metrics Push"
	)
	assert counted.json()["message"] == 0
	# An error's Error Log would have the variables of each frame, and this site's System Manager reads it.
	logs = json.loads(in_site(TENANT_SITE, ALL_ERROR_LOGS))
	written = json.dumps([log for log in logs if log["name"] not in error_logs_of_before])
	assert not any(
		secret in written for secret in (NODE_ID, KEY, SITE, "Prego Tenants", "prego-metrics-key-")
	)


def test_a_refusal_on_a_tenants_site_shows_no_setting_in_a_traceback_with_variables() -> None:
	code = """
from prego_metrics.desk.operator_site import require_operator_site
try:
	require_operator_site()
except frappe.PermissionError:
	print(frappe.get_traceback(with_context=True))
"""
	shown = in_site(TENANT_SITE, code, PREGO_METRICS_NODE_ID=NODE_ID, PREGO_METRICS_SITE=SITE)
	assert "require_operator_site" in shown
	assert not any(secret in shown for secret in (NODE_ID, SITE))
