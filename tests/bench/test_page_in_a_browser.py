"""The page "Prego Node" in headless Chromium, on a running bench: see bench_browser.py for what it needs."""

# Fixtures are imported by name, and given by it.
# ruff: noqa: F401, F811
from __future__ import annotations

import time
from typing import Any

import real_bench
from bench_browser import MANAGER, NEEDS_A_BROWSER, PLAIN, Page, page, people, plane, settings
from real_bench import KEY, NODE_ID

from prego_metrics.sandbox.server import LocalControlPlane

pytestmark = NEEDS_A_BROWSER


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
				"return document.querySelectorAll('[data-metric=tenant_count] .prego-line').length"
			),
			"a line",
		)
		gaps = "return document.querySelectorAll('[data-metric=tenant_count] .prego-gap').length"
		assert page.run(gaps) >= 1
		page.run("document.querySelector('[data-metric=tenant_count] .prego-canvas').focus()")
		focused = page.browser.switch_to.active_element
		focused.send_keys("\ue011")  # Home
		assert "no push was delivered" in str(focused.get_attribute("aria-valuetext"))
		focused.send_keys("\ue010")  # End
		assert "no push" not in page.text("[data-metric=tenant_count] .prego-readout")
		page.run("document.querySelector('[data-metric=tenant_count] summary').click()")
		page.wait_for("no push was delivered", "[data-metric=tenant_count] table")
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
		assert page.run("return typeof window.node_form.node_page.timer") == "number"
		page.run("frappe.set_route('prego-metrics')")
		page.wait(lambda: page.run("return window.node_form.node_page.timer === null"), "no timer")


def test_the_workspace_shows_no_error(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER, "/app/prego-metrics")
		page.wait_for("Prego Node")
		page.wait(lambda: "failures in a row" in page.text().lower(), "a number card")
		time.sleep(2)
		assert page.errors() == []
