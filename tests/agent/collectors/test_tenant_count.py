"""What is said of the count besides it: sites of the pool, patterns without a site, the operator's own site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from censuses import MakeSite

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.tenant_count import (
	count_tenants,
	exclusion_notes,
	operator_site_note,
	pool_sites_counted,
)
from prego_metrics.agent.config.config import Config, load_config

Write = Callable[..., Path]


def config_of(bench_folder: Path) -> Config:
	return load_config(open_bench(str(bench_folder)), {}, sleep=lambda _: None)


def params(bench_folder: Path) -> list[dict[str, object]]:
	config = config_of(bench_folder)
	return [dict(note.params) for note, _ in exclusion_notes(config, count_tenants(config))]


def add_pool(bench_folder: Path, make_site: MakeSite, count: int) -> list[str]:
	names = [f"pool-{number}.example" for number in range(count)]
	for name in names:
		make_site(bench_folder, name)
	return names


def test_only_what_is_named_as_the_pools_and_counts_is_a_pool_site(
	bench_folder: Path, make_site: MakeSite, settings: Write
) -> None:
	add_pool(bench_folder, make_site, 2)
	make_site(bench_folder, "whirlpool-1.example")
	settings(bench_folder, exclude_sites=["pool-1.*"])
	assert pool_sites_counted(count_tenants(config_of(bench_folder))) == {"pool-*": ["pool-0.example"]}


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (5, 5), (6, 5)])
def test_five_sites_of_the_pool_are_named(
	bench_folder: Path, make_site: MakeSite, settings: Write, count: int, shown: int
) -> None:
	names = add_pool(bench_folder, make_site, count)
	settings(bench_folder)
	rest = " …" if count > shown else ""
	assert params(bench_folder) == [{"count": count, "names": ", ".join(names[:shown]) + rest}]


def test_patterns_that_match_neither_a_site_nor_an_alias_are_named(
	bench_folder: Path, settings: Write
) -> None:
	(bench_folder / "sites" / "www.example").symlink_to("acme.example")
	settings(bench_folder, exclude_sites=["acme.*", "www.example", "gone.example", "old-*"])
	assert params(bench_folder) == [{"patterns": "gone.example, old-*"}]
	settings(bench_folder, exclude_sites=["acme.*"])
	assert params(bench_folder) == []


def test_the_operators_site_is_named_where_it_counts(bench_folder: Path, settings: Write) -> None:
	def noted(**values: object) -> object:
		settings(bench_folder, **values)
		config = config_of(bench_folder)
		note = operator_site_note(config, count_tenants(config))
		return note and note[0].params["site"]

	assert noted() is None
	assert noted(site="acme.example") == "acme.example"
	assert noted(site="gone.example") is None
	for site in ("acme.example", "brightfoods.example", "cedar.example"):
		assert noted(site=site, exclude_sites=[site]) is None


def test_a_wrong_setting_of_the_count_alone_stops_it(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, push_interval="soon")
	assert count_tenants(config_of(bench_folder)).tenant_count == 3
	settings(bench_folder, exclude_sites=7)
	with pytest.raises(ConfigurationError) as raised:
		count_tenants(config_of(bench_folder))
	assert raised.value.code == "setting_invalid"
