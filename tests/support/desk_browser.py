"""The Desk in headless Chromium, as a person sees it; needs selenium (the extra bench-test) and a bench, see real_bench.py."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import real_bench
from real_bench import URL

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
INSTALLED = bool(CHROMIUM and CHROMEDRIVER)
WAIT_SECONDS = 20


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
		"""What is to be read there; a space that keeps a number and its unit together is a space."""
		shown = self.browser.execute_script(
			"return document.querySelector(arguments[0])?.innerText || ''", css
		)
		return str(shown).replace("\u00a0", " ")

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

	def unfold(self, section: str) -> None:
		self.run("document.querySelector(`[data-section=${arguments[0]}]`).open = true", section)

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


@contextlib.contextmanager
def opened(profile: Path, width: int = 1280, height: int = 1400) -> Iterator[Page]:
	"""A browser with a profile of its own."""
	from selenium import webdriver

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
		f"--user-data-dir={profile}",
		f"--window-size={width},{height}",
		f"--host-resolver-rules=MAP {host} 127.0.0.1",
	):
		options.add_argument(argument)
	options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
	browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
	try:
		yield Page(browser)
	finally:
		browser.quit()
