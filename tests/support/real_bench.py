"""A real bench for tests: its processes, statements inside a site, its settings, and people who talk to it over HTTP.

PREGO_TEST_BENCH is the bench's path, PREGO_TEST_SITE the operator site, which has the app, PREGO_TEST_TENANT_SITE a
test site that the app is installed on and uninstalled from, and PREGO_TEST_URL the address at which the bench's web
server answers for PREGO_TEST_SITE. Started by root, each process is the bench's owner's; started by another user,
that user's, who has to be the owner. `plane` and `variables` are fixtures, which a test module imports by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from prego_metrics.sandbox.server import LocalControlPlane

BENCH = os.environ.get("PREGO_TEST_BENCH", "")
SITE = os.environ.get("PREGO_TEST_SITE", "")
TENANT_SITE = os.environ.get("PREGO_TEST_TENANT_SITE", "")
URL = os.environ.get("PREGO_TEST_URL", "").rstrip("/")

PROCESS_KEY = "a-key-of-the-bench-tests"
PROCESS_NODE_ID = "bench-test"
KEY = "a-key-of-the-page-tests"
NODE_ID = "node-of-the-page-tests"
PASSWORD = "a-Long-password-of-the-tests-7"
# Lets a user into the Desk and has nothing to do with the app; 17 has no Blogger any more.
PLAIN_ROLE = "Inbox User"
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


def run_bench(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run what `bench …` runs."""
	return run(["-m", "frappe.utils.bench_helper", "frappe", *arguments], **variables)


def bench(*arguments: str, **variables: str) -> str:
	"""Run what `bench …` runs, see that it succeeds, and return what it prints."""
	result = run_bench(*arguments, **variables)
	assert result.returncode == 0, (
		f"bench {' '.join(arguments)}: {result.stdout[-1000:]} {result.stderr[-2000:]}"
	)
	return result.stdout


def execute(site: str, method: str, *args: object) -> str:
	return bench("--site", site, "execute", method, "--args", repr(list(args)))


def run_in_site(site: str, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run statements with Frappe connected to a site, and commit."""
	lines = ["import frappe", f"frappe.init(site={site!r}, sites_path='.')", "frappe.connect()", code]
	return run(["-c", "\n".join([*lines, "frappe.db.commit()", "frappe.destroy()"])], **variables)


def in_site(site: str, code: str, **variables: str) -> str:
	"""Run statements in a site, see that they succeed, and return what they print."""
	result = run_in_site(site, code, **variables)
	assert result.returncode == 0, result.stderr
	return result.stdout


@contextlib.contextmanager
def app_installed(site: str) -> Iterator[None]:
	"""Have the app on a site for as long as this lasts."""
	bench("--site", site, "install-app", "prego_metrics")
	try:
		yield
	finally:
		bench("--site", site, "uninstall-app", "prego_metrics", "--yes", "--no-backup")


def doctor_check(name: str, variables: dict[str, str]) -> dict[str, str]:
	"""Let the doctor make one check; whatever it finds, it says what to do about it, and shows no traceback."""
	result = run_bench("prego-metrics", "doctor", "--json", "--only", name, **variables)
	assert result.stdout, result.stderr
	assert "Traceback" not in result.stderr
	(made,) = json.loads(result.stdout)["checks"]
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


@contextlib.contextmanager
def configured(**settings: object) -> Iterator[None]:
	"""Let the bench have these settings of ours and no others, for as long as this lasts."""
	with changed(common_config(), prego_metrics=settings):
		yield


@contextlib.contextmanager
def key_file(key: str = KEY) -> Iterator[str]:
	"""A key file that the bench's user can read, and nobody else."""
	with tempfile.TemporaryDirectory(prefix="prego-metrics-key-") as folder:
		path = Path(folder) / "key"
		path.write_text(f"{key}\n")
		path.chmod(0o600)
		for place in (folder, path):
			if os.geteuid() == 0:
				os.chown(place, owner().pw_uid, owner().pw_gid)
		yield str(path)


def forget_rate_limits() -> None:
	"""Let each test press the buttons as often as it likes: they count by address, for all tests together."""
	execute(SITE, "frappe.cache.delete_keys", "rl:")


def make_user(site: str, email: str, *roles: str) -> None:
	"""Make a user with these roles and the tests' password; one that is there already is replaced."""
	delete_user(site, email)
	user = {
		"doctype": "User",
		"email": email,
		"first_name": "Test",
		# What the tests read, whatever the site speaks.
		"language": "en",
		"send_welcome_email": 0,
		"enabled": 1,
		"user_type": "System User",
		"new_password": PASSWORD,
		"roles": [{"role": role} for role in roles],
	}
	execute(site, "frappe.client.insert", user)


def delete_user(site: str, email: str) -> None:
	execute(site, "frappe.delete_doc_if_exists", "User", email, 1)


class Visitor:
	"""Somebody who talks to a site of the bench over HTTP; without an email, a guest."""

	def __init__(self, site: str = "", email: str = "") -> None:
		self.site = site or SITE
		self.session = requests.Session()
		self.session.trust_env = False
		self.session.headers.update({"Host": self.site, "Accept": "application/json"})
		where = urlsplit(URL)
		# By number and with the site's name in the Host header: no name of a test site need resolve.
		self.base = f"{where.scheme}://127.0.0.1:{where.port or 80}"
		if email:
			answer = self.session.post(
				f"{self.base}/api/method/login", data={"usr": email, "pwd": PASSWORD}, timeout=30
			)
			assert answer.status_code == 200, answer.text[:300]
			self.cookies = {cookie.name: cookie.value or "" for cookie in self.session.cookies}
			# The cookies belong to another name than the one in the address, and would not be sent back.
			self.session.headers["Cookie"] = f"sid={self.cookies['sid']}"
			self.session.headers["X-Frappe-CSRF-Token"] = self._csrf_token()

	def _csrf_token(self) -> str:
		page = self.session.get(f"{self.base}/app", timeout=60).text
		marker = 'csrf_token = "'
		return page.split(marker, 1)[1].split('"', 1)[0] if marker in page else ""

	def get(self, path: str, **parameters: object) -> requests.Response:
		return self.session.get(f"{self.base}{path}", params=parameters, timeout=60)

	def post(self, path: str, **fields: object) -> requests.Response:
		return self.session.post(f"{self.base}{path}", data=fields, timeout=60)

	def call(self, method: str, path: str, values: dict[str, str]) -> requests.Response:
		"""Ask by any HTTP method: with a query for GET, else with JSON."""
		place = {"params": values} if method == "GET" else {"json": values}
		return self.session.request(method, f"{self.base}{path}", timeout=60, **place)
