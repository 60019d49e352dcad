"""The states that a Frappe bench falls into, made to happen on a real one, and named by the doctor.

Needs PREGO_TEST_BENCH (its path) and PREGO_TEST_SITE (a test site of it with the app, whose database is
that of MariaDB). Everything is put back as it was, also when a test fails; other sites stay as they are.
Services are not stopped: for a moment the site is told a port at which none listens.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_bench import (
	BENCH,
	SITE,
	changed,
	common_config,
	control_plane,
	doctor_check,
	in_site,
	run,
	run_bench,
	site_config,
	variables_for,
)

METHOD = "prego_metrics.prego_push.push_if_due"
# Each version names the job in Redis in another way: the scheduler asks for it by this name before it queues it.
JOB_KEY = f"""
from frappe.utils.background_jobs import create_job_id
print("rq:job:" + create_job_id(frappe.get_doc("Scheduled Job Type", {{"method": {METHOD!r}}}).rq_job_id))
"""
WAIT_FOR_THE_JOB = f"""
import time
row = frappe.get_doc("Scheduled Job Type", {{"method": {METHOD!r}}})
give_up_at = time.monotonic() + 120
while row.is_job_in_queue():
	assert time.monotonic() < give_up_at, "the job does not end"
	time.sleep(0.2)
"""

pytestmark = pytest.mark.bench


@pytest.fixture
def variables() -> Iterator[dict[str, str]]:
	with control_plane() as plane:
		yield variables_for(plane)


def is_named(name: str, words: str, variables: dict[str, str]) -> None:
	"""A state is a failure, or a warning where another trigger goes on pushing."""
	made = doctor_check(name, variables)
	assert made["state"] in ("warn", "fail"), made
	assert words in made["seen"], made


def test_without_any_of_them_frappe_is_well(variables: dict[str, str]) -> None:
	for name in ("redis", "database", "app_on_site", "scheduler", "job", "stuck_job", "scheduler_switches"):
		made = doctor_check(name, variables)
		assert made["state"] == "pass", made


def test_a_disabled_scheduler(variables: dict[str, str]) -> None:
	try:
		assert run_bench("--site", SITE, "disable-scheduler").returncode == 0
		is_named("scheduler", "is disabled in its System Settings", variables)
	finally:
		assert run_bench("--site", SITE, "enable-scheduler").returncode == 0
	assert doctor_check("scheduler", variables)["state"] == "pass"


def test_configure_enables_a_scheduler_that_is_disabled(variables: dict[str, str]) -> None:
	before = common_config().read_bytes()
	try:
		run_bench("--site", SITE, "disable-scheduler")
		result = run_bench("prego-metrics", "configure", "--enable-scheduler", **variables)
		assert f"the scheduler of {SITE} is enabled" in result.stdout, result.stderr
		assert doctor_check("scheduler", variables)["state"] == "pass"
	finally:
		run_bench("--site", SITE, "enable-scheduler")
	assert common_config().read_bytes() == before


@pytest.mark.parametrize("switch", ["maintenance_mode", "pause_scheduler", "disable_scheduler"])
def test_a_switch_of_the_whole_bench(variables: dict[str, str], switch: str) -> None:
	with changed(common_config(), **{switch: 1}):
		is_named("scheduler_switches", f"{switch} is set for the whole bench", variables)


@pytest.mark.parametrize("switch", ["maintenance_mode", "pause_scheduler", "disable_scheduler"])
def test_a_switch_of_the_site(variables: dict[str, str], switch: str) -> None:
	with changed(site_config(SITE), **{switch: 1}):
		is_named("scheduler_switches", f"{switch} is set on {SITE}", variables)


def test_a_database_that_does_not_answer_is_named_and_the_count_goes_on(variables: dict[str, str]) -> None:
	with changed(site_config(SITE), db_host="127.0.0.1", db_port=9):
		is_named("database", "does not answer", variables)
		assert doctor_check("job", variables)["state"] == "skip"
		assert doctor_check("tenants", variables)["state"] != "fail"
		assert run_bench("prego-metrics", "push", **variables).returncode == 0


def test_a_redis_that_does_not_answer(variables: dict[str, str]) -> None:
	with changed(common_config(), redis_queue="redis://:a-password@127.0.0.1:9"):
		is_named("redis", "redis_queue at 127.0.0.1:9 does not answer", variables)
		assert "a-password" not in json.dumps(doctor_check("redis", variables))
		assert doctor_check("workers", variables)["state"] == "skip"


def test_a_job_row_that_is_missing(variables: dict[str, str]) -> None:
	try:
		in_site(SITE, f"frappe.db.delete('Scheduled Job Type', {{'method': {METHOD!r}}})")
		is_named("job", "has no Scheduled Job Type", variables)
	finally:
		assert run_bench("--site", SITE, "migrate").returncode == 0
	assert doctor_check("job", variables)["state"] == "pass"


def test_a_job_that_is_stopped(variables: dict[str, str]) -> None:
	set_stopped = "frappe.db.set_value('Scheduled Job Type', {{'method': {0!r}}}, 'stopped', {1})"
	try:
		in_site(SITE, set_stopped.format(METHOD, 1))
		is_named("job", "the job is stopped", variables)
	finally:
		in_site(SITE, set_stopped.format(METHOD, 0))


SET_EXECUTED = (
	"row = frappe.db.get_value('Scheduled Job Type', {{'method': {0!r}}})\n"
	"time = frappe.utils.add_to_date(frappe.utils.now_datetime(), hours={1})\n"
	"frappe.db.set_value('Scheduled Job Type', row, 'last_execution', time)"
)


@contextlib.contextmanager
def job_at_rest() -> Iterator[None]:
	"""Let no run of the job be under way: it writes last_execution when it ends, too."""
	with changed(common_config(), pause_scheduler=1):
		in_site(SITE, WAIT_FOR_THE_JOB)
		yield


def test_a_job_whose_last_execution_lies_in_the_future(variables: dict[str, str]) -> None:
	with job_at_rest():
		try:
			in_site(SITE, SET_EXECUTED.format(METHOD, 8))
			is_named("job", "is in the future", variables)
		finally:
			in_site(SITE, SET_EXECUTED.format(METHOD, -24))


SAVE_TIME_ZONE = """
settings = frappe.get_doc("System Settings")
print(settings.time_zone)
settings.time_zone = {zone!r}
settings.save()
"""


def test_a_time_zone_that_moves_west_leaves_the_job_due(variables: dict[str, str]) -> None:
	"""Frappe keeps last executions in the site's time zone: at noon in Kiribati it is the day before in Samoa."""
	with job_at_rest():
		before = in_site(SITE, SAVE_TIME_ZONE.format(zone="Pacific/Kiritimati")).strip()
		try:
			in_site(SITE, SET_EXECUTED.format(METHOD, 0))
			in_site(SITE, SAVE_TIME_ZONE.format(zone="Pacific/Pago_Pago"))
			assert doctor_check("job", variables)["state"] == "pass"
		finally:
			in_site(SITE, SAVE_TIME_ZONE.format(zone=before))


