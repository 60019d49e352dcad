"""The nightly scan by a bench's own scheduler and worker, and what it must never do.

Needs a bench, see real_bench.py, with its scheduler and a worker running, and MariaDB's root in its common
configuration. Sites are made for the tests and removed; settings and usage store are put back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import real_bench
from nightly_bench import (
	PASSWORD,
	SITES,
	STATE,
	STORE,
	as_root,
	is_complete,
	let_the_scheduler_ask_now,
	read_times,
	scanning_process,
	site,
	slow_database,
	store_set_aside,
	wait_for,
)
from real_bench import SITE, TENANT_SITE, in_site, run_bench

from prego_metrics.agent.state.store import StateFolder
from prego_metrics.sandbox.server import LocalControlPlane
from prego_metrics.tenants.inventory.tenant import warnings_of
from prego_metrics.tenants.usage.reader import stored_tenants

pytestmark = pytest.mark.bench

KEY = "a-key-of-the-nightly-tests"
NODE_ID = "node-of-the-nightly-tests"
# A tick of the scheduler, and a minute for what a busy machine does first.
TICK_SECONDS = 140.0
SLOW_SITES = [f"slow{number}.nightly" for number in range(40)]
SLOW_SECONDS = 3.0
SCAN_JOB = "from prego_metrics.desk import scan_job"


@pytest.fixture(scope="module")
def plane() -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY) as plane, real_bench.key_file(KEY) as path:
		plane.store.register_node(NODE_ID, "eu", "127.0.0.1")
		settings = {"node_id": NODE_ID, "control_plane_url": plane.url, "api_key_file": path, "site": SITE}
		with real_bench.configured(**settings, alert_after=1000):
			yield plane


@pytest.fixture
def empty_store(plane: LocalControlPlane) -> Iterator[None]:
	wait_for(lambda: scanning_process() is None, 60)
	with store_set_aside():
		yield
		# A job that is queued yet would fill it again afterwards.
		wait_for(lambda: in_site(SITE, f"{SCAN_JOB} as c\nprint([i for i in c.JOB_IDS if c.get_job(i) "
			"and c._is_alive(c.get_job(i))])").strip() == "[]", 120)  # fmt: skip


@pytest.fixture
def slow_sites() -> Iterator[None]:
	"""Sites of which each takes seconds to be read, so that there is a middle of the scan."""
	with slow_database(SLOW_SECONDS) as port, contextlib.ExitStack() as made:
		for name in SLOW_SITES:
			made.enter_context(
				site(
					name,
					db_name="nightly",
					db_password=PASSWORD,
					db_host="127.0.0.1",
					db_port=port,
					pause_scheduler=1,
				)
			)
		yield


@pytest.fixture
def broken_sites() -> Iterator[None]:
	"""A site with a wrong password, and one whose database was dropped."""
	there = json.loads((SITES / TENANT_SITE / "site_config.json").read_text())
	wrong = {**there, "db_password": PASSWORD, "pause_scheduler": 1}
	gone = {"db_name": "nightly_gone", "db_password": PASSWORD, "db_type": "mariadb", "pause_scheduler": 1}
	as_root(
		f"CREATE OR REPLACE USER nightly_gone@'%' IDENTIFIED BY '{PASSWORD}'",
		"GRANT ALL ON nightly_gone.* TO nightly_gone@'%'",
		"CREATE DATABASE IF NOT EXISTS nightly_gone",
		"DROP DATABASE nightly_gone",
	)
	try:
		with site("wrong.nightly", **wrong), site("gone.nightly", **gone):
			yield
	finally:
		as_root("DROP USER IF EXISTS nightly_gone@'%'")


def frappes_sites() -> list[str]:
	return sorted(path.parent.name for path in SITES.glob("*/site_config.json"))


def errors_since(at: str) -> list[str]:
	told = in_site(
		SITE,
		f"print(frappe.as_json(frappe.get_all('Error Log', {{'creation': ('>', {at!r})}}, pluck='error')))",
	)
	found: list[str] = json.loads(told)
	return found


def test_the_scheduler_fills_the_store_with_every_site_and_names_those_it_cannot_ask(
	empty_store: None, broken_sites: None
) -> None:
	begun = in_site(SITE, "print(frappe.utils.now_datetime())").strip()
	let_the_scheduler_ask_now()
	wait_for(is_complete, TICK_SECONDS)
	tenants = {tenant.site.name: tenant for tenant in stored_tenants(str(SITES))}
	assert sorted(tenants) == frappes_sites()
	now = time.time()
	warned = {name: "; ".join(warnings_of(tenant, now)) for name, tenant in tenants.items()}
	assert "database: " in warned["wrong.nightly"] and "denied" in warned["wrong.nightly"].lower()
	assert "database: " in warned["gone.nightly"] and "nightly_gone" in warned["gone.nightly"]
	others = {name for name in tenants if not name.endswith(".nightly")}
	assert all(tenants[name].database_bytes and not tenants[name].database.error for name in others)
	assert all("database: " not in warned[name] for name in others)
	assert PASSWORD.encode() not in STORE.read_bytes()
	assert not any(PASSWORD in text for text in errors_since(begun))


def test_database_sizes_are_those_that_mariadb_gives_its_root(empty_store: None) -> None:
	def by_root() -> dict[str, tuple[int, int]]:
		rows = as_root(
			"SELECT table_schema, SUM(data_length), SUM(index_length) FROM information_schema.tables "
			"GROUP BY table_schema"
		)
		return {str(name): (int(str(data)), int(str(index))) for name, data, index in rows}

	before = by_root()
	in_site(SITE, f"{SCAN_JOB}\nscan_job.queue_scan(scan_job.operator_config())")
	wait_for(is_complete, 60)
	after = by_root()
	compared = 0
	for tenant in stored_tenants(str(SITES)):
		name = json.loads((SITES / tenant.site.name / "site_config.json").read_text())["db_name"]
		# A site in use may have grown meanwhile.
		if before[name] == after[name]:
			assert (tenant.database.data_bytes, tenant.database.index_bytes) == before[name], tenant.site.name
			compared += 1
	assert compared >= 2


def test_a_worker_killed_half_way_costs_the_one_site_and_the_next_hour_goes_on(
	empty_store: None, slow_sites: None
) -> None:
	in_site(SITE, f"{SCAN_JOB}\nscan_job.scan_if_due()")
	wait_for(lambda: len(read_times()) >= 3 and scanning_process() is not None, 90)
	horse = scanning_process()
	assert horse is not None
	os.kill(horse, signal.SIGKILL)
	wait_for(lambda: not os.path.exists(f"/proc/{horse}"), 10)
	kept = read_times()
	assert not is_complete() and 3 <= len(kept) < len(frappes_sites())
	let_the_scheduler_ask_now()
	wait_for(is_complete, TICK_SECONDS + len(SLOW_SITES) * (SLOW_SECONDS + 2))
	assert sorted(read_times()) == frappes_sites()
	assert {name: at for name, at in read_times().items() if name in kept} == kept


def test_pushes_in_the_middle_of_it_are_on_time_though_one_worker_does_both(
	plane: LocalControlPlane, empty_store: None, slow_sites: None
) -> None:
	folder = StateFolder(str(SITES))
	begun = time.time()
	in_site(SITE, f"{SCAN_JOB}\nscan_job.scan_if_due()")
	wait_for(lambda: scanning_process() is not None, 60)
	at = time.monotonic()
	pushed = run_bench("prego-metrics", "push", "--json")
	assert json.loads(pushed.stdout)["outcome"] == "delivered"
	assert time.monotonic() - at < 15 and scanning_process() is not None
	# Once it is over, another begins: there is no moment without one for as long as pushes are watched.
	over = threading.Event()

	def scan_again() -> None:
		while not over.wait(1):
			if is_complete():
				in_site(
					SITE,
					f"{SCAN_JOB}\nscan_job.queue_scan(scan_job.operator_config())",
				)
				time.sleep(15)

	again = threading.Thread(target=scan_again)
	again.start()

	def by_frappe() -> list[float]:
		return [push.at for push in folder.history() if push.trigger == "frappe" and push.at > begun]

	try:
		wait_for(lambda: len(by_frappe()) >= 4, 600)
	finally:
		over.set()
		again.join()
	gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(by_frappe()))]
	# The interval, and a run of 10 s with its last site before the worker is free. A tick that is let pass, or a
	# whole scan that is waited for, would be more.
	assert all(gap <= 60 + 10 + SLOW_SECONDS + 15 for gap in gaps), gaps
	wait_for(is_complete, 240)


def test_on_a_tenants_site_nothing_is_queued_and_nothing_written(empty_store: None) -> None:
	with real_bench.app_installed(TENANT_SITE):
		before = sorted(os.listdir(STATE))
		seen = in_site(
			TENANT_SITE,
			f"{SCAN_JOB} as c\nc.scan_if_due()\nc.scan_a_while()\n"
			"print(any(c.get_job(i) for i in c.JOB_IDS), frappe.db.count('Error Log', {'method': c.ERROR_TITLE}))",
		)
		assert seen.split() == ["False", "0"]
		assert [name for name in sorted(os.listdir(STATE)) if name not in before and "tick" not in name] == []
		assert not STORE.exists()


def test_a_store_that_cannot_be_used_is_in_the_error_log_once_and_in_the_doctor(empty_store: None) -> None:
	begun = in_site(SITE, "print(frappe.utils.now_datetime())").strip()
	in_site(SITE, f"{SCAN_JOB} as c\nfrappe.db.delete('Error Log', {{'method': c.ERROR_TITLE}})")
	STORE.symlink_to("/tmp")
	try:
		for _ in range(2):
			in_site(SITE, f"{SCAN_JOB}\nscan_job.scan_a_while()")
		told = [text for text in errors_since(begun) if "tenants.sqlite" in text]
		assert len(told) == 1 and "symbolic links" in told[0] and "Traceback" not in told[0]
		checked = run_bench("prego-metrics", "doctor", "--only", "tenant_figures")
		assert "warn tenant_figures" in checked.stdout and "symlink" in checked.stdout
	finally:
		STORE.unlink()
		in_site(SITE, f"{SCAN_JOB} as c\nfrappe.db.delete('Error Log', {{'method': c.ERROR_TITLE}})")
