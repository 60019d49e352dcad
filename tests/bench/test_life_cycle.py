"""A node's life: migrated, kept in maintenance, restored elsewhere, its site dropped, the app on two sites.

Needs a bench, see real_bench.py. Settings are given by the environment: those of the bench stay as they are,
and so do its services. The scheduler of the bench may run meanwhile.
"""

# Fixtures are imported by name, and given by it.
# ruff: noqa: F401, F811
from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from real_bench import (
	BENCH,
	SITE,
	TENANT_SITE,
	app_installed,
	changed,
	doctor_check,
	in_site,
	plane,
	run_bench,
	site_config,
	variables,
)

from prego_metrics.sandbox.server import LocalControlPlane

pytestmark = pytest.mark.bench

RUN_TICK = "from prego_metrics.prego_push import push_if_due; push_if_due()"
WHY_NOT = "from prego_metrics.desk.operator_site import operator_config, refusal; print(operator_config() is None and refusal())"
CHART = "from prego_metrics.desk.cards import pushes_per_day; print(sum(sum(s['values']) for s in pushes_per_day()['datasets']))"
# Everything that a tick could write into a site's database: our own tables, and those in which people are told.
ROWS = """
tables = [table for (table,) in frappe.db.sql("show tables like 'tabPrego%%'")]
tables += ["tabError Log", "tabNotification Log", "tabScheduled Job Log", "tabEmail Queue", "tabVersion", "tabComment"]
print({table: frappe.db.sql(f"select count(*) from `{table}`")[0][0] for table in tables})
"""
LOGGED = "print(frappe.db.count('Prego Metrics Push', {'node_id': %r}))"


def test_the_app_comes_with_its_doctypes_where_the_site_knows_the_apps_of_before_get_app() -> None:
	in_site(
		TENANT_SITE, "frappe.cache.set_value('app_modules', {'frappe': frappe.local.app_modules['frappe']})"
	)
	with app_installed(TENANT_SITE):
		assert "True" in in_site(TENANT_SITE, "print(bool(frappe.db.exists('DocType', 'Prego Node')))")


@pytest.fixture(scope="module")
def app_on_a_tenants_site() -> Iterator[None]:
	with app_installed(TENANT_SITE):
		yield


def test_a_migrate_under_maintenance_twice_leaves_a_node_that_pushes(variables: dict[str, str]) -> None:
	"""As `bench update` does it, on the test site alone."""
	switches = {"maintenance_mode": 1, "pause_scheduler": 1}
	with changed(site_config(SITE), **switches):
		for _time in range(2):
			result = run_bench("--site", SITE, "migrate")
			assert result.returncode == 0, result.stderr
		found = doctor_check("scheduler_switches", variables)
		assert found["state"] in ("warn", "fail")
		assert all(f"{switch} is set on {SITE}" in found["seen"] for switch in switches)
		# It is counted meanwhile, and a push by hand goes out.
		result = run_bench("--site", SITE, "execute", "prego_metrics.prego_push.push", **variables)
		assert json.loads(result.stdout)["outcome"] == "delivered", result.stderr
	assert doctor_check("scheduler_switches", variables)["state"] == "pass"
	assert doctor_check("job", variables)["state"] == "pass"


