"""A node and its people for tests of the Desk in a browser: fixtures, which a test module imports by name.

Needs a bench, see real_bench.py, and selenium (the extra bench-test) with chromium and chromedriver.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import desk_browser
import pytest
import real_bench
from desk_browser import Page
from real_bench import KEY, NODE_ID, SITE

from prego_metrics.sandbox.server import LocalControlPlane

pytest.importorskip("selenium.webdriver", reason="no selenium: pip install '.[bench-test]'")
NEEDS_A_BROWSER = [
	pytest.mark.bench,
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
	real_bench.make_user(SITE, PLAIN, real_bench.PLAIN_ROLE)
	yield
	for email in (MANAGER, PLAIN):
		real_bench.delete_user(SITE, email)


@pytest.fixture
def page(people: None, tmp_path: Path) -> Iterator[Page]:
	with desk_browser.opened(tmp_path) as page:
		yield page
