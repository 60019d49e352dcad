"""What the tests of the nightly scan need of a real bench: sites made for them, MariaDB's root, the workers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from real_bench import BENCH, SITE, in_site, run

from prego_metrics.agent.base.kernel import LOCKS_FILE
from prego_metrics.tenants.usage.reader import UsageReader

SITES = Path(BENCH) / "sites"
STATE = SITES / ".prego-metrics"
STORE = STATE / "tenants.sqlite"
JOB = "prego_metrics.desk.scan_job.scan_if_due"
# Found nowhere else, so that it can be looked for.
PASSWORD = "a-pw-that-no-log-may-show-5311"


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
	give_up_at = time.monotonic() + seconds
	while not condition():
		assert time.monotonic() < give_up_at, f"not within {seconds:g} s"
		time.sleep(0.2)


def as_root(*statements: str) -> list[list[object]]:
	"""Run statements as the root of MariaDB whom the bench's common configuration names; return the last one's rows."""
	code = f"""
import json, pymysql
common = json.load(open("common_site_config.json"))
connection = pymysql.connect(host=common.get("db_host", "127.0.0.1"), port=int(common.get("db_port", 3306)),
	user=common["root_login"], password=common["root_password"], autocommit=True)
cursor = connection.cursor()
for statement in {list(statements)!r}:
	cursor.execute(statement)
print(json.dumps(cursor.fetchall(), default=str))
"""
	result = run(["-c", code])
	assert result.returncode == 0, result.stderr
	rows: list[list[object]] = json.loads(result.stdout)
	return rows


@contextlib.contextmanager
def site(name: str, **configuration: object) -> Iterator[None]:
	"""Have a folder of this name that is a site with this configuration, as long as this lasts."""
	folder = SITES / name
	folder.mkdir()
	path = folder / "site_config.json"
	path.write_text(json.dumps(configuration))
	owner = SITES.stat()
	for place in (folder, path):
		os.chown(place, owner.st_uid, owner.st_gid)
	try:
		yield
	finally:
		path.unlink()
		for left in sorted(folder.rglob("*"), reverse=True):  # Frappe may have logged something there
			left.rmdir() if left.is_dir() else left.unlink()
		folder.rmdir()


@contextlib.contextmanager
def slow_database(seconds: float) -> Iterator[int]:
	"""Run a server that takes each connection and closes it after `seconds`; give its port."""
	listener = socket.create_server(("127.0.0.1", 0))

	def close_later(connection: socket.socket) -> None:
		time.sleep(seconds)
		connection.close()

	def serve() -> None:
		with contextlib.suppress(OSError):
			while True:
				connection, _ = listener.accept()
				threading.Thread(target=close_later, args=(connection,), daemon=True).start()

	threading.Thread(target=serve, daemon=True).start()
	try:
		yield listener.getsockname()[1]
	finally:
		listener.close()


@contextlib.contextmanager
def store_set_aside() -> Iterator[None]:
	"""Let the bench have scanned nothing yet, and give it back what it had."""
	kept = STATE / "kept-by-the-tests.sqlite"
	with contextlib.suppress(FileNotFoundError):
		STORE.replace(kept)
	try:
		yield
	finally:
		STORE.unlink(missing_ok=True)
		if kept.exists():
			kept.replace(STORE)


def read_times() -> dict[str, float]:
	"""Return when each site in the usage store was read."""
	if not STORE.exists():
		return {}
	with UsageReader(str(SITES)) as store:
		return {name: at for (_, name), at in store.read_times().items()}


def is_complete(since: float = 0.0) -> bool:
	"""Tell whether the last scan began at this time or later, and ended."""
	if not STORE.exists():
		return False
	with UsageReader(str(SITES)) as store:
		times = store.scan_times()
		return times is not None and times.begun_at >= since and times.ended_at is not None


def scanning_process() -> int | None:
	"""Return the process that holds the scan's lock, as the kernel lists it."""
	with contextlib.suppress(FileNotFoundError):
		inode = (STATE / "tenants.lock").stat().st_ino
		for line in Path(LOCKS_FILE).read_text().splitlines():
			fields = line.split()
			if len(fields) > 5 and fields[5].endswith(f":{inode}") and fields[1] != "->":
				return int(fields[4])
	return None


def let_the_scheduler_ask_now(name: str = SITE) -> None:
	"""Make the hourly job due: the scheduler queues it at its next tick."""
	in_site(
		name,
		f"frappe.db.set_value('Scheduled Job Type', {{'method': {JOB!r}}}, 'last_execution', "
		"frappe.utils.add_days(frappe.utils.now_datetime(), -1))",
	)
