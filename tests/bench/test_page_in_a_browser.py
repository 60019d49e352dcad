"""The page "Prego Node" in headless Chromium, on a running bench: see bench_browser.py for what it needs."""

# Fixtures are imported by name, and given by it.
# ruff: noqa: F401, F811
from __future__ import annotations

import re
import time
from typing import Any

import pytest
import real_bench
from bench_browser import MANAGER, NEEDS_A_BROWSER, PLAIN, Page, page, people, plane, settings
from real_bench import KEY, NODE_ID, SITE

from prego_metrics.sandbox.server import LocalControlPlane

pytestmark = NEEDS_A_BROWSER


def test_push_now_delivers_and_the_page_says_so_without_a_reload(
	page: Page, settings: dict[str, Any], plane: LocalControlPlane
) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push")
		page.run("window.not_reloaded = true")
		page.press("push")
		page.wait_for("Delivered in", ".prego-outcome")
		page.wait_for("Delivering", ".prego-badge")
		page.unfold("last_push")
		page.wait_for(MANAGER, "[data-part=last_push]")
		assert plane.store.server_metrics(NODE_ID) is not None
		assert page.run("return window.not_reloaded && !cur_frm.is_dirty()")
		assert KEY not in page.run("return document.documentElement.outerHTML")
		assert page.errors() == []


