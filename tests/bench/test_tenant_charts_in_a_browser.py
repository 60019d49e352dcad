"""The tenants on the page "Prego Node" in headless Chromium, with made-up usage in a running bench's usage store: needs a
bench, see real_bench.py, and selenium (the extra bench-test) with chromium and chromedriver.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import desk_browser
import pytest
import real_bench
from desk_browser import Page
from made_tenants import empty_usage_store, give_to_owner, made_tenant, save_usage
from real_bench import BENCH, NODE_ID, SITE

from prego_metrics.tenants.usage.store import DAY_SECONDS

pytest.importorskip("selenium.webdriver", reason="no selenium: pip install '.[bench-test]'")
pytestmark = [
	pytest.mark.bench,
	pytest.mark.skipif(not desk_browser.INSTALLED, reason="no chromium with its chromedriver"),
]

MANAGER = "manager@charts.test"
HOSTILE = "<img src=x onerror=window.was_run=1>.example"
POOL = "pool-1.example"
GIGABYTE = 10**9
LARGEST, FASTEST = "[data-bars=largest]", "[data-bars=fastest]"
ONE = "[data-metric=tenant]"


@pytest.fixture(scope="module")
def manager() -> Iterator[None]:
	real_bench.make_user(SITE, MANAGER, "System Manager")
	yield
	real_bench.delete_user(SITE, MANAGER)


@pytest.fixture
def store(manager: None) -> Iterator[Path]:
	"""Where the bench's usage store goes: there is none, and the tests' site is the operator's."""
	real_bench.forget_rate_limits()
	settings = {"node_id": NODE_ID, "control_plane_url": "http://127.0.0.1:9", "site": SITE}
	with (
		real_bench.configured(**settings, scheduler_pushes=False, alert_after=1000),
		empty_usage_store(Path(BENCH)) as path,
	):
		yield path