def test_runs_of_which_nothing_is_recorded(variables: dict[str, str]) -> None:
	"""As those of a worker that started before get-app: Frappe notes them, and nothing of the app runs."""
	tick = Path(BENCH) / "sites/.prego-metrics/tick-frappe.json"
	with job_at_rest(), changed(tick, at=time.time() - 200):
		try:
			in_site(SITE, SET_EXECUTED.format(METHOD, 0))
			assert doctor_check("job", variables)["code"] == "run_unrecorded"
		finally:
			in_site(SITE, SET_EXECUTED.format(METHOD, -24))


VERDICT = "frappe.utils.scheduler.schedule_jobs_based_on_activity::" + str(hash(()))


def test_a_verdict_that_frappe_keeps_though_somebody_has_logged_in(variables: dict[str, str]) -> None:
	try:
		in_site(SITE, f"frappe.cache.set_value({VERDICT!r}, False, expires_in_sec=3600)")
		made = doctor_check("dormant", variables)
		assert (made["code"], made["action"]) == (
			"verdict_kept",
			f"clear the cache: bench --site {SITE} clear-cache",
		)
		page = "from prego_metrics import api\nprint(api.status()['warnings'])"
		assert "clear-cache" in in_site(SITE, page)
	finally:
		assert run_bench("--site", SITE, "clear-cache").returncode == 0
	assert doctor_check("dormant", variables)["state"] == "pass"


def test_the_login_that_ended_ten_days_without_one_is_remembered() -> None:
	"""Whoever opens the page has logged in: the cause is gone, and the gap between two logins stays."""
	result = (
		"from prego_metrics.desk.adapters.dormancy import ended_dormancy\n"
		"began, ended = ended_dormancy()\nprint(round((ended - began) / 86400))"
	)
	# Nothing is committed.
	print_days = (
		"frappe.db.sql('delete from `tabActivity Log`')\n"
		"for days in (10, 0):\n"
		"\tat = frappe.utils.add_days(frappe.utils.now_datetime(), -days)\n"
		"\tlog = frappe.get_doc(doctype='Activity Log', subject='x', operation='Login', status='Success')\n"
		"\tlog.insert(ignore_permissions=True)\n"
		"\tlog.db_set('creation', at, update_modified=False)\n"
	)
	with changed(site_config(SITE), developer_mode=0):
		assert in_site(SITE, f"{print_days}{result}\nfrappe.db.rollback()").strip() == "10"


