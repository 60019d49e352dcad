"""The page "Prego Node" left open: it hears of what happens, rests while nobody sees it, and ends with its page.

Needs a browser and a bench with its socketio, see bench_browser.py. Requests are counted by what the browser
sent (the DevTools' network events), never by what the page says of itself.
"""

# Fixtures are imported by name, and given by it.
# ruff: noqa: F401, F811
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import real_bench
from bench_browser import MANAGER, NEEDS_A_BROWSER, Page, page, people, plane, settings
from real_bench import KEY, NODE_ID, SITE

pytestmark = NEEDS_A_BROWSER

ASKS_STATUS = "/api/method/prego_metrics.api.status"
OURS = "/api/method/prego_metrics."
# The page's timer has 15 s; a little more, so that one that runs is seen.
LONGER_THAN_THE_TIMER_SECONDS = 18


@pytest.fixture
def opened(page: Page, settings: dict[str, Any]) -> Iterator[Page]:
	"""The page, open on a node whose last push was delivered, and with its socket connected."""
	with real_bench.configured(**{**settings, "alert_after": 1}):
		real_bench.bench("prego-metrics", "push")
		tick()  # what an earlier test left is told before the page listens
		page.open(MANAGER)
		page.wait_for("Delivering", ".prego-badge")
		page.wait(lambda: page.run("return frappe.realtime.socket.connected"), "a connected socket")
		page.run("window.not_reloaded = true")
		yield page
		assert page.errors() == []


def tick() -> None:
	"""What Frappe's worker runs every minute on the operator's site; the settings let it tell, and not push."""
	real_bench.execute(SITE, "prego_metrics.prego_push.push_if_due")


def push_that_is_refused(settings: dict[str, Any]) -> None:
	key = Path(settings["api_key_file"])
	key.write_text("not-the-key-at-all\n")
	with pytest.raises(AssertionError, match="refuses the key"):
		real_bench.bench("prego-metrics", "push")
	key.write_text(f"{KEY}\n")


def test_what_a_tick_tells_is_on_the_open_page_without_its_timer_and_without_a_reload(
	opened: Page,
	settings: dict[str, Any],
) -> None:
	# Without its timer, the page can learn of a push by what the tick publishes alone.
	opened.run("clearInterval(cur_frm.node_page.timer)")
	time.sleep(2)
	opened.requests(OURS)
	push_that_is_refused(settings)
	tick()
	opened.wait_for("Failing", ".prego-badge")
	assert len([url for url in opened.requests(OURS) if ASKS_STATUS in url]) == 1
	real_bench.bench("prego-metrics", "push")
	tick()
	opened.wait_for("Delivering", ".prego-badge")
	assert NODE_ID in opened.text()
	assert opened.run("return window.not_reloaded && !cur_frm.is_dirty()")


class OtherTab:
	"""Another tab before the page's: the page is hidden by the browser itself, as by a person's click."""

	def __init__(self, page: Page) -> None:
		self.page, self.shown = page, page.browser.current_window_handle
		page.browser.switch_to.new_window("tab")
		self.other = page.browser.current_window_handle

	def hide(self) -> None:
		self.page.browser.switch_to.window(self.other)
		self.page.browser.execute_cdp_cmd("Page.bringToFront", {})

	def show(self) -> None:
		self.page.browser.switch_to.window(self.shown)
		self.page.browser.execute_cdp_cmd("Page.bringToFront", {})
		self.page.wait(lambda: self.page.run("return !document.hidden"), "the page, in front")


def test_a_hidden_page_asks_nothing_and_once_when_it_is_shown_again(opened: Page) -> None:
	opened.run(
		"window.seen = []; document.addEventListener('visibilitychange', () => seen.push(document.hidden))"
	)
	tabs = OtherTab(opened)
	tabs.hide()
	time.sleep(2)
	opened.requests(OURS)
	time.sleep(LONGER_THAN_THE_TIMER_SECONDS)
	assert opened.requests(OURS) == []
	tabs.show()
	time.sleep(3)
	assert opened.run("return window.seen") == [True, False]
	assert len(opened.requests(ASKS_STATUS)) == 1


def test_ten_times_hidden_and_shown_it_has_one_timer_and_none_after_leaving(opened: Page) -> None:
	tabs = OtherTab(opened)
	for _ in range(10):
		tabs.hide()
		time.sleep(0.2)
		tabs.show()
	time.sleep(2)
	opened.requests(OURS)
	time.sleep(2 * LONGER_THAN_THE_TIMER_SECONDS - 4)
	# In 32 s one timer of 15 s fires twice, a second one would be seen.
	assert len(opened.requests(ASKS_STATUS)) == 2
	opened.run("frappe.set_route('user')")
	opened.wait(lambda: opened.run("return frappe.get_route()[0] !== 'Form'"), "another page")
	time.sleep(2)
	opened.requests(OURS)
	time.sleep(LONGER_THAN_THE_TIMER_SECONDS)
	assert opened.requests(OURS) == []
	opened.run("frappe.set_route('prego-node')")
	opened.wait_for("Delivering", ".prego-badge")
	time.sleep(2)
	assert len(opened.requests(ASKS_STATUS)) >= 1