def test_a_restored_backup_pushes_as_the_node_that_it_is_on_now(
	plane: LocalControlPlane, variables: dict[str, str]
) -> None:
	"""The node's id is the bench's: nothing in a site's database says which node it was on."""
	old = "a-node-of-before"
	try:
		in_site(
			SITE,
			"frappe.db.bulk_insert('Prego Metrics Push', ['name', 'pushed_at', 'node_id', 'outcome', 'driver'], "
			f"[['e' * 16, frappe.utils.now(), {old!r}, 'delivered', 'frappe']], ignore_duplicates=True)",
		)
		before = in_site(SITE, CHART, **variables)
		in_site(SITE, RUN_TICK, **{**variables, "PREGO_METRICS_PUSH_INTERVAL": "5"})
		result = run_bench("--site", SITE, "execute", "prego_metrics.prego_push.push", **variables)
		assert json.loads(result.stdout)["payload"]["node_id"] == "bench-test"
		assert plane.store.server_metrics(old) is None
		in_site(SITE, RUN_TICK, **variables)
		assert int(in_site(SITE, LOGGED % old)) == 1
		assert int(in_site(SITE, LOGGED % "bench-test")) > 0
		# The picture is that of this node: asked as the old one, there is one bar, and as this one there are ours.
		assert int(in_site(SITE, CHART, **{**variables, "PREGO_METRICS_NODE_ID": old})) == 1
		assert int(in_site(SITE, CHART, **variables)) > int(before)
	finally:
		in_site(SITE, f"frappe.db.delete('Prego Metrics Push', {{'node_id': {old!r}}})")


def test_with_the_operators_site_dropped_the_doctor_and_every_page_say_so(
	plane: LocalControlPlane, variables: dict[str, str], app_on_a_tenants_site: None
) -> None:
	gone = {**variables, "PREGO_METRICS_SITE": "gone.test", "PREGO_METRICS_PUSH_INTERVAL": "5"}
	found = doctor_check("operators_site", gone)
	assert (found["state"], "gone.test was dropped or renamed" in found["seen"]) == ("warn", True)
	assert "configure --site" in found["action"]
	for site in (SITE, TENANT_SITE):
		assert "not the operator site" in in_site(site, WHY_NOT, **gone)
		assert "gone.test" not in in_site(site, WHY_NOT, **gone)
		rows = in_site(TENANT_SITE, ROWS)
		in_site(site, RUN_TICK, **gone)
		assert in_site(TENANT_SITE, ROWS) == rows
	# Pushes go on: any site with the app carries them.
	assert json.loads(run_bench("prego-metrics", "status", "--json", **gone).stdout)["status"] == "fresh"


def test_ticks_of_two_sites_make_one_push_and_write_on_the_operators_alone(
	plane: LocalControlPlane, variables: dict[str, str], app_on_a_tenants_site: None
) -> None:
	"""Ten ticks on a tenant's site, by mistake: nothing of ours is written into its database, failures included."""
	rows = in_site(TENANT_SITE, ROWS)
	often = {**variables, "PREGO_METRICS_PUSH_INTERVAL": "3600", "PREGO_METRICS_ALERT_AFTER": "1"}
	run_bench("--site", SITE, "execute", "prego_metrics.prego_push.push", **often)
	at = plane.store.server_metrics("bench-test")
	assert at is not None
	for site in (SITE, TENANT_SITE, SITE, TENANT_SITE):
		in_site(site, RUN_TICK, **often)
	assert plane.store.server_metrics("bench-test") == at
	wrong = {**often, "PREGO_METRICS_PUSH_INTERVAL": "5", "INTERNAL_API_KEY": "another-key-of-the-tests"}
	in_site(
		TENANT_SITE,
		f"for _tick in range(10):\n\t{RUN_TICK}",
		**{**wrong, "PREGO_METRICS_ALERT_AFTER": "1000"},
	)
	assert in_site(TENANT_SITE, ROWS) == rows
	in_site(SITE, RUN_TICK, **variables)
	assert int(in_site(SITE, LOGGED % "bench-test")) > 0


@pytest.mark.parametrize("key", ["redis_queue", "redis_cache"])
def test_without_redis_a_push_by_hand_goes_out(
	plane: LocalControlPlane, variables: dict[str, str], key: str
) -> None:
	"""The site is told a port at which none listens."""
	with changed(site_config(SITE), **{key: "redis://127.0.0.1:9"}):
		for arguments in (
			("--site", SITE, "execute", "prego_metrics.prego_push.push"),
			("prego-metrics", "push"),
		):
			result = run_bench(*arguments, **variables)
			assert result.returncode == 0, result.stderr
			assert "elivered" in result.stdout
