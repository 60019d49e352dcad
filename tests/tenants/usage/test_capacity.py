"""How many more tenants fit: from a real cache of figures, with a range, and in words where there is too little."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory.database import DatabaseFigures
from prego_metrics.tenants.inventory.site_folder import LocatedSite, locate_sites, read_site
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.capacity import CapacityUnknown, Resource, forecast, grown, tenant_sizes
from prego_metrics.tenants.usage.store import TenantHistory, cached_figures

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = [f"t{number}.example" for number in range(1, 6)]
GIGABYTE = 10**9


@pytest.fixture
def five(tmp_path: Path, make_bench: Callable[..., Path]) -> Path:
	return make_bench(tmp_path / "five", *NAMES)


def located_sites(bench_folder: Path) -> list[LocatedSite]:
	config = load_config(open_bench(str(bench_folder)), {})
	return locate_sites(config, count_tenants(config))


def keep(bench_folder: Path, sizes: list[int], at: float, *, database: bool = True) -> set[tuple[str, str]]:
	"""Keep a database of such a size for each site, as a collection would; return the sites."""
	located = located_sites(bench_folder)
	with TenantHistory(str(bench_folder / "sites"), write=True) as history:
		for one, size in zip(located, sizes, strict=False):
			figures = (
				DatabaseFigures(data_bytes=size, index_bytes=0) if database else DatabaseFigures(error="no")
			)
			disk = read_site(one, sizes=True)
			history.keep(Tenant(one.site, disk, figures, at))
	return {(one.site.bench, one.site.name) for one in located}


def test_the_range_is_from_the_quartiles_of_what_was_collected(five: Path) -> None:
	counted = keep(five, [1 * GIGABYTE, 2 * GIGABYTE, 3 * GIGABYTE, 4 * GIGABYTE, 5 * GIGABYTE], time.time())
	tenants, _ = cached_figures(str(five / "sites"), 0)
	sizes = tenant_sizes(tenants, counted)
	assert sizes.tenants == 5 and sizes.without_database == 0
	found = forecast(
		sizes,
		Resource(10 * GIGABYTE, 90 * GIGABYTE),
		Resource(5 * GIGABYTE, 95 * GIGABYTE),
		5,
		disk_pct=80,
		memory_pct=85,
	)
	# 70 GB of room on disk; 80 GB of memory at 1 GB each.
	assert (found.disk.low, found.disk.expected, found.disk.high) == (17, 23, 35)
	assert found.memory.expected == 80
	assert found.fits == found.disk and found.limit == "disk"


def test_memory_is_the_limit_where_it_is_sooner_full(five: Path) -> None:
	counted = keep(five, [GIGABYTE] * 5, time.time())
	sizes = tenant_sizes(cached_figures(str(five / "sites"), 0)[0], counted)
	found = forecast(sizes, Resource(0, 100 * GIGABYTE), Resource(50, 50), 5, disk_pct=80, memory_pct=85)
	assert (found.fits.low, found.fits.expected, found.limit) == (3, 3, "memory")


def test_a_few_giants_never_put_the_expected_number_outside_its_range(five: Path) -> None:
	counted = keep(five, [1, 1, 1, 1, 100 * GIGABYTE], time.time())
	sizes = tenant_sizes(cached_figures(str(five / "sites"), 0)[0], counted)
	assert sizes.mean > sizes.upper_quartile
	disk = forecast(sizes, Resource(0, 10**12), Resource(1, 10**12), 5, disk_pct=80, memory_pct=85).disk
	assert disk.low <= disk.expected <= disk.high


def test_nothing_more_fits_where_a_threshold_is_passed_already() -> None:
	assert Resource(90, 10).room_bytes(80) == 0


def test_too_few_tenants_are_no_forecast(five: Path) -> None:
	counted = keep(five, [GIGABYTE] * 3, time.time())
	with pytest.raises(CapacityUnknown, match="sizes of 3 tenants are known"):
		tenant_sizes(cached_figures(str(five / "sites"), 0)[0], counted)


def test_growth_is_from_the_days_and_fastest_first(five: Path) -> None:
	now = time.time()
	counted = keep(five, [100, 100, 100, 100, 100], now - 10 * 86400)
	keep(five, [1100, 600, 100, 50, 100], now)
	found = grown(cached_figures(str(five / "sites"), now - 30 * 86400)[1], counted)
	assert [(one.site, one.bytes, one.days) for one in found[:2]] == [
		("t1.example", 1000, 10),
		("t2.example", 500, 10),
	]
	assert found[-1].bytes == -50 and found[0].bytes_a_day == 100


def test_a_database_that_was_not_read_before_has_not_grown_from_nothing(five: Path) -> None:
	now = time.time()
	counted = keep(five, [0] * 5, now - 5 * 86400, database=False)
	keep(five, [GIGABYTE] * 5, now)
	assert {one.bytes for one in grown(cached_figures(str(five / "sites"), 0)[1], counted)} == {0}


def test_the_command_prints_the_forecast_its_assumptions_and_the_growth(five: Path, run_agent: Run) -> None:
	now = time.time()
	keep(five, [1000_000] * 5, now - 10 * 86400)
	keep(five, [2000_000] * 5, now)
	ended = run_agent("capacity", "--bench", five)
	assert ended.returncode == 0, ended.stderr
	assert "Forecast: about" in ended.stdout and "Assumed" in ended.stdout
	assert "disk may reach 80 %, memory 85 %" in ended.stdout
	assert "+500 kB a day, 5 tenants together" in ended.stdout
	found = json.loads(run_agent("capacity", "--json", "--disk-threshold", "1", "--bench", five).stdout)
	assert found["growth"]["bytes_a_day"] == 500_000
	assert found["disk"]["low"] <= found["disk"]["expected"] <= found["disk"]["high"]


def test_the_command_says_that_one_day_tells_no_growth(five: Path, run_agent: Run) -> None:
	keep(five, [1000_000] * 5, time.time(), database=False)
	ended = run_agent("capacity", "--bench", five)
	assert ended.returncode == 2 and "take nothing on disk" in ended.stderr
	keep(five, [1000_000] * 4, time.time())
	ended = run_agent("capacity", "--bench", five)
	assert "Growth is not known yet" in ended.stdout
	assert "1 databases were not read" in ended.stdout


def test_without_a_collection_the_command_names_the_one_that_makes_it(five: Path, run_agent: Run) -> None:
	ended = run_agent("capacity", "--json", "--bench", five)
	assert ended.returncode == 2 and "Traceback" not in ended.stderr
	assert "tenants --collect" in ended.stderr and json.loads(ended.stdout)["fits"] is None
	assert not (five / "sites" / ".prego-metrics").exists()


def test_what_was_not_read_whole_is_among_the_assumptions(five: Path, run_agent: Run) -> None:
	keep(five, [GIGABYTE] * 5, time.time())
	assert "not read whole" not in run_agent("capacity", "--bench", five).stdout
	site = five / "sites" / NAMES[0]
	(site / "private").mkdir(exist_ok=True)
	(site / "private" / "backups").symlink_to("/nowhere/at/all")
	(five / "sites" / NAMES[1] / "public").mkdir(exist_ok=True)
	(five / "sites" / NAMES[1] / "public" / "files").symlink_to("/usr")
	keep(five, [GIGABYTE] * 5, time.time())
	wanted_message = run_agent("capacity", "--bench", five).stdout
	assert (
		"files or backups of 2 tenants were not read whole" in wanted_message
		and "fewer may fit" in wanted_message
	)
