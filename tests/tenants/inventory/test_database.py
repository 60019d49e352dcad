"""Sites' own databases on real servers, a PostgreSQL and a MariaDB that the tests start: figures, limits, secrets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from database_servers import Server, mariadb, postgresql, program

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory import database_session
from prego_metrics.tenants.inventory.database import DatabaseUsage, read_database
from prego_metrics.tenants.inventory.database_session import DatabaseError, credentials, open_session
from prego_metrics.tenants.inventory.site_folder import LocatedSite, locate_sites

Run = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "of-the-site-hunter2"
SEOUL = ZoneInfo("Asia/Seoul")
_SERVERS = {"postgres": (postgresql, "initdb"), "mariadb": (mariadb, "mariadb-install-db")}


@pytest.fixture(
	scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in _SERVERS]
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
	start, needed = _SERVERS[request.param]
	if program(needed) is None:
		pytest.skip(f"{needed} is not installed: no {request.param} can be started")
	folder = Path(tempfile.mkdtemp(prefix=f"prego-{request.param}-"))
	folder.chmod(0o755)
	try:
		with start(folder) as running:
			yield running
	finally:
		shutil.rmtree(folder)


@pytest.fixture
def database(server: Server) -> dict[str, object]:
	"""A new database, filled as one of a small site would be; its part of the site's configuration."""
	name = f"_{os.urandom(8).hex()}"
	access = server.make_database(name, PASSWORD)
	now = datetime.now(SEOUL)

	def local(**ago: float) -> str:
		return (now - timedelta(**ago)).strftime("%Y-%m-%d %H:%M:%S.%f")

	for table, rows in {
		"tabSingles": [("System Settings", "time_zone", "Asia/Seoul")],
		"tabUser": [
			("Administrator", 1, local(hours=9)),
			("Guest", 1, local(hours=0)),
			("kim@example.com", 1, ""),
			("lee@example.com", 1, local(hours=3)),
			("left@example.com", 0, ""),
		],
		"tabInstalled Application": [("b", 2, "erpnext", "15.9.0"), ("a", 1, "frappe", "15.55.1")],
		"tabScheduled Job Log": [
			("1", local(hours=2), "Failed"),
			("2", local(hours=30), "Failed"),
			("3", local(hours=1), "Complete"),
		],
	}.items():
		for row in rows:
			server.admin(f"INSERT INTO `{table}` VALUES {row}", database=name)
	for number, (status, creation, send_after) in enumerate(
		[
			("Not Sent", local(hours=2), "NULL"),
			("Not Sent", local(minutes=5), "NULL"),
			("Sent", local(hours=2), "NULL"),
			("Not Sent", local(hours=2), f"'{local(hours=-5)}'"),
		]
	):
		server.admin(
			f"INSERT INTO `tabEmail Queue` VALUES ('{number}', '{creation}', '{status}', {send_after})",
			database=name,
		)
	return access


@pytest.fixture
def located(
	tmp_path: Path,
	make_bench: Callable[..., Path],
	make_site: Callable[..., Path],
	database: dict[str, object],
) -> LocatedSite:
	bench_folder = make_bench(tmp_path / "one")
	make_site(bench_folder, "kim.example", **database)
	config = load_config(open_bench(str(bench_folder)), {})
	return locate_sites(config, count_tenants(config))[0]


def ask_within(located: LocatedSite, seconds: float) -> DatabaseUsage:
	began = time.monotonic()
	found = read_database(located, {})
	assert time.monotonic() - began < seconds
	return found


def test_every_figure_is_what_the_server_itself_says(
	server: Server, located: LocatedSite, database: Mapping[str, object]
) -> None:
	name = str(database["db_name"])
	if server.kind == "mariadb":
		size = (
			"SELECT SUM(data_length), SUM(index_length) FROM information_schema.tables "
			f"WHERE table_schema = '{name}'"
		)
	else:
		size = (
			"SELECT SUM(pg_total_relation_size(relid) - pg_indexes_size(relid)), SUM(pg_indexes_size(relid)) "
			"FROM pg_stat_user_tables"
		)
	found = read_database(located, {})
	assert found.error is None
	assert (found.data_bytes, found.index_bytes) == tuple(map(int, server.admin(size, database=name)[0]))
	assert found.bytes and found.index_bytes
	if server.kind == "postgres":
		[(whole,)] = server.admin(f"SELECT pg_database_size('{name}')")
		assert found.bytes < whole  # which has the server's own catalogs in it
	assert found.apps == {"frappe": "15.55.1", "erpnext": "15.9.0"}
	assert list(found.apps) == ["frappe", "erpnext"]
	assert (found.enabled_users, found.failed_jobs_day, found.stuck_mails) == (2, 1, 1)
	assert found.last_login_at == pytest.approx(
		(datetime.now(timezone.utc) - timedelta(hours=3)).timestamp(), abs=120
	)


def test_the_session_can_write_nothing(server: Server, database: Mapping[str, object]) -> None:
	with (
		open_session(credentials(database, {})) as session,
		pytest.raises(Exception, match=r"(?i)read.only"),
	):
		session.rows("DELETE FROM `tabUser`")
	assert server.admin("SELECT COUNT(*) FROM `tabUser`", database=str(database["db_name"])) == [(5,)]


