"""The largest, the fastest growing and one tenant's days: from a real store, and as laws."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tenants import BENCH, made_tenant, save_usage

from prego_metrics.agent.state.store import FOLDER_NAME
from prego_metrics.tenants.inventory.tenant import tenant_as_dict
from prego_metrics.tenants.usage.growth import overview, tenant_days
from prego_metrics.tenants.usage.reader import Day, Grown, UsageReader
from prego_metrics.tenants.usage.store import DAY_SECONDS, FILE_NAME, StoreError
from prego_metrics.tenants.usage.stored_tenant import tenant_from_stored

NOW = 1_795_000_000.0
TODAY = int(NOW // DAY_SECONDS)
NAMES = ("x", "y", "z")

amounts = st.one_of(st.none(), st.integers(0, 10**15))
stored_sizes = st.dictionaries(
	st.tuples(st.sampled_from(NAMES), st.integers(TODAY - 40, TODAY)),
	st.builds(Day, amounts, amounts, amounts),
	max_size=40,
)


def put(sites: Path, stored: dict[tuple[str, int], Day]) -> None:
	"""Let the store of a scanned bench hold these days of these sites and no others."""
	with contextlib.closing(sqlite3.connect(sites / FOLDER_NAME / FILE_NAME)) as store, store:
		store.execute("DELETE FROM days")
		rows = [(BENCH, site, day, *sizes, None) for (site, day), sizes in stored.items()]
		store.executemany("INSERT INTO days VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
	"""Three sites that were scanned."""
	folder = tmp_path_factory.mktemp("sites")
	save_usage(folder, [made_tenant(name, NOW, 1, 1, 1) for name in NAMES])
	return folder


@given(stored_sizes, st.integers(0, 40))
def test_growth_is_from_the_first_to_the_last_day_of_what_both_have(
	three: Path, stored: dict[tuple[str, int], Day], days: int
) -> None:
	put(three, stored)
	expected = []
	for site in NAMES:
		known = sorted(day for name, day in stored if name == site and day >= TODAY - days)
		pairs = list(zip(stored[site, known[0]], stored[site, known[-1]], strict=True)) if known else []
		grown = [after - before for before, after in pairs if before is not None and after is not None]
		if grown and known[-1] > known[0]:
			expected.append(Grown(BENCH, site, known[-1] - known[0], sum(grown)))
	with UsageReader(str(three)) as store:
		assert sorted(store.growth(NOW - days * DAY_SECONDS, NOW)) == expected
	found = overview(str(three), NOW, days=days, count=2)
	fastest = sorted(expected, key=lambda one: (-one.bytes_a_day, one.site))[:2]
	assert found and [one for one, _ in found.fastest] == [one for one in fastest if one.bytes > 0]
	assert found.tenants == len(expected)
	assert found.known_days == max((one.days for one in expected), default=0)
	assert found.bytes_a_day == pytest.approx(sum(one.bytes_a_day for one in expected))


@pytest.mark.parametrize("size", ["many", 1.5, b"7", 10**18 * 9])
def test_a_size_that_is_no_whole_number_breaks_no_growth(three: Path, size: object) -> None:
	put(three, {("x", TODAY - 1): Day(1, 1, 1), ("x", TODAY): Day(size, 10**18 * 9, 1)})  # type: ignore[arg-type]
	with UsageReader(str(three)) as store:
		assert all(type(one.bytes) is int for one in store.growth(0, NOW))


@given(stored_sizes)
def test_each_day_stands_in_its_place_and_no_day_is_made_up(
	three: Path, stored: dict[tuple[str, int], Day]
) -> None:
	put(three, stored)
	found = tenant_days(str(three), BENCH, "x", NOW)
	known = {day: sizes for (site, day), sizes in stored.items() if site == "x"}
	assert (found is None) == (not known)
	if found:
		shown = dict(enumerate(found.days, found.first_day))
		assert {day: sizes for day, sizes in shown.items() if sizes} == known
		assert min(shown) == min(known)
		# Yesterday is a gap where it is missing; today is not over.
		assert max(shown) == max(TODAY - 1, *known)


@given(amounts, amounts, amounts)
def test_a_total_is_known_only_where_every_part_is(
	files: int | None, backups: int | None, database: int | None
) -> None:
	total = Day(files, backups, database).total_bytes
	if files is None or backups is None or database is None:
		assert total is None
	else:
		assert total == files + backups + database


@pytest.fixture
def sites(tmp_path: Path) -> Path:
	"""Three sites over ten days: one grows, one is excluded and the largest, one has no database."""
	tenants = []
	for ago in (9, 8, 7, 3, 2, 1, 0):
		at = NOW - ago * DAY_SECONDS
		tenants += [
			made_tenant("grows.example", at, 1000 - ago * 100, 10, 10),
			made_tenant("pool-1.example", at, 5000, 0, 0, reason="excluded by exclude_sites: pool-*"),
			made_tenant("shut.example", at, 300, 0, None),
		]
	save_usage(tmp_path, tenants)
	return tmp_path


def test_the_largest_come_first_and_those_that_do_not_count_are_among_them(sites: Path) -> None:
	found = overview(str(sites), NOW, days=30, count=2)
	assert found is not None
	assert [tenant.site.name for tenant in found.largest] == ["pool-1.example", "grows.example"]
	assert not found.largest[0].site.counted
	assert (found.ages.sites, found.ages.newest_at) == (3, NOW)


def test_growth_is_over_the_days_that_are_there_and_says_how_many(sites: Path) -> None:
	found = overview(str(sites), NOW, days=30, count=10)
	assert found is not None
	[(fastest, tenant)] = found.fastest
	assert (fastest.site, fastest.bytes, fastest.days, fastest.bytes_a_day) == ("grows.example", 900, 9, 100)
	assert (found.known_days, found.tenants) == (9, 3)
	assert tenant is not None and tenant.site.counted
	week = overview(str(sites), NOW, days=7, count=10)
	assert week is not None and week.known_days == 7


def test_one_day_is_no_growth(tmp_path: Path) -> None:
	save_usage(tmp_path, [made_tenant("new.example", NOW, 5, 5, 5)])
	found = overview(str(tmp_path), NOW, days=7, count=10)
	assert found is not None and (found.tenants, found.known_days) == (0, 0)


def test_a_name_is_looked_for_whatever_its_case_and_a_wildcard_is_a_letter(sites: Path) -> None:
	found = overview(str(sites), NOW, days=30, count=10, name_contains="GROWS")
	assert found is not None and [tenant.site.name for tenant in found.largest] == ["grows.example"]
	assert [one.site for one, _ in found.fastest] == ["grows.example"]
	nothing = overview(str(sites), NOW, days=30, count=10, name_contains="%")
	assert nothing is not None and nothing.largest == [] and nothing.ages.sites == 3


def test_a_tenants_days_have_a_gap_where_it_was_not_scanned(sites: Path) -> None:
	found = tenant_days(str(sites), BENCH, "grows.example", NOW)
	assert found is not None
	assert [day is not None for day in found.days] == [True] * 3 + [False] * 3 + [True] * 4
	assert found.first_day == TODAY - 9
	shut = tenant_days(str(sites), BENCH, "shut.example", NOW)
	assert shut is not None and {day.total_bytes for day in shut.days if day} == {None}
	assert tenant_days(str(sites), BENCH, "not-there.example", NOW) is None


def test_before_the_first_scan_there_is_nothing_and_no_file_is_made(tmp_path: Path) -> None:
	assert overview(str(tmp_path), NOW, days=7, count=10) is None
	assert tenant_days(str(tmp_path), BENCH, "x", NOW) is None
	assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_read_is_an_error_that_names_it(sites: Path) -> None:
	path = sites / ".prego-metrics" / "tenants.sqlite"
	path.write_bytes(b"this is no database" * 100)
	with pytest.raises(StoreError, match=r"tenants\.sqlite.*tenants --scan"):
		overview(str(sites), NOW, days=7, count=10)
	with pytest.raises(StoreError, match="tenants --scan"):
		tenant_days(str(sites), BENCH, "grows.example", NOW)


def test_days_after_today_are_none(sites: Path) -> None:
	"""A clock that was set back leaves them; and any app can write the store."""
	save_usage(sites, [made_tenant("grows.example", NOW + 9 * DAY_SECONDS, 9, 9, 9)])
	found = tenant_days(str(sites), BENCH, "grows.example", NOW)
	assert found is not None and len(found.days) == 10


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), 10**400, "5", True])
def test_an_amount_that_no_page_can_show_is_no_tenant_of_ours(amount: object) -> None:
	content = json.loads(json.dumps(tenant_as_dict(made_tenant("x", NOW, 1, 2, 3), NOW)))
	tenant_from_stored(content)
	content["disk"]["backups"]["bytes"] = amount
	with pytest.raises(ValueError, match="not a stored tenant"):
		tenant_from_stored(content)
