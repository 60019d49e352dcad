"""The page "Prego Node" in headless Chromium, on a running bench: needs a bench, see real_bench.py, and
selenium (the extra bench-test) with chromium and chromedriver.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import desk_browser
import pytest
import real_bench
from desk_browser import Page
from real_bench import BENCH, KEY, NODE_ID, SITE, URL

from prego_metrics.local_control_plane.server import LocalControlPlane

pytest.importorskip("selenium.webdriver", reason="no selenium: pip install '.[bench-test]'")
pytestmark = [
	pytest.mark.skipif(not (BENCH and SITE and URL), reason=real_bench.MISSING),
	pytest.mark.skipif(not desk_browser.INSTALLED, reason="no chromium with its chromedriver"),
]

MANAGER, PLAIN = "manager@browser.test", "plain@browser.test"


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


@pytest.fixture
def page(people: None, tmp_path: Path) -> Iterator[Page]:
	with desk_browser.opened(tmp_path) as page:
		yield page


def test_push_now_delivers_and_the_page_says_so_without_a_reload(
	page: Page, settings: dict[str, Any], plane: LocalControlPlane
) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push due")
		page.run("window.not_reloaded = true")
		page.press("push")
		page.wait_for("Delivered in", ".prego-outcome")
		page.wait_for("Delivering", ".prego-badge")
		page.wait_for(MANAGER)
		assert plane.store.server_metrics(NODE_ID) is not None
		assert page.run("return window.not_reloaded && !cur_frm.is_dirty()")
		assert KEY not in page.run("return document.documentElement.outerHTML")
		assert page.errors() == []


def test_a_dry_run_shows_the_payload_and_the_checks_are_a_list(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push due")
		page.press("dry_run")
		page.wait_for(f'"node_id": "{NODE_ID}"', ".prego-dry-run")
		page.press("doctor")
		page.wait_for("checks passed", ".prego-outcome")
		page.wait_for("Passed", ".prego-checks")
		assert page.errors() == []


def test_a_wrong_key_is_said_with_what_to_do(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.key_file("not-the-key-at-all") as wrong:
		with real_bench.configured(**{**settings, "api_key_file": wrong}):
			page.open(MANAGER)
			page.wait_for("Next push due")
			page.press("push")
			page.wait_for("Refused", ".prego-outcome")
			page.wait_for("does not accept this node's key")
			assert page.text(".prego-badge").split()[-1] in ("Failing", "Stale", "delivered")
			assert page.errors() == []


def test_a_gap_is_drawn_as_a_gap_and_read_by_keyboard(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push due")
		page.press("push")
		page.wait_for("Delivered in", ".prego-outcome")
		page.wait(
			lambda: page.run(
				"return document.querySelectorAll('[data-figure=tenant_count] .prego-line').length"
			),
			"a line",
		)
		gaps = "return document.querySelectorAll('[data-figure=tenant_count] .prego-gap').length"
		assert page.run(gaps) >= 1
		page.run("document.querySelector('[data-figure=tenant_count] .prego-canvas').focus()")
		focused = page.browser.switch_to.active_element
		focused.send_keys("\ue011")  # Home
		assert "no push was delivered" in str(focused.get_attribute("aria-valuetext"))
		focused.send_keys("\ue010")  # End
		assert "no push" not in page.text("[data-figure=tenant_count] .prego-readout")
		page.run("document.querySelector('[data-figure=tenant_count] summary').click()")
		page.wait_for("no push was delivered", "[data-figure=tenant_count] table")
		assert page.errors() == []


def test_another_site_shows_only_why_not(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**{**settings, "site": "the-operators.example"}):
		page.open(MANAGER)
		page.wait_for("This is not the operator's site")
		shown = page.text()
		assert "Settings in Force" not in shown
		assert "Push now" not in shown
		assert "the-operators.example" not in page.run("return document.documentElement.outerHTML")
		assert page.errors() == []


def test_a_user_without_the_role_does_not_see_the_page(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(PLAIN)
		page.wait(lambda: "permi" in page.text().lower() or "not found" in page.text().lower(), "a refusal")
		assert NODE_ID not in page.run("return document.documentElement.outerHTML")


def test_names_of_others_are_shown_and_never_run(page: Page, settings: dict[str, Any]) -> None:
	hostile = "<img src=x onerror=window.was_run=1>"
	with real_bench.configured(**settings, exclude_sites=[hostile]):
		page.open(MANAGER)
		page.wait_for(hostile)
		assert page.run("return window.was_run === undefined")


def test_the_page_asks_with_one_timer_and_stops_on_leaving(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push due")
		page.run("for (let i = 0; i < 3; i += 1) cur_frm.refresh(); window.node_form = cur_frm")
		assert page.run("return typeof window.node_form.prego_page.timer") == "number"
		page.run("frappe.set_route('prego-metrics')")
		page.wait(lambda: page.run("return window.node_form.prego_page.timer === null"), "no timer")


def test_the_workspace_shows_no_error(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER, "/app/prego-metrics")
		page.wait_for("Prego Node")
		page.wait(lambda: "failures in a row" in page.text().lower(), "a number card")
		time.sleep(2)
		assert page.errors() == []
