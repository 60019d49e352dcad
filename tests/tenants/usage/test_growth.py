"""The largest, the fastest growing and one tenant's days: from a real store, and as laws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tenants import BENCH, made_tenant, save_usage

from prego_metrics.tenants.inventory.tenant import tenant_as_dict
from prego_metrics.tenants.usage.growth import grown, growth_of, in_order, known_total, overview, tenant_days
from prego_metrics.tenants.usage.reader import Day, UsageReader
from prego_metrics.tenants.usage.store import DAY_SECONDS, StoreError
from prego_metrics.tenants.usage.stored_tenant import tenant_from_stored

NOW = 1_795_000_000.0
TODAY = int(NOW // DAY_SECONDS)

amounts = st.one_of(st.none(), st.integers(0, 10**15))
day_lists = st.lists(
	st.builds(
		Day,
		st.sampled_from(["/a", "/b"]),
		st.sampled_from(["x", "y", "z"]),
		st.integers(TODAY - 40, TODAY),
		amounts,
		amounts,
		amounts,
		st.none(),
	),
	unique_by=lambda day: (day.bench, day.site, day.day),
	max_size=40,
)


def ends_of(days: list[Day]) -> list[Day]:
	by_site: dict[tuple[str, str], list[Day]] = {}
	for day in sorted(days, key=lambda one: one.day):
		by_site.setdefault((day.bench, day.site), []).append(day)
	return [day for found in by_site.values() for day in {found[0], found[-1]}]


@given(day_lists)
def test_the_first_and_the_last_day_of_each_tenant_tell_all_growth(days: list[Day]) -> None:
	assert growth_of(ends_of(days), 99) == growth_of(days, 99)


@given(day_lists, st.integers(1, 5))
def test_the_fastest_are_those_that_grew_most_a_day_and_none_of_them_shrank(
	days: list[Day], most: int
) -> None:
	growth = growth_of(days, most)
	everything = grown(days)
	assert list(growth.fastest) == [one for one in everything if one.bytes > 0][:most]
	assert growth.tenants == len(everything)
	assert growth.known_days == max((one.days for one in everything), default=0)


def test_growth_is_from_the_first_to_the_last_day_and_the_fastest_comes_first() -> None:
	days = [
		Day(BENCH, site, day, size, None, None, None)
		for site, first, last in (("a", 100, 600), ("b", 100, 50), ("c", 100, 1100))
		for day, size in ((TODAY - 10, first), (TODAY - 5, 9999), (TODAY, last))
	]
	assert [(one.site, one.bytes, one.days, one.bytes_a_day) for one in grown(days)] == [
		("c", 1000, 10, 100),
		("a", 500, 10, 50),
		("b", -50, 10, -5),
	]


def test_a_database_that_was_not_read_before_has_not_grown_from_nothing() -> None:
	days = [Day(BENCH, "a", TODAY - 5, 7, 0, None, None), Day(BENCH, "a", TODAY, 7, 0, 10**9, None)]
	assert [one.bytes for one in grown(days)] == [0]


@given(day_lists.map(lambda days: [day for day in days if (day.bench, day.site) == ("/a", "x")]))
def test_each_day_stands_in_its_place_and_no_day_is_made_up(days: list[Day]) -> None:
	shown = in_order(days, TODAY)
	assert sorted(days, key=lambda day: day.day) == [day for day in shown if day is not None]
	if days:
		first = min(day.day for day in days)
		assert all(day is None or day.day == first + place for place, day in enumerate(shown))
		# Yesterday is a gap where it is missing; today is not over.
		assert TODAY - 1 <= first + len(shown) - 1 <= TODAY
		assert first + len(shown) - 1 == TODAY - 1 or shown[-1] is not None


@given(amounts, amounts, amounts)
def test_a_total_is_known_only_where_every_part_is(
	files: int | None, backups: int | None, database: int | None
) -> None:
	total = known_total(Day(BENCH, "x", 1, files, backups, database, None))
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
	[fastest] = found.growth.fastest
	assert (fastest.site, fastest.bytes, fastest.days, fastest.bytes_a_day) == ("grows.example", 900, 9, 100)
	assert (found.growth.known_days, found.growth.tenants) == (9, 3)
	assert found.growing[0] is not None and found.growing[0].site.counted
	week = overview(str(sites), NOW, days=7, count=10)
	assert week is not None and week.growth.known_days == 7


def test_one_day_is_no_growth(tmp_path: Path) -> None:
	save_usage(tmp_path, [made_tenant("new.example", NOW, 5, 5, 5)])
	found = overview(str(tmp_path), NOW, days=7, count=10)
	assert found is not None and (found.growth.tenants, found.growth.known_days) == (0, 0)


def test_a_name_is_looked_for_whatever_its_case_and_a_wildcard_is_a_letter(sites: Path) -> None:
	found = overview(str(sites), NOW, days=30, count=10, name_contains="GROWS")
	assert found is not None and [tenant.site.name for tenant in found.largest] == ["grows.example"]
	assert [one.site for one in found.growth.fastest] == ["grows.example"]
	nothing = overview(str(sites), NOW, days=30, count=10, name_contains="%")
	assert nothing is not None and nothing.largest == () and nothing.ages.sites == 3


def test_a_tenants_days_have_a_gap_where_it_was_not_scanned(sites: Path) -> None:
	found = tenant_days(str(sites), BENCH, "grows.example", NOW)
	assert found is not None
	assert [day is not None for day in found.days] == [True] * 3 + [False] * 3 + [True] * 4
	assert found.first_day == TODAY - 9
	shut = tenant_days(str(sites), BENCH, "shut.example", NOW)
	assert shut is not None and {known_total(day) for day in shut.days if day} == {None}
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


def test_the_first_and_last_days_that_sqlite_finds_are_those_of_all_days(sites: Path) -> None:
	with UsageReader(str(sites)) as store:
		for since in (0.0, NOW - 7 * DAY_SECONDS, NOW):
			everything = [
				day
				for name in ("grows.example", "pool-1.example", "shut.example")
				for day in store.days_of(BENCH, name, since, NOW)
			]
			assert everything
			assert sorted(store.ends(since, NOW), key=repr) == sorted(ends_of(everything), key=repr)


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