def test_a_worker_that_redis_has_forgotten(variables: dict[str, str]) -> None:
	redis = f"import redis; r = redis.from_url({json.loads(common_config().read_text())['redis_queue']!r})\n"
	forget = (
		"sets = {key.decode(): [name.decode() for name in r.smembers(key)] for key in r.keys('rq:workers*')}\n"
		"r.delete(*sets)\nimport json; print(json.dumps(sets))"
	)
	sets = json.loads(run(["-c", redis + forget]).stdout)
	try:
		assert doctor_check("workers", variables)["code"] == "worker_unregistered"
	finally:
		run(["-c", f"{redis}for key, names in {sets!r}.items(): r.sadd(key, *names)"])
	assert doctor_check("workers", variables)["state"] == "pass"


def test_a_site_that_nobody_logs_in_to(variables: dict[str, str]) -> None:
	"""As far as this Frappe has such a rule: the site is then told that four days are over at once."""
	from prego_metrics.agent.bench.installed_frappe import frappe_version
	from prego_metrics.agent.bench.locate import open_bench

	version = frappe_version(open_bench(BENCH))
	if version is None or not version.goes_dormant:
		pytest.skip(f"Frappe {version.full if version else ''} does not pass over idle sites")
	logs = "frappe.db.sql('update `tabActivity Log` set creation = {0}(creation, interval 400 day), modified = {0}(modified, interval 400 day)')"
	with changed(site_config(SITE), developer_mode=0):
		try:
			in_site(SITE, logs.format("date_sub"))
			is_named("dormant", "has logged in to", variables)
		finally:
			in_site(SITE, logs.format("date_add"))
			# Frappe keeps its verdict for an hour: a scheduler that looked just now would run nothing until then.
			in_site(SITE, "frappe.clear_cache()")


@pytest.mark.parametrize("started_ago", [100, 10**6])
def test_a_run_of_the_job_that_never_ended(variables: dict[str, str], started_ago: float) -> None:
	"""Its worker was killed with it, and the deadline of a push every 60 s is over after 48 s."""
	job = in_site(SITE, JOB_KEY).strip()
	redis = f"import redis; r = redis.from_url({json.loads(common_config().read_text())['redis_queue']!r}); "
	at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - started_ago))
	mark = {
		"status": "started",
		"created_at": at,
		"started_at": at,
		"last_heartbeat": at,
		"origin": "x",
		"description": "x",
		"timeout": "300",
		"data": "",
	}
	with changed(common_config(), pause_scheduler=1):
		try:
			run(["-c", redis + f"r.delete({job!r}); r.hset({job!r}, mapping={mark!r})"])
			is_named("stuck_job", "marked as running", variables)
		finally:
			run(["-c", redis + f"r.delete({job!r})"])
		assert doctor_check("stuck_job", variables)["state"] == "pass"


def test_an_operators_site_without_the_app_or_that_is_gone(variables: dict[str, str]) -> None:
	sites = [path.parent.name for path in (Path(BENCH) / "sites").glob("*/site_config.json")]
	for other in sites:
		made = doctor_check("app_on_site", {**variables, "PREGO_METRICS_SITE": other})
		if made["state"] != "pass":
			assert "the app is not installed on" in made["seen"] or made["state"] == "skip"
	gone = {**variables, "PREGO_METRICS_SITE": "gone.example"}
	is_named("operators_site", "gone.example was dropped or renamed", gone)
	assert doctor_check("database", gone)["state"] == "skip"


def test_a_tick_that_is_too_slow(variables: dict[str, str]) -> None:
	with changed(common_config(), scheduler_tick_interval=240):
		made = doctor_check("interval", variables)
		if made["state"] != "skip":  # no trigger ticks on this bench
			assert "too slow for a push_interval of 60 s" in made["seen"]


def test_every_check_at_once_says_something_of_use(variables: dict[str, str]) -> None:
	result = run_bench("prego-metrics", "doctor", "--json", **variables)
	for made in json.loads(result.stdout)["checks"]:
		assert made["seen"]
		assert bool(made["action"]) == (made["state"] in ("warn", "fail")), made
