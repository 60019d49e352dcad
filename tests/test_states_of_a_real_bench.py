"""The states that a Frappe bench falls into, made to happen on a real one, and named by the doctor.

Needs PREGO_TEST_BENCH (its path) and PREGO_TEST_SITE (a test site of it with the app, whose database is
that of MariaDB). Everything is put back as it was, also when a test fails; other sites stay as they are.
Services are not stopped: for a moment the site is told a port at which none listens.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.local_control_plane.server import LocalControlPlane

BENCH = os.environ.get("PREGO_TEST_BENCH", "")
SITE = os.environ.get("PREGO_TEST_SITE", "")
KEY = "a-key-of-the-bench-tests"
METHOD = "prego_metrics.prego_push.push_if_due"
JOB = f"rq:job:{SITE}::scheduled_job::{METHOD}"

pytestmark = pytest.mark.skipif(
	not (BENCH and SITE), reason="no bench: set PREGO_TEST_BENCH (its path) and PREGO_TEST_SITE (a site)"
)


def run(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run a Python of the bench's, as the owner of the bench."""
	sites = Path(BENCH) / "sites"
	owner = pwd.getpwuid(sites.stat().st_uid)
	as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
	environ = {name: value for name, value in os.environ.items() if not name.startswith("PREGO_")}
	return subprocess.run(
		[str(Path(BENCH) / "env/bin/python"), *arguments],
		cwd=sites,
		env={**environ, "HOME": owner.pw_dir, "USER": owner.pw_name, **variables},
		capture_output=True,
		text=True,
		timeout=120,
		**as_owner,
	)


