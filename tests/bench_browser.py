"""Headless Chromium on a running bench, for tests: needs a bench, see real_bench.py, and selenium (the extra
bench-test) with chromium and chromedriver. A test module imports the fixtures that it uses.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import real_bench
from real_bench import BENCH, KEY, NODE_ID, SITE, URL

from prego_metrics.local_control_plane.server import LocalControlPlane

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install '.[bench-test]'")
NEEDS_A_BROWSER = [
	pytest.mark.skipif(not (BENCH and SITE and URL), reason=real_bench.MISSING),
	pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium with its chromedriver"),
]

MANAGER, PLAIN = "manager@browser.test", "plain@browser.test"
WAIT_SECONDS = 20


@pytest.fixture(scope="module")
def plane() -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY) as plane:
		plane.store.register_node(NODE_ID, "eu", "127.0.0.1")
		yield plane


@pytest.fixture
def settings(plane: LocalControlPlane) -> Iterator[dict[str, Any]]:
	"""The node's settings, with which its operator's site is the tests' one."""
	real_bench.forget_rate_limits()
	with real_bench.key_file() as path:
		yield {
			"node_id": NODE_ID,
			"control_plane_url": plane.url,
			"api_key_file": path,
			"site": SITE,
			"scheduler_pushes": False,
			"alert_after": 1000,
		}


@pytest.fixture(scope="module")
def people() -> Iterator[None]:
	real_bench.make_user(SITE, MANAGER, "System Manager")
	real_bench.make_user(SITE, PLAIN, "Blogger")
	yield
	for email in (MANAGER, PLAIN):
		real_bench.delete_user(SITE, email)


class Page:
	"""The browser, and what a person sees in it."""

	def __init__(self, browser: Any) -> None:
		self.browser = browser

	def open(self, who: str, path: str = "/app/prego-node") -> None:
		self.browser.get(f"{URL}/assets/prego_metrics/images/logo.svg")
		self.browser.delete_all_cookies()
		logged_in = self.browser.execute_async_script(
			"""const [usr, pwd, done] = arguments;
			const body = new URLSearchParams({usr, pwd});
			fetch("/api/method/login", {method: "POST", body}).then((answer) => done(answer.status))""",
			who,
			real_bench.PASSWORD,
		)
		assert logged_in == 200
		self.browser.get(f"{URL}{path}")

	def text(self, css: str = "body") -> str:
		return str(
			self.browser.execute_script("return document.querySelector(arguments[0])?.innerText || ''", css)
		)

	def run(self, script: str, *arguments: object) -> Any:
		return self.browser.execute_script(script, *arguments)

	def wait(self, seen: Callable[[], object], what: str) -> None:
		give_up_at = time.monotonic() + WAIT_SECONDS
		while not seen():
			assert time.monotonic() < give_up_at, f"not seen: {what}\n{self.text()[:1500]}"
			time.sleep(0.2)

	def wait_for(self, text: str, css: str = "body") -> None:
		self.wait(lambda: text in self.text(css), text)

	def press(self, action: str) -> None:
		self.run("document.querySelector(`[data-action=${arguments[0]}]`).click()", action)

	def errors(self) -> list[str]:
		# The icon belongs to the picture that the browser opens first, to log in from.
		logged = [
			entry for entry in self.browser.get_log("browser") if "/favicon.ico" not in entry["message"]
		]
		return [entry["message"] for entry in logged if entry["level"] == "SEVERE"]

	def requests(self, containing: str) -> list[str]:
		"""The addresses with this text that the browser asked for, in any tab, since this was called last."""
		events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
		sent = [
			event["params"]["request"]["url"]
			for event in events
			if event["method"] == "Network.requestWillBeSent"
		]
		return [url for url in sent if containing in url]


@pytest.fixture
def page(people: None, tmp_path: Any) -> Iterator[Page]:
	options = webdriver.ChromeOptions()
	options.binary_location = CHROMIUM
	host = urlsplit(URL).hostname
	for argument in (
		"--headless=new",
		"--no-sandbox",
		"--disable-gpu",
		"--no-first-run",
		"--disable-background-networking",
		"--disable-component-update",
		"--disable-sync",
		f"--user-data-dir={tmp_path}",
		"--window-size=1280,1400",
		f"--host-resolver-rules=MAP {host} 127.0.0.1",
	):
		options.add_argument(argument)
	options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
	browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
	try:
		yield Page(browser)
	finally:
		browser.quit()