def test_a_dry_run_shows_the_payload_and_the_checks_are_a_list(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push")
		page.press("dry_run")
		page.wait_for(f'"node_id": "{NODE_ID}"', ".prego-dry-run")
		page.press("doctor")
		page.wait_for("passed", ".prego-outcome")
		page.unfold("checks")
		page.wait_for("checks passed", "[data-part=checks]")
		page.run("document.querySelector('[data-part=checks] .prego-more').open = true")
		page.wait_for("Passed", "[data-part=checks]")
		assert page.errors() == []


def test_a_wrong_key_is_said_with_what_to_do(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.key_file("not-the-key-at-all") as wrong:
		with real_bench.configured(**{**settings, "api_key_file": wrong}):
			page.open(MANAGER)
			page.wait_for("Next push")
			page.press("push")
			page.wait_for("Refused", ".prego-outcome")
			page.wait_for("this key is from", ".prego-problems")
			assert page.text(".prego-badge").split()[-1] in ("Failing", "Stale", "delivered")
			assert page.errors() == []


def test_failed_checks_stand_under_the_headline_without_being_asked_for(
	page: Page, settings: dict[str, Any]
) -> None:
	with real_bench.configured(**{**settings, "control_plane_url": "http://127.0.0.1:9"}):
		with pytest.raises(AssertionError):
			real_bench.bench("prego-metrics", "push")
		page.open(MANAGER)
		page.wait_for("control_plane", ".prego-problems")
		above = """return document.querySelector('.prego-problems').getBoundingClientRect().bottom
			<= document.querySelector('.prego-buttons').getBoundingClientRect().top"""
		assert page.run(above)
		assert "Passed" not in page.text(".prego-problems")
		shown = page.text(".prego-node")
		assert "manual push" in shown and not re.search(r"\dT\d\d:\d\d:\d\dZ", shown) and "`" not in shown
		page.run("document.querySelector('.prego-problems [data-show=checks]').click()")
		assert page.run("return document.querySelector('[data-section=checks]').open")
		assert page.run("return document.querySelector('[data-section=last_push]').open")
		page.wait(
			lambda: (
				"Stale" in page.text(".prego-badge")
				or "Failing" in page.text(".prego-badge")
				or "Never" in page.text(".prego-badge")
			),
			"a state",
		)
		assert page.errors() == []


def test_a_node_that_is_well_has_its_details_folded(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		real_bench.bench("prego-metrics", "push")
		page.open(MANAGER)
		page.wait_for("Delivering", ".prego-badge")
		time.sleep(1)
		assert (
			page.run("return [...document.querySelectorAll('.prego-section')].map((one) => one.open)")
			== [False] * 5
		)
		assert page.text("[data-part=problems]") == ""
		page.unfold("settings")
		assert "node_id" in page.text("[data-part=settings]") and "disk_alert_pct" not in page.text(
			"[data-part=settings]"
		)
		assert page.errors() == []


def test_a_narrow_page_scrolls_its_tables_and_nothing_else(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		real_bench.bench("prego-metrics", "push")
		page.browser.execute_cdp_cmd(
			"Emulation.setDeviceMetricsOverride",
			{"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
		)
		page.open(MANAGER)
		page.wait_for("Delivering", ".prego-badge")
		page.unfold("host")
		page.wait_for("Sampled at", "[data-part=host]")
		table = "document.querySelector('[data-part=host] .prego-table')"
		assert page.run(f"return {table}.scrollWidth > {table}.clientWidth")
		assert "Scroll" in page.run(f"return getComputedStyle({table}, '::before').content")
		assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_gap_is_drawn_as_a_gap_and_read_by_keyboard(page: Page, settings: dict[str, Any]) -> None:
	earlier = {
		"doctype": "Prego Metrics Push",
		"name": "of-three-hours-ago",
		"node_id": NODE_ID,
		"outcome": "delivered",
		"tenant_count": "3",
	}
	with real_bench.configured(**settings):
		real_bench.in_site(
			SITE,
			f"""from frappe.utils import add_to_date
frappe.db.delete("Prego Metrics Push", {{"name": "of-three-hours-ago"}})
frappe.get_doc({{**{earlier!r}, "pushed_at": add_to_date(None, hours=-3), "epoch_seconds": {time.time() - 3 * 3600}}}).db_insert()""",
		)
		page.open(MANAGER)
		page.wait_for("Next push")
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
		focused.send_keys("\ue011")  # Home: the axis starts at the first push
		assert str(focused.get_attribute("aria-valuetext")).endswith(": 3")
		focused.send_keys("\ue014")  # right, into the gap
		assert "no push was delivered" in str(focused.get_attribute("aria-valuetext"))
		focused.send_keys("\ue010")  # End
		assert "no push" not in page.text("[data-metric=tenant_count] .prego-readout")
		page.run("document.querySelector('[data-metric=tenant_count] summary').click()")
		page.wait_for("no push was delivered", "[data-metric=tenant_count] table")
		assert page.errors() == []


def test_another_site_shows_only_why_not(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**{**settings, "site": "the-operators.example"}):
		page.open(MANAGER)
		page.wait_for("This is not the operator site")
		shown = page.text()
		assert "Effective settings" not in shown
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
		page.wait(
			lambda: page.run("return !!document.querySelector('[data-part=settings] td')"), "the settings"
		)
		page.unfold("settings")
		page.wait_for(hostile)
		assert page.run("return window.was_run === undefined")


def test_the_page_asks_with_one_timer_and_stops_on_leaving(page: Page, settings: dict[str, Any]) -> None:
	with real_bench.configured(**settings):
		page.open(MANAGER)
		page.wait_for("Next push")
		page.run("for (let i = 0; i < 3; i += 1) cur_frm.refresh(); window.node_form = cur_frm")
		assert page.run("return typeof window.node_form.node_page.timer") == "number"
		page.run("frappe.set_route('prego-metrics')")
		page.wait(lambda: page.run("return window.node_form.node_page.timer === null"), "no timer")


def test_the_workspace_shows_the_state_and_is_red_where_the_page_says_stale(
	page: Page, settings: dict[str, Any]
) -> None:
	with real_bench.configured(**{**settings, "node_id": "a-node-that-never-pushed"}):
		page.open(MANAGER, "/app/prego-metrics")
		page.wait_for("Never delivered")
		colour = """return getComputedStyle([...document.querySelectorAll(".number span")]
			.find((card) => card.innerText.includes("Never delivered"))).color"""
		red, green, blue = map(int, re.findall(r"\d+", page.run(colour))[:3])
		assert red > 2 * green and red > 2 * blue
		page.wait(lambda: "failures in a row" in page.text().lower(), "a number card")
		assert page.errors() == []
