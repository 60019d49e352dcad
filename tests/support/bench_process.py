"""Processes of a real bench, for tests: what `bench …` runs, statements inside a site, a control plane for them.

`plane` and `variables` are fixtures, which a test module imports by name.

PREGO_TEST_BENCH is the bench's path, PREGO_TEST_SITE the operator's site, which has the app, and
PREGO_TEST_TENANT_SITE a test site that the app is installed on and uninstalled from. Started by root, each
process is the bench's owner's; started by another user, that user's, who has to be the owner.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.sandbox.server import LocalControlPlane

BENCH = os.environ.get("PREGO_TEST_BENCH", "")
SITE = os.environ.get("PREGO_TEST_SITE", "")
TENANT_SITE = os.environ.get("PREGO_TEST_TENANT_SITE", "")
NO_SITE = "no bench: set PREGO_TEST_BENCH (its path) and PREGO_TEST_SITE (a site of it with the app)"
MISSING = f"{NO_SITE}, and PREGO_TEST_TENANT_SITE (another one, for the app to be installed and uninstalled)"

PROCESS_KEY = "a-key-of-the-bench-tests"
PROCESS_NODE_ID = "bench-test"
# The rows of each table, in SQL, that may name us when we are gone: which apps the site had, which roles or
# user permissions a user was given or lost, and what a deleted user was. (Permission Log came with 16.) Whatever else does is ours.
HISTORY_OF_THE_SITE = {
	"tabVersion": "ref_doctype in ('Installed Applications', 'Log Settings') or ref_doctype = 'User' "
	"""and ifnull(data, '') like '%%"Prego Metrics Reader"%%'""",
	"tabPermission Log": "for_doctype = 'User Permission' or for_doctype = 'User' "
	"""and ifnull(changes, '') like '%%"Prego Metrics Reader"%%'""",
	"tabDeleted Document": "deleted_doctype = 'User'",
}
# A bench of a busy machine: `migrate` alone may take a minute.
TIMEOUT_SECONDS = 300


def owner() -> pwd.struct_passwd:
	return pwd.getpwuid((Path(BENCH) / "sites").stat().st_uid)


def run(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run a Python of the bench's in `sites/`, as the owner of the bench."""
	user = owner()
	as_owner: dict[str, Any] = {}
	if os.geteuid() == 0:
		as_owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
	environ = {name: value for name, value in os.environ.items() if not name.startswith("PREGO_")}
	return subprocess.run(
		[str(Path(BENCH) / "env/bin/python"), *arguments],
		cwd=Path(BENCH) / "sites",
		env={**environ, "HOME": user.pw_dir, "USER": user.pw_name, **variables},
		capture_output=True,
		text=True,
		timeout=TIMEOUT_SECONDS,
		**as_owner,
	)


def bench(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run what `bench …` runs."""
	return run(["-m", "frappe.utils.bench_helper", "frappe", *arguments], **variables)


def in_site(site: str, code: str, **variables: str) -> str:
	"""Run statements with Frappe connected to a site, commit, and return what they printed."""
	lines = ["import frappe", f"frappe.init(site={site!r}, sites_path='.')", "frappe.connect()", code]
	ended = run(["-c", "\n".join([*lines, "frappe.db.commit()", "frappe.destroy()"])], **variables)
	assert ended.returncode == 0, ended.stderr
	return ended.stdout


def doctor_check(name: str, variables: dict[str, str]) -> dict[str, str]:
	"""Let the doctor make one check; whatever it finds, it says what to do about it, and shows no traceback."""
	ended = bench("prego-metrics", "doctor", "--json", "--only", name, **variables)
	assert ended.stdout, ended.stderr
	assert "Traceback" not in ended.stderr
	(made,) = json.loads(ended.stdout)["checks"]
	assert bool(made["action"]) == (made["state"] in ("warn", "fail"))
	return dict(made)


@contextlib.contextmanager
def control_plane() -> Iterator[LocalControlPlane]:
	"""A control plane for the processes that are given `variables_for` it."""
	with LocalControlPlane(PROCESS_KEY) as plane:
		plane.store.register_node(PROCESS_NODE_ID, "eu", "127.0.0.1")
		yield plane


def variables_for(plane: LocalControlPlane) -> dict[str, str]:
	"""Settings by the environment: those of the bench stay as they are, and nobody is alerted."""
	return {
		"INTERNAL_API_KEY": PROCESS_KEY,
		"PREGO_METRICS_NODE_ID": PROCESS_NODE_ID,
		"PREGO_METRICS_CONTROL_PLANE_URL": plane.url,
		"PREGO_METRICS_SITE": SITE,
		"PREGO_METRICS_ALERT_AFTER": "1000",
	}


@pytest.fixture
def plane() -> Iterator[LocalControlPlane]:
	with control_plane() as plane:
		yield plane


@pytest.fixture
def variables(plane: LocalControlPlane) -> dict[str, str]:
	return variables_for(plane)


def common_config() -> Path:
	return Path(BENCH) / "sites" / "common_site_config.json"


def site_config(site: str) -> Path:
	return Path(BENCH) / "sites" / site / "site_config.json"


@contextlib.contextmanager
def changed(path: Path, **values: Any) -> Iterator[None]:
	"""Change a configuration file in place, as Frappe does, and put its bytes back."""
	before = path.read_bytes()
	try:
		path.write_text(json.dumps({**json.loads(before), **values}, indent=1))
		yield
	finally:
		path.write_bytes(before)
