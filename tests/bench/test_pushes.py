"""The app on a real bench: needs PREGO_TEST_BENCH (its path) and PREGO_TEST_SITE (a site with the app).

The site is a test site: these tests uninstall the app from it and install it again, and push to a control
plane of their own, which the bench's state and history then remember. Settings and other sites stay as they
are, and nobody is alerted.
"""

# Fixtures are imported by name, and given by it.
# ruff: noqa: F401, F811
from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path

import pytest
from real_bench import (
	BENCH,
	HISTORY_OF_THE_SITE,
	PROCESS_KEY,
	SITE,
	bench,
	changed,
	plane,
	run_bench,
	site_config,
	variables,
)

from prego_metrics.agent.state.store import StateFolder
from prego_metrics.sandbox.server import LocalControlPlane

METHOD = "prego_metrics.prego_push.push"

pytestmark = pytest.mark.bench


def execute(method: str, kwargs: dict[str, object] | None = None, **variables: str):
	arguments = ["--kwargs", repr(kwargs)] if kwargs else []
	return run_bench("--site", SITE, "execute", method, *arguments, **variables)


def sql(query: str) -> list[list[object]]:
	result = execute("frappe.db.sql", {"query": query})
	assert result.returncode == 0, result.stderr
	return json.loads(result.stdout) if result.stdout.strip() else []


def test_every_site_that_frappe_sees_is_counted_once(variables: dict[str, str]) -> None:
	sites = json.loads(execute("frappe.utils.get_sites").stdout)
	result = run_bench("prego-metrics", "tenants", "--json", PREGO_METRICS_EXCLUDE_SITES="[]", **variables)
	assert sorted(site["site"] for site in json.loads(result.stdout)["sites"]) == sorted(sites)
	assert json.loads(result.stdout)["tenant_count"] == len(sites)


def test_a_push_by_bench_execute_arrives_with_the_count_of_the_bench(
	plane: LocalControlPlane, variables: dict[str, str]
) -> None:
	outcome = execute(METHOD, {"save_snapshot": True}, **variables)
	assert outcome.returncode == 0, outcome.stderr
	result = json.loads(outcome.stdout)
	count = json.loads(run_bench("prego-metrics", "tenants", "--json", **variables).stdout)["tenant_count"]
	row = plane.store.server_metrics("bench-test")
	assert result["outcome"] == "delivered"
	assert row is not None and row["tenant_count"] == count == result["payload"]["tenant_count"]
	assert len(plane.store.snapshots("bench-test")) == 1


def test_a_dry_run_by_bench_execute_shows_the_payload_and_sends_nothing(
	plane: LocalControlPlane, variables: dict[str, str]
) -> None:
	result = execute(METHOD, {"dry_run": True}, **variables)
	assert json.loads(result.stdout)["outcome"] == "dry_run"
	assert plane.store.server_metrics("bench-test") is None


@pytest.mark.parametrize(
	("changed", "code", "words"),
	[
		(
			{"INTERNAL_API_KEY": "a-wrong-key-of-the-bench-tests"},
			1,
			"Refused: the control plane refuses the key",
		),
		({"PREGO_METRICS_NODE_ID": "nobody"}, 1, "does not know this node_id"),
		({"PREGO_METRICS_CONTROL_PLANE_URL": "http://127.0.0.1:9"}, 1, "Failed: no connection"),
		({"PREGO_METRICS_CONTROL_PLANE_URL": "soon"}, 2, "control_plane_url"),
		({"PREGO_METRICS_BENCHES": "[]"}, 2, "benches"),
	],
)
def test_a_failed_push_by_bench_execute_says_why_and_exits_as_the_command_line_does(
	variables: dict[str, str], changed: dict[str, str], code: int, words: str
) -> None:
	result = execute(METHOD, **{**variables, **changed})
	assert result.returncode == code
	assert words in result.stderr
	assert "NameError" not in result.stdout + result.stderr
	assert "Traceback" not in result.stdout + result.stderr
	assert PROCESS_KEY not in result.stdout + result.stderr


