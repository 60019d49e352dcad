"""A real bench for tests that talk to it over HTTP: its sites' users, visitors, and the settings they need.

Needs PREGO_TEST_BENCH (its path), PREGO_TEST_SITE (the site with the app) and PREGO_TEST_URL (where its web
server answers that site). The settings in common_site_config.json are put back afterwards.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import bench_process
import requests
from bench_process import BENCH as BENCH
from bench_process import SITE, changed, common_config, owner

URL = os.environ.get("PREGO_TEST_URL", "").rstrip("/")
MISSING = (
	"no bench with a web server: set PREGO_TEST_BENCH (its path), PREGO_TEST_SITE (a site of it that has the "
	"app) and PREGO_TEST_URL (such as http://ops.test:8000)"
)
KEY = "a-key-of-the-page-tests"
NODE_ID = "node-of-the-page-tests"
PASSWORD = "a-Long-password-of-the-tests-7"
# Lets a user into the Desk and has to do with nothing of ours; 17 has no Blogger any more.
PLAIN_ROLE = "Inbox User"


def bench(*arguments: str) -> str:
	"""Run what `bench …` runs, see that it succeeds, and return what it prints."""
	ended = bench_process.bench(*arguments)
	assert ended.returncode == 0, (
		f"bench {' '.join(arguments)}: {ended.stdout[-1000:]} {ended.stderr[-2000:]}"
	)
	return ended.stdout


def execute(site: str, method: str, *args: object) -> str:
	return bench("--site", site, "execute", method, "--args", repr(list(args)))


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
	"""Make a user with these roles and the tests' password; one that is there already is made anew."""
	delete_user(site, email)
	user = {
		"doctype": "User",
		"email": email,
		"first_name": "Test",
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