@pytest.fixture
def scanned(store: Path) -> Path:
	"""Forty days of made-up usage; on days 20 to 16 before now nothing was scanned."""
	now = time.time()
	tenants = []
	for ago in [*range(40, 20, -1), *range(15, -1, -1)]:
		at = now - 3 * 3600 - ago * DAY_SECONDS
		unread = None if 8 <= ago <= 10 else GIGABYTE
		tenants += [
			made_tenant("large.example", at, (100 - ago) * GIGABYTE, 50 * GIGABYTE, unread),
			made_tenant(HOSTILE, at, 20 * GIGABYTE, 0, GIGABYTE),
			made_tenant(
				POOL, at, (9000 - 10 * ago) * 10**6, 0, 0, reason="excluded by exclude_sites: pool-*"
			),
			*(made_tenant(f"small-{number}.example", at, number, number, number) for number in range(1, 60)),
		]
	save_usage(Path(BENCH) / "sites", tenants)
	give_to_owner(store)
	return store


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[..., Page]]:
	opened = []

	def open_one(width: int = 1280, height: int = 1400, *, look: bool = True) -> Page:
		browser = desk_browser.opened(tmp_path)
		page = browser.__enter__()
		opened.append(browser)
		# A window is never narrower than 500 px; a page is.
		page.browser.execute_cdp_cmd(
			"Emulation.setDeviceMetricsOverride",
			{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
		)
		page.open(MANAGER)
		page.wait(lambda: page.run("return !!window.cur_frm && !!cur_frm.node_page"), "the page")
		if look:
			look_at_the_tenants(page)
		return page

	yield open_one
	for browser in opened:
		browser.__exit__(None, None, None)


def look_at_the_tenants(page: Page) -> None:
	page.run("document.querySelector('[data-section=tenants]').scrollIntoView({block: 'center'})")


def count(page: Page, css: str) -> int:
	return int(page.run("return document.querySelectorAll(arguments[0]).length", css))


def choose(page: Page, name: str) -> None:
	page.wait_for(name, LARGEST)
	page.run(
		"[...document.querySelectorAll(`${arguments[0]} .prego-bar`)]"
		".find((bar) => bar.innerText.includes(arguments[1])).click()",
		LARGEST,
		name,
	)
	page.wait_for(name, f"{ONE} h5")


def test_the_largest_and_the_fastest_are_drawn_and_said_and_sites_that_do_not_count_are_marked(
	scanned: Path, open_page: Callable[..., Page]
) -> None:
	page = open_page()
	page.wait_for("151 GB (Files 100 GB, Backups 50.0 GB, Database 1.0 GB)", LARGEST)
	assert "3 h ago); 62 sites." in page.text(".prego-age")
	assert count(page, f"{LARGEST} .prego-bar") == 10
	assert count(page, f"{LARGEST} .prego-bar:first-child .prego-part") >= 3
	assert "+1.0 GB a day" in page.text(f"{FASTEST} li:nth-child(1)")
	assert POOL in page.text(f"{FASTEST} li:nth-child(2)")
	assert "Not counted" in page.text(f"{FASTEST} li:nth-child(2)")
	page.run("document.querySelector(`${arguments[0]} summary`).click()", LARGEST)
	page.wait_for("No: excluded by exclude_sites: pool-*", f"{LARGEST} table")
	assert page.run("return !cur_frm.is_dirty()")
	assert page.errors() == []


def test_a_tenants_gaps_are_drawn_as_gaps_and_read_by_keyboard(
	scanned: Path, open_page: Callable[..., Page]
) -> None:
	page = open_page()
	choose(page, "large.example")
	assert count(page, f"{ONE} .prego-gap") == 1
	# The gap parts every line; the days without a database part the total and the database once more.
	assert count(page, f"{ONE} .prego-line-files[d^='M ']") == 2 + 1  # one stands in the legend
	assert count(page, f"{ONE} .prego-line-total[d^='M ']") == 3 + 1
	page.run("document.querySelector(`${arguments[0]} .prego-canvas`).focus()", ONE)
	focused = page.browser.switch_to.active_element
	assert "Total 151 GB (Files 100 GB" in page.text(f"{ONE} .prego-readout")
	assert "Total 151" in str(focused.get_attribute("aria-valuetext"))
	focused.send_keys("\ue010" + "\ue012" * 16)  # End, and 16 days back
	assert "not scanned" in page.text(f"{ONE} .prego-readout")
	focused.send_keys("\ue014" * 6)  # six days on: the database was not read
	assert "Total unknown" in page.text(f"{ONE} .prego-readout")
	page.run("document.querySelector(`${arguments[0]} summary`).click()", ONE)
	page.wait_for("not scanned", f"{ONE} table")
	assert page.errors() == []


def test_a_name_that_is_html_stays_text(scanned: Path, open_page: Callable[..., Page]) -> None:
	page = open_page()
	choose(page, HOSTILE)
	page.run("document.querySelectorAll('.prego-tenants summary').forEach((summary) => summary.click())")
	page.wait_for(HOSTILE, f"{LARGEST} table")
	assert page.run("return window.was_run === undefined")
	assert page.errors() == []


def test_tenants_beyond_the_first_ones_are_found_by_name(
	scanned: Path, open_page: Callable[..., Page]
) -> None:
	page = open_page()
	page.wait_for("large.example", LARGEST)
	assert "small-7.example" not in page.text(LARGEST)
	page.run("document.querySelector('.prego-tenants input').focus()")
	page.browser.switch_to.active_element.send_keys("SMALL-7.")
	page.wait_for("small-7.example", LARGEST)
	assert count(page, f"{LARGEST} .prego-bar") == 1
	page.run("document.querySelector('[data-days=\"7\"]').click()")
	page.wait_for("+0 B a day, 1 sites together. No site grew.", FASTEST)
	assert page.run("return !cur_frm.is_dirty()")
	assert page.errors() == []


def test_few_days_are_said_to_be_few(store: Path, open_page: Callable[..., Page]) -> None:
	now = time.time()
	ends = [made_tenant("new.example", now - ago * DAY_SECONDS, (9 - ago) * 1000, 0, 0) for ago in (2, 0)]
	save_usage(Path(BENCH) / "sites", ends)
	give_to_owner(store)
	page = open_page()
	page.wait_for("Scans go back only 2 days, not 30: growth is over 2 days.", FASTEST)


def test_before_the_first_scan_the_page_says_how_to_scan(store: Path, open_page: Callable[..., Page]) -> None:
	page = open_page()
	page.wait_for("prego-metrics tenants --scan", ".prego-age")
	assert page.run("return $('.prego-details').is(':hidden')")
	assert not store.exists()
	assert page.errors() == []


def test_a_store_that_cannot_be_read_is_said_in_a_sentence(
	scanned: Path, open_page: Callable[..., Page]
) -> None:
	scanned.write_bytes(b"this is no database" * 1000)
	page = open_page()
	page.wait_for("The tenants' usage cannot be read:", ".prego-notes")
	assert "tenants.sqlite" in page.text(".prego-notes")
	assert page.run("return $('.prego-details').is(':hidden')")
	assert page.errors() == []


def test_korean_on_a_telephone_fits_and_has_no_english_left(
	scanned: Path, open_page: Callable[..., Page]
) -> None:
	real_bench.execute(SITE, "frappe.client.set_value", "User", MANAGER, {"language": "ko"})
	try:
		page = open_page(390)
		choose(page, "large.example")
		shown = page.text(".prego-tenants")
		for korean in ("가장 빨리 커지는 사이트", "집계 안 됨", "3시간 전", "파일 100 GB"):
			assert korean in shown
		assert not {"Files", "Database", "Total", "day", "old", "Largest"} & set(shown.split())
		assert page.run("return document.documentElement.scrollWidth <= innerWidth")
		assert page.errors() == []
	finally:
		real_bench.execute(SITE, "frappe.client.set_value", "User", MANAGER, {"language": "en"})


def test_the_tenants_are_asked_for_once_and_only_when_somebody_looks(
	scanned: Path, open_page: Callable[..., Page]
) -> None:
	page = open_page(height=500, look=False)
	asked = "return performance.getEntriesByType('resource').filter((one) => one.name.includes(arguments[0])).length"
	page.wait(lambda: page.run(asked, "api.series") >= 1, "the charts of what was delivered")
	time.sleep(2)
	assert page.run(asked, "tenants.js") == page.run(asked, "api.tenant_sizes") == 0
	look_at_the_tenants(page)
	page.wait_for("large.example", LARGEST)
	page.run("for (let i = 0; i < 3; i += 1) cur_frm.refresh()")
	time.sleep(2)
	assert page.run(asked, "api.tenant_sizes") == 1
	assert page.run("return typeof cur_frm.node_page.timer") == "number"