def bench(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
	return run(["-m", "frappe.utils.bench_helper", "frappe", *arguments], **variables)


def in_site(code: str) -> None:
	"""Run a few statements with Frappe connected to the site, and commit."""
	lines = ["import frappe", f"frappe.init(site={SITE!r}, sites_path='.')", "frappe.connect()", code]
	ended = run(["-c", "\n".join([*lines, "frappe.db.commit()", "frappe.destroy()"])])
	assert ended.returncode == 0, ended.stderr


@pytest.fixture
def variables() -> Iterator[dict[str, str]]:
	with LocalControlPlane(KEY) as plane:
		plane.store.register_node("bench-test", "eu", "127.0.0.1")
		yield {
			"INTERNAL_API_KEY": KEY,
			"PREGO_METRICS_NODE_ID": "bench-test",
			"PREGO_METRICS_CONTROL_PLANE_URL": plane.url,
			"PREGO_METRICS_SITE": SITE,
			"PREGO_METRICS_ALERT_AFTER": "1000",
		}


def check(name: str, variables: dict[str, str]) -> dict[str, str]:
	ended = bench("prego-metrics", "doctor", "--json", "--only", name, **variables)
	assert ended.stdout, ended.stderr
	assert "Traceback" not in ended.stderr
	(made,) = json.loads(ended.stdout)["checks"]
	assert bool(made["action"]) == (made["state"] in ("warn", "fail"))
	return dict(made)


def is_named(name: str, words: str, variables: dict[str, str]) -> None:
	"""A state is a failure, or a warning where another driver goes on pushing."""
	made = check(name, variables)
	assert made["state"] in ("warn", "fail"), made
	assert words in made["seen"], made


@contextmanager
def changed(path: Path, **values: Any) -> Iterator[None]:
	"""Change a configuration file in place, as Frappe does, and put its bytes back."""
	before = path.read_bytes()
	path.write_text(json.dumps({**json.loads(before), **values}, indent=1))
	try:
		yield
	finally:
		path.write_bytes(before)


def common() -> Path:
	return Path(BENCH) / "sites" / "common_site_config.json"


def site_config() -> Path:
	return Path(BENCH) / "sites" / SITE / "site_config.json"


def test_without_any_of_them_frappe_is_well(variables: dict[str, str]) -> None:
	for name in ("redis", "database", "app_on_site", "scheduler", "job", "stuck_job", "scheduler_switches"):
		assert check(name, variables)["state"] == "pass"


def test_a_disabled_scheduler(variables: dict[str, str]) -> None:
	try:
		assert bench("--site", SITE, "disable-scheduler").returncode == 0
		is_named("scheduler", "is disabled in its System Settings", variables)
	finally:
		assert bench("--site", SITE, "enable-scheduler").returncode == 0
	assert check("scheduler", variables)["state"] == "pass"


def test_configure_enables_a_scheduler_that_is_disabled(variables: dict[str, str]) -> None:
	before = common().read_bytes()
	try:
		bench("--site", SITE, "disable-scheduler")
		ended = bench("prego-metrics", "configure", "--enable-scheduler", **variables)
		assert f"the scheduler of {SITE} is enabled" in ended.stdout, ended.stderr
		assert check("scheduler", variables)["state"] == "pass"
	finally:
		bench("--site", SITE, "enable-scheduler")
	assert common().read_bytes() == before


@pytest.mark.parametrize("switch", ["maintenance_mode", "pause_scheduler", "disable_scheduler"])
def test_a_switch_of_the_whole_bench(variables: dict[str, str], switch: str) -> None:
	with changed(common(), **{switch: 1}):
		is_named("scheduler_switches", f"{switch} is set for the whole bench", variables)


@pytest.mark.parametrize("switch", ["maintenance_mode", "pause_scheduler", "disable_scheduler"])
def test_a_switch_of_the_site(variables: dict[str, str], switch: str) -> None:
	with changed(site_config(), **{switch: 1}):
		is_named("scheduler_switches", f"{switch} is set on {SITE}", variables)


def test_a_database_that_does_not_answer_is_named_and_the_count_goes_on(variables: dict[str, str]) -> None:
	with changed(site_config(), db_host="127.0.0.1", db_port=9):
		is_named("database", "cannot be asked", variables)
		assert check("job", variables)["state"] == "skip"
		assert check("tenants", variables)["state"] != "fail"
		assert bench("prego-metrics", "push", **variables).returncode == 0


def test_a_redis_that_does_not_answer(variables: dict[str, str]) -> None:
	with changed(common(), redis_queue="redis://:a-password@127.0.0.1:9"):
		is_named("redis", "redis_queue at 127.0.0.1:9 does not answer", variables)
		assert "a-password" not in json.dumps(check("redis", variables))
		assert check("workers", variables)["state"] == "skip"


def test_a_job_row_that_is_missing(variables: dict[str, str]) -> None:
	try:
		in_site(f"frappe.db.delete('Scheduled Job Type', {{'method': {METHOD!r}}})")
		is_named("job", "the row of the job is missing", variables)
	finally:
		assert bench("--site", SITE, "migrate").returncode == 0
	assert check("job", variables)["state"] == "pass"


def test_a_job_that_is_stopped(variables: dict[str, str]) -> None:
	set_stopped = "frappe.db.set_value('Scheduled Job Type', {{'method': {0!r}}}, 'stopped', {1})"
	try:
		in_site(set_stopped.format(METHOD, 1))
		is_named("job", "the job is stopped", variables)
	finally:
		in_site(set_stopped.format(METHOD, 0))


def test_a_job_whose_last_execution_lies_in_the_future(variables: dict[str, str]) -> None:
	move = (
		"row = frappe.db.get_value('Scheduled Job Type', {{'method': {0!r}}})\n"
		"time = frappe.utils.add_to_date(frappe.utils.now_datetime(), hours={1})\n"
		"frappe.db.set_value('Scheduled Job Type', row, 'last_execution', time)"
	)
	try:
		in_site(move.format(METHOD, 8))
		is_named("job", "lies in the future", variables)
	finally:
		in_site(move.format(METHOD, -24))


def test_a_site_that_nobody_logs_in_to(variables: dict[str, str]) -> None:
	"""As far as this Frappe has such a rule: the site is then told that four days are over at once."""
	from prego_metrics.agent.bench import open_bench
	from prego_metrics.agent.frappe_on_disk import frappe_version

	version = frappe_version(open_bench(BENCH))
	if version is None or not version.goes_dormant:
		pytest.skip(f"Frappe {version.text if version else ''} does not pass over idle sites")
	logs = "frappe.db.sql('update `tabActivity Log` set creation = {0}(creation, interval 400 day), modified = {0}(modified, interval 400 day)')"
	with changed(site_config(), developer_mode=0):
		try:
			in_site(logs.format("date_sub"))
			is_named("dormant", "nobody has logged in", variables)
		finally:
			in_site(logs.format("date_add"))


def test_a_run_of_the_job_that_never_ended(variables: dict[str, str]) -> None:
	redis = f"import redis; r = redis.from_url({json.loads(common().read_text())['redis_queue']!r}); "
	mark = {
		"status": "started",
		"created_at": "2026-01-01T00:00:00.000000Z",
		"started_at": "2026-01-01T00:00:00.000000Z",
		"origin": "x",
		"description": "x",
		"timeout": "300",
		"data": "",
	}
	with changed(common(), pause_scheduler=1):
		try:
			run(["-c", redis + f"r.delete({JOB!r}); r.hset({JOB!r}, mapping={mark!r})"])
			is_named("stuck_job", "marked as started", variables)
		finally:
			run(["-c", redis + f"r.delete({JOB!r})"])
		assert check("stuck_job", variables)["state"] == "pass"


def test_an_operators_site_without_the_app_or_that_is_gone(variables: dict[str, str]) -> None:
	sites = [path.parent.name for path in (Path(BENCH) / "sites").glob("*/site_config.json")]
	for other in sites:
		made = check("app_on_site", {**variables, "PREGO_METRICS_SITE": other})
		if made["state"] != "pass":
			assert "the app is not installed on" in made["seen"] or made["state"] == "skip"
	gone = {**variables, "PREGO_METRICS_SITE": "gone.example"}
	is_named("operators_site", "gone.example was dropped or renamed", gone)
	assert check("database", gone)["state"] == "skip"


def test_a_tick_that_is_too_slow(variables: dict[str, str]) -> None:
	with changed(common(), scheduler_tick_interval=240):
		made = check("interval", variables)
		if made["state"] != "skip":  # no driver ticks on this bench
			assert "cannot keep an interval of 60 s" in made["seen"]


def test_every_check_at_once_says_something_of_use(variables: dict[str, str]) -> None:
	ended = bench("prego-metrics", "doctor", "--json", **variables)
	for made in json.loads(ended.stdout)["checks"]:
		assert made["seen"]
		assert bool(made["action"]) == (made["state"] in ("warn", "fail")), made