def test_the_job_row_is_due_at_every_tick_and_logs_nothing() -> None:
	rows = sql(
		"select cron_format, create_log, stopped, last_execution is not null from `tabScheduled Job Type` "
		"where method = 'prego_metrics.prego_push.push_if_due'"
	)
	assert rows == [["* * * * * */10", 0, 0, 1]]


def test_migrate_leaves_the_job_row_right() -> None:
	bench("--site", SITE, "migrate")
	test_the_job_row_is_due_at_every_tick_and_logs_nothing()


def test_the_apps_own_tests_pass_in_the_bench() -> None:
	with changed(site_config(SITE), allow_tests=True):
		result = run_bench("--site", SITE, "run-tests", "--app", "prego_metrics")
	expected = result.stdout + result.stderr
	# The runner of Frappe 15 ends with 0 whatever the tests said.
	assert result.returncode == 0 and "FAILED" not in expected, expected[-3000:]
	assert sum(int(number) for number in re.findall(r"Ran (\d+) tests?", expected)) > 0, expected[-3000:]


def test_a_dry_run_of_uninstall_leaves_the_job_row() -> None:
	bench("--site", SITE, "uninstall-app", "prego_metrics", "--dry-run", "--yes")
	test_the_job_row_is_due_at_every_tick_and_logs_nothing()


def test_uninstall_leaves_nothing_of_ours_in_the_database_and_install_brings_it_back() -> None:
	assert "tabScheduled Job Type" in rows_that_name_us()
	try:
		assert "rm -r" in bench("--site", SITE, "uninstall-app", "prego_metrics", "--yes", "--no-backup")
		assert rows_that_name_us() == []
		assert [str(table) for (table,) in sql("show tables like 'tabPrego%%'")] == []
	finally:
		for _time in range(2):
			bench("--site", SITE, "install-app", "prego_metrics")
	test_the_job_row_is_due_at_every_tick_and_logs_nothing()


def rows_that_name_us() -> list[str]:
	"""Search every text column of the site's database for the app's names.

	What Frappe itself notes of the site and its users stays Frappe's: their history, and which versions a user
	has seen at the last login.
	"""
	columns = sql(
		"select table_name, column_name from information_schema.columns where table_schema = database() "
		"and data_type in ('varchar', 'text', 'longtext', 'mediumtext')"
	)
	by_table: dict[str, list[str]] = {}
	for table, column in columns:
		if (table, column) != ("tabUser", "last_known_versions"):
			by_table.setdefault(str(table), []).append(str(column))
	queries = []
	for table, names in by_table.items():
		condition = " or ".join(
			f"`{name}` like '%%prego_metrics%%' or `{name}` = 'Node Metrics' or `{name}` like 'Prego %%'"
			for name in names
		)
		if table in HISTORY_OF_THE_SITE:
			condition = f"not ({HISTORY_OF_THE_SITE[table]}) and ({condition})"
		queries.append(f"(select '{table}' from `{table}` where {condition} limit 1)")
	batches = [queries[start : start + 20] for start in range(0, len(queries), 20)]
	return [str(table) for batch in batches for (table,) in sql(" union all ".join(batch))]


def test_the_scheduler_pushes_once_a_minute_five_times_in_a_row() -> None:
	"""Needs the bench's scheduler and a worker running, and settings that reach a control plane.

	On Frappe 16 the scheduler must have been started with a scheduler_tick_interval of 60: its default is 240.
	"""
	folder = StateFolder(str(Path(BENCH) / "sites"))
	interval = json.loads(run_bench("prego-metrics", "configure", "--show", "--json").stdout)["settings"]
	seconds = interval["push_interval"]["value"]
	begun = time.time()
	pushes = []
	while len(pushes) < 6 and time.time() < begun + 7 * (seconds + 60):
		time.sleep(2)
		pushes = [push for push in folder.history() if push.trigger == "frappe" and push.at > begun]
	assert [push.outcome for push in pushes] == ["delivered"] * 6
	gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(pushes)]
	assert all(seconds - 15 <= gap <= seconds + 60 for gap in gaps), gaps
