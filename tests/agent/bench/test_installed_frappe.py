"""A bench's Frappe without importing it: its version, how often its scheduler runs, and whose Python this is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prego_metrics.agent.bench.installed_frappe import (
	FrappeVersion,
	frappe_version,
	is_frappe_at_hand,
	our_command,
	scheduler_tick,
	tick_seconds,
)
from prego_metrics.agent.bench.locate import Bench, open_bench


def install(bench_folder: Path, content: str) -> Bench:
	"""Put a Frappe with this `__init__.py` beside `sites/`."""
	package = bench_folder / "apps" / "frappe" / "frappe"
	package.mkdir(parents=True, exist_ok=True)
	(package / "__init__.py").write_text(content)
	return open_bench(str(bench_folder))


@pytest.mark.parametrize(
	("content", "version"),
	[
		('"""Frappe."""\n\n__version__ = "15.55.1"\n', FrappeVersion(15, 55, "15.55.1")),
		('__version__ = "16.0.0-dev"\n', FrappeVersion(16, 0, "16.0.0-dev")),
		('__version__ = "17.1"', FrappeVersion(17, 1, "17.1")),
		('__version__ = "17"', None),
		('x = 1; __version__ = "15.1.0"', None),
		("__version__ = '15.1.0'", None),
		("", None),
		('__version__ = "15.1.0"\n'.ljust(1 << 20, "#"), FrappeVersion(15, 1, "15.1.0")),
		('__version__ = "15.1.0"\n'.ljust((1 << 20) + 1, "#"), None),
	],
)
def test_the_version_is_a_line_of_its_own_in_a_file_of_a_mebibyte_at_most(
	bench_folder: Path, content: str, version: FrappeVersion | None
) -> None:
	assert frappe_version(install(bench_folder, content)) == version


def test_a_bench_without_frappe_has_no_version(bench_folder: Path) -> None:
	assert frappe_version(open_bench(str(bench_folder))) is None
	(bench_folder / "apps" / "frappe" / "frappe" / "__init__.py").mkdir(parents=True)
	assert frappe_version(open_bench(str(bench_folder))) is None


@pytest.mark.parametrize(
	("full", "dormant"),
	[
		("14.56.0", True),
		("14.57.0", True),
		("15.0.0", True),
		("15.56.1", True),
		("15.57.0", False),
		("16.0.0-dev", True),
		("16.0.0", False),
		("17.3.0", False),
	],
)
def test_the_scheduler_of_older_versions_passes_over_sites_without_logins(
	bench_folder: Path, full: str, dormant: bool
) -> None:
	version = frappe_version(install(bench_folder, f'__version__ = "{full}"'))
	assert version is not None and version.goes_dormant is dormant


@pytest.mark.parametrize(
	("configured", "seconds"),
	[
		(90, 90.0),
		("90", 90.0),
		("90.7", 90.0),
		(1, 1.0),
		(0.5, None),
		(0, None),
		(-5, None),
		("soon", None),
		("1e999", None),
		(None, None),
		([90], None),
	],
)
@pytest.mark.parametrize(("full", "default"), [("15.55.1", 60.0), ("16.0.0", 240.0), ("17.0.0", 240.0)])
def test_the_tick_is_the_configured_one_or_the_versions(
	bench_folder: Path, configured: object, seconds: float | None, full: str, default: float
) -> None:
	bench = install(bench_folder, f'__version__ = "{full}"')
	assert tick_seconds(bench, {"scheduler_tick_interval": configured}) == (seconds or default)


def test_without_a_version_the_tick_is_the_shorter_one(bench_folder: Path) -> None:
	assert tick_seconds(open_bench(str(bench_folder)), {}) == 60.0


def test_frappe_is_at_hand_where_this_python_imports_the_benchs(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	bench = install(bench_folder, "")
	assert not is_frappe_at_hand(bench)
	monkeypatch.syspath_prepend(str(bench_folder / "apps" / "frappe"))
	assert is_frappe_at_hand(bench)


def test_a_frappe_beside_the_benchs_apps_is_another(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	bench = install(bench_folder, "")
	(bench_folder / "apps").rename(bench_folder / "apps-of-before")
	monkeypatch.syspath_prepend(str(bench_folder / "apps-of-before" / "frappe"))
	assert not is_frappe_at_hand(bench)


def test_a_folder_called_frappe_and_a_module_without_a_place_are_no_frappe(
	bench_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	bench = open_bench(str(bench_folder))
	(tmp_path / "elsewhere" / "frappe").mkdir(parents=True)
	monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
	assert not is_frappe_at_hand(bench)
	# Without a __spec__, as a test's or a notebook's stand-in is.
	monkeypatch.setitem(sys.modules, "frappe", type(sys)("frappe"))
	assert not is_frappe_at_hand(bench)


def test_our_command_is_benchs_where_this_python_imports_frappe(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	(tmp_path / "frappe").mkdir()
	(tmp_path / "frappe/__init__.py").touch()
	monkeypatch.syspath_prepend(str(tmp_path))
	assert our_command() == "bench prego-metrics"
	monkeypatch.setitem(sys.modules, "frappe", type(sys)("frappe"))
	assert our_command() == "prego-metrics"
	monkeypatch.setitem(sys.modules, "frappe", None)
	assert our_command() == "prego-metrics"


def test_the_tick_is_that_of_a_frappe_with_this_app(bench_folder: Path) -> None:
	assert scheduler_tick(open_bench(str(bench_folder))) is None
	bench = install(bench_folder, '__version__ = "16.0.0"')
	assert scheduler_tick(bench) is None
	(bench_folder / "apps/prego_metrics").mkdir()
	assert scheduler_tick(bench) == 240.0
	(bench_folder / "sites/common_site_config.json").write_text('{"scheduler_tick_interval": 90}')
	assert scheduler_tick(bench) == 90.0
	(bench_folder / "sites/common_site_config.json").write_text("{")
	assert scheduler_tick(bench) is None
	(bench_folder / "sites/common_site_config.json").write_text("{}")
	(bench_folder / "apps/frappe/frappe/__init__.py").unlink()
	assert scheduler_tick(bench) is None
