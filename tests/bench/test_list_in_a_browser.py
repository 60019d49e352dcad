"""The list of pushes in headless Chromium, in both languages: every column is there, and none is cut off.

Needs a browser and a bench, see bench_browser.py.
"""

# Fixtures are imported by name, and given by it.
# ruff: noqa: F401, F811
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import real_bench
from bench_browser import MANAGER, NEEDS_A_BROWSER, Page, page, people, plane, settings
from real_bench import SITE, in_site

pytestmark = NEEDS_A_BROWSER

# "Status" is Frappe's own word; 16-dev and 17-dev have no Korean at all.
COLUMNS = {
	"en": ["Pushed at", "Status", "Trigger", "Tenants", "CPU %", "Memory %", "Disk %"],
	"ko": ["푸시 시각", "Status", "실행 주체", "테넌트", "CPU %", "메모리 %", "디스크 %"],
}
HEADS = """return [...document.querySelectorAll(".prego-pushes .list-row-head .level-left .list-row-col")]
	.filter((column) => column.offsetWidth).map((column) => column.innerText.trim())"""
# Text that ends beyond the edge of what holds it and hides the rest; 17's handles between the columns are no text.
CUT_OFF = """const cut_off = [];
for (const column of document.querySelectorAll(".prego-pushes .level-left .list-row-col")) {
	const texts = document.createTreeWalker(column, NodeFilter.SHOW_TEXT);
	while (column.offsetWidth && texts.nextNode()) {
		const range = document.createRange();
		range.selectNodeContents(texts.currentNode);
		const end = range.getBoundingClientRect().right;
		for (let holder = texts.currentNode.parentElement; holder !== column.parentElement; holder = holder.parentElement) {
			const hides = getComputedStyle(holder).overflowX !== "visible";
			if (hides && end > holder.getBoundingClientRect().right + 1) cut_off.push(texts.currentNode.data.trim());
		}
	}
}
return cut_off.filter(Boolean)"""
FIRST_ROW = """return [...document.querySelectorAll(".prego-pushes .list-row-container:not(.list-row-head) .list-row")]
	.slice(0, 1).map((row) => row.querySelector(".level-left").innerText).join("")"""


@pytest.fixture(params=["en", "ko"])
def language(request: pytest.FixtureRequest, people: None) -> Iterator[str]:
	in_site(SITE, f"frappe.db.set_value('User', {MANAGER!r}, 'language', {request.param!r})")
	in_site(SITE, f"frappe.clear_cache(user={MANAGER!r})")
	yield request.param
	in_site(SITE, f"frappe.db.set_value('User', {MANAGER!r}, 'language', 'en')")


def columns(page: Page, language: str) -> list[str]:
	"""The headings in this language; Frappe's own word as Frappe has it there."""
	return [page.run("return __('Status')") if name == "Status" else name for name in COLUMNS[language]]


def open_list(page: Page, width: int) -> None:
	size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
	page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
	page.open(MANAGER, "/app/prego-metrics-push")
	page.wait(lambda: page.run(FIRST_ROW), "a row")
	# The list asks which node this is, and filters by it.
	page.wait(lambda: "node_id" in page.browser.current_url, "the filter by this node")


@pytest.fixture
def pushed(settings: dict[str, Any]) -> Iterator[None]:
	with real_bench.configured(**settings):
		real_bench.bench("prego-metrics", "push")
		real_bench.execute(SITE, "prego_metrics.prego_push.push_if_due")
		yield


@pytest.mark.parametrize("width", [1400, 1280])
def test_every_column_of_the_list_is_there_and_none_is_cut_off(
	page: Page, pushed: None, language: str, width: int
) -> None:
	open_list(page, width)
	assert page.run(HEADS) == columns(page, language)
	assert page.run(CUT_OFF) == []
	# A time with its seconds, a trigger, a count and at least the share of memory and of the disk.
	assert len(page.run(FIRST_ROW).split()) >= 6
	assert page.run("return document.documentElement.scrollWidth <= innerWidth")
	assert page.errors() == []


def test_on_a_telephone_the_list_says_when_and_how_it_ended(page: Page, pushed: None, language: str) -> None:
	open_list(page, 390)
	assert page.run(HEADS) == COLUMNS[language][:1]
	assert page.run(CUT_OFF) == []
	shown = page.run("return document.querySelector('.prego-pushes .list-row').innerText")
	assert ("Delivered" if language == "en" else "전달됨") in shown
	assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_number_of_columns_that_somebody_chose_is_kept(page: Page, pushed: None) -> None:
	if "yes" not in in_site(
		SITE, "print(frappe.get_meta('List View Settings').has_field('total_fields') and 'yes')"
	):
		pytest.skip("this Frappe always shows every column, and has no number to choose")
	chosen = {"doctype": "List View Settings", "name": "Prego Metrics Push", "total_fields": "4"}
	in_site(SITE, f"frappe.get_doc({chosen!r}).insert()")
	try:
		open_list(page, 1280)
		# 15 counts the hidden column of tags as one of the four.
		assert page.run(HEADS) in (COLUMNS["en"][:3], COLUMNS["en"][:4])
	finally:
		in_site(
			SITE,
			"frappe.db.delete('List View Settings', {'name': 'Prego Metrics Push'});"
			"frappe.clear_cache(doctype='Prego Metrics Push')",
		)
