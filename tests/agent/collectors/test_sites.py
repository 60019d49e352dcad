"""What the operator excludes is left out, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from censuses import MakeBench, MakeSite, counted, reason, verdicts, write_config

# What is left out


@pytest.mark.parametrize(
	("pattern", "left"),
	[
		("pool-1", {"pool-2", "POOL-3", "acme.example", "[x]"}),
		("pool-*", {"POOL-3", "acme.example", "[x]"}),
		("pool-?", {"POOL-3", "acme.example", "[x]"}),
		("*", set()),
		("[pP]*", {"acme.example", "[x]"}),
		("[!p]*", {"pool-1", "pool-2"}),
		("pool", {"pool-1", "pool-2", "POOL-3", "acme.example", "[x]"}),
		("acme", {"pool-1", "pool-2", "POOL-3", "acme.example", "[x]"}),
		("[x]", {"pool-1", "pool-2", "POOL-3", "acme.example"}),
		("[", {"pool-1", "pool-2", "POOL-3", "acme.example", "[x]"}),
		("[[a]*", {"pool-1", "pool-2", "POOL-3"}),
		("acme.example\n", {"pool-1", "pool-2", "POOL-3", "acme.example", "[x]"}),
		("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", {"pool-1", "pool-2", "POOL-3", "acme.example", "[x]"}),
	],
)
def test_exclude_sites_holds_names_and_shell_patterns(
	tmp_path: Path, make_bench: MakeBench, pattern: str, left: set[str]
) -> None:
	bench_folder = make_bench(tmp_path / "bench", "pool-1", "pool-2", "POOL-3", "acme.example", "[x]")
	census = counted(bench_folder, "nobody", pattern)
	assert {site.name for site in census.sites if site.counted} == left
	shown = pattern.replace("\n", "\\x0a")
	assert {site.reason for site in census.sites if not site.counted} <= {
		f"excluded by exclude_sites: {shown}"
	}


def test_an_excluded_site_is_left_out_whatever_its_configuration_says(
	bench_folder: Path, make_site: MakeSite
) -> None:
	make_site(bench_folder, "pool-1", prego_tenant=1)
	write_config(make_site(bench_folder, "pool-2"), "{")
	slept: list[float] = []
	census = counted(bench_folder, "pool-*", sleep=slept.append, clock=lambda: 4e9)
	assert census.tenant_count == 3
	assert census.warnings == []
	assert slept == [], "an excluded site's configuration is read again for nothing"


@pytest.mark.parametrize(
	("value", "is_tenant", "warned"),
	[
		("0", False, False),
		("false", False, False),
		("0.0", False, False),
		("-0", False, False),
		("1", True, False),
		("true", True, False),
		("1.0", True, False),
		('"0"', True, True),
		('"false"', True, True),
		('""', True, True),
		("null", True, True),
		("[]", True, True),
		("{}", True, True),
		("2", True, True),
		("-1", True, True),
		("NaN", True, True),
		("1e400", True, True),
		('"\\ud800\\u001b[2J"', True, True),
		("9" * 4000, True, True),
	],
)
def test_only_a_plain_0_or_false_leaves_a_site_out(
	bench_folder: Path, value: str, is_tenant: bool, warned: bool
) -> None:
	write_config(bench_folder / "sites" / "acme.example", f'{{"prego_tenant": {value}}}')
	census = counted(bench_folder)
	assert verdicts(census)["acme.example"] is is_tenant
	assert bool(census.warnings) is warned
	assert reason(census, "acme.example").isprintable()
	if not is_tenant:
		assert reason(census, "acme.example") == '"prego_tenant" is false in its site_config.json'


def test_no_depth_of_nesting_in_a_site_config_stops_the_count(bench_folder: Path) -> None:
	site = bench_folder / "sites" / "acme.example"
	for depth in (*range(1, 1000, 83), *range(880, 1010)):
		write_config(site, '{"prego_tenant": ' + "[" * depth + "]" * depth + "}")
		assert counted(bench_folder, sleep=lambda seconds: None, clock=lambda: 4e9).tenant_count == 3


@pytest.mark.parametrize(
	("config", "expected"),
	[
		({"maintenance_mode": 1}, "tenant, in maintenance mode"),
		({"pause_scheduler": 1}, "tenant, scheduler paused"),
		({"maintenance_mode": 1, "pause_scheduler": 1}, "tenant, in maintenance mode"),
		({"maintenance_mode": 0}, "tenant"),
		({"maintenance_mode": 1, "prego_tenant": 1}, "tenant, in maintenance mode"),
	],
)
def test_maintenance_and_a_paused_scheduler_change_the_reason_and_not_the_count(
	bench_folder: Path, make_site: MakeSite, config: Mapping[str, object], expected: str
) -> None:
	make_site(bench_folder, "x.example", **config)
	census = counted(bench_folder)
	assert census.tenant_count == 4
	assert reason(census, "x.example") == expected