def test_a_table_that_somebody_locks_is_not_waited_for(
	server: Server, located: LocatedSite, database: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(database_session, "LOCK_SECONDS", 1)
	with contextlib.closing(server.connect(str(database["db_name"]))) as holder, holder.cursor() as cursor:
		if server.kind == "postgres":
			holder.autocommit = False
			cursor.execute('LOCK TABLE "tabUser" IN ACCESS EXCLUSIVE MODE')
		else:
			cursor.execute("LOCK TABLES `tabUser` WRITE")
		found = ask_within(located, 12)
		assert found.error and re.search(r"(?i)lock", found.error)
		cursor.execute(server.quoted("SELECT COUNT(*) FROM `tabUser`"))
		assert cursor.fetchall()[0][0] == 5
	assert read_database(located, {}).error is None


def make_endless(server: Server, name: str) -> None:
	"""Put a view that sleeps where Frappe has its users."""
	sleep = "pg_sleep(600)::text" if server.kind == "postgres" else "SLEEP(600)"
	server.admin("DROP TABLE `tabUser`", database=name)
	server.admin(
		f"CREATE VIEW `tabUser` AS SELECT 1 AS enabled, {sleep} AS name, '' AS last_login", database=name
	)
	if server.kind == "postgres":
		server.admin(f'ALTER VIEW "tabUser" OWNER TO "{name}"', database=name)


def test_a_statement_without_end_is_ended_and_the_other_answers_are_there(
	server: Server, located: LocatedSite, database: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(database_session, "STATEMENT_SECONDS", 1)
	make_endless(server, str(database["db_name"]))
	found = ask_within(located, 12)
	assert found.error and re.search(r"timeout|max_statement_time", found.error)
	assert found.bytes and found.enabled_users is None and found.failed_jobs_day == 1


def test_a_server_that_stops_to_answer_is_given_up(
	server: Server, located: LocatedSite, database: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(database_session, "READ_SECONDS", 2)
	make_endless(server, str(database["db_name"]))
	answers: list[DatabaseUsage] = []
	asking = threading.Thread(target=lambda: answers.append(read_database(located, {})), daemon=True)
	asking.start()
	time.sleep(1)
	stopped = [server.process.pid]
	if server.kind == "postgres":  # a process for each session
		asked = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database['db_name']}'"
		stopped = [pid for (pid,) in server.admin(asked)]
		assert len(stopped) == 1
	for pid in stopped:
		os.kill(pid, signal.SIGSTOP)
	try:
		asking.join(25)
		assert answers and answers[0].error and answers[0].bytes and answers[0].enabled_users is None
	finally:
		for pid in stopped:
			with contextlib.suppress(ProcessLookupError):
				os.kill(pid, signal.SIGCONT)


def test_one_wrong_password_one_dropped_database_one_dead_server_and_the_rest_is_complete(
	server: Server,
	bench_folder: Path,
	make_site: Callable[..., Path],
	database: dict[str, object],
	run_agent: Run,
) -> None:
	dropped = server.make_database(f"_{os.urandom(8).hex()}", PASSWORD)
	server.admin(f"DROP DATABASE `{dropped['db_name']}`")
	make_site(bench_folder, "good.example", **database)
	make_site(bench_folder, "wrong.example", **{**database, "db_password": "not-the-one-hunter2"})
	make_site(bench_folder, "dropped.example", **dropped)
	make_site(bench_folder, "down.example", **{**database, "db_port": 1})
	result = run_agent("tenants", "--database", "--json", "--bench", bench_folder)
	assert result.returncode == 0 and "hunter2" not in result.stdout + result.stderr
	by_name = {site["site"]: site["database"] for site in json.loads(result.stdout)["sites"]}
	assert by_name["good.example"]["error"] is None and by_name["good.example"]["data_bytes"]
	for name, why in {
		"wrong.example": r"password authentication failed|Access denied",
		"dropped.example": r"does not exist|Unknown database|Access denied",
		"down.example": r"Connection refused|Can't connect",
	}.items():
		assert re.search(why, by_name[name]["error"]), by_name[name]
		assert by_name[name]["data_bytes"] is None
	shown = run_agent("tenants", "--database", "--bench", bench_folder)
	assert shown.returncode == 0 and "! wrong.example: database:" in shown.stdout
	scanned = run_agent("tenants", "--scan", "--bench", bench_folder)
	assert scanned.returncode == 0
	kept = (bench_folder / "sites" / ".prego-metrics" / "tenants.sqlite").read_bytes()
	for output in (shown.stdout, shown.stderr, scanned.stdout, scanned.stderr, kept.decode("latin-1")):
		assert "hunter2" not in output


def test_no_password_is_seen_in_the_servers_list_of_sessions(
	server: Server, database: Mapping[str, object]
) -> None:
	with open_session(credentials(database, {})) as session:
		session.execute("SELECT 1")
		seen: list[Any] = server.admin(
			"SELECT * FROM pg_stat_activity" if server.kind == "postgres" else "SHOW FULL PROCESSLIST"
		)
	assert str(database["db_name"]) in str(seen) and "hunter2" not in str(seen)


@pytest.mark.parametrize("kind", _SERVERS)
def test_a_server_that_accepts_and_says_nothing_is_given_up(
	kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(database_session, "CONNECT_SECONDS", 1)
	monkeypatch.setattr(database_session, "READ_SECONDS", 1)
	with socket.create_server(("127.0.0.1", 0)) as silent:
		access = {"db_type": kind, "db_name": "_x", "db_password": PASSWORD, "db_host": "127.0.0.1"}
		began = time.monotonic()
		with (
			pytest.raises(DatabaseError) as raised,
			open_session(credentials({**access, "db_port": silent.getsockname()[1]}, {})),
		):
			pass
	assert time.monotonic() - began < 8 and PASSWORD not in str(raised.value)
