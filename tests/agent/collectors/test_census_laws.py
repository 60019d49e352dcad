"""The count is Frappe's own less what is excluded; a bench that goes away is an error."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import strategies
from censuses import Kernel, MakeBench, counted
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings

from prego_metrics.agent.base.errors import BenchError, CensusError
from prego_metrics.agent.bench.locate import Bench, open_bench, open_benches
from prego_metrics.agent.collectors import passes
from prego_metrics.agent.collectors.census import take_census
from prego_metrics.agent.collectors.passes import MAX_PASSES

# A bench that goes away


def test_a_bench_that_vanishes_before_or_during_a_pass_is_an_error(thirty_sites: Path) -> None:
	bench = open_bench(str(thirty_sites))
	kernel = Kernel(thirty_sites)

	def take_away(number: int) -> None:
		if number == 1:
			os.rename(kernel.sites, thirty_sites / "gone")

	kernel.at_clock = take_away
	for _ in range(2):
		with pytest.raises(BenchError) as raised:
			take_census([bench], clock=kernel.clock, sleep=kernel.sleep)
		assert raised.value.code == "bench_unreadable"
		params = {"bench": str(kernel.sites), "reason": "No such file or directory"}
		assert raised.value.message.params == params


@pytest.mark.parametrize("age_seconds", [0.0, 60.0])
@pytest.mark.parametrize("when", ["before", "at the first clock", "at the last clock"])
def test_a_bench_that_is_replaced_by_another_folder_is_an_error(
	thirty_sites: Path, make_bench: MakeBench, when: str, age_seconds: float
) -> None:
	bench = open_bench(str(thirty_sites))
	make_bench(thirty_sites / "other", "only-one.example")
	kernel = Kernel(thirty_sites, age_seconds)

	def replace() -> None:
		os.rename(kernel.sites, thirty_sites / "gone")
		os.rename(thirty_sites / "other" / "sites", kernel.sites)

	if when == "before":
		replace()
	else:
		last = MAX_PASSES if age_seconds == 0.0 else 1
		moment = 1 if when == "at the first clock" else last
		kernel.at_clock = lambda number: replace() if number == moment else None
	with pytest.raises(BenchError) as raised:
		take_census([bench], clock=kernel.clock, sleep=kernel.sleep)
	assert raised.value.code == "bench_unreadable"
	assert "replaced by another folder" in str(raised.value)


def test_one_bench_that_fails_fails_the_census_of_all(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	other = make_bench(tmp_path / "other", "x.example")
	benches = open_benches([str(bench_folder), str(other)])
	shutil.rmtree(other)
	with pytest.raises(BenchError) as raised:
		take_census(benches)
	assert raised.value.message.params["bench"] == f"{other}/sites"


# Laws


def grow(sites: Path, tree: Mapping[str, strategies.Entry]) -> None:
	"""Lay out a random sites folder."""
	for name, entry in tree.items():
		path = os.path.join(sites, name)
		config = os.path.join(path, "site_config.json")
		if entry.kind == "file":
			Path(path).write_text("")
		elif entry.kind == "link to a site":
			os.symlink("/proc/self/cwd", path)
		elif entry.kind == "dangling link":
			os.symlink("nowhere", path)
		else:
			os.mkdir(path)
			if entry.kind == "site":
				Path(config).write_text(entry.config)
			elif entry.kind == "config is a link":
				Path(path, "real.json").write_text(entry.config)
				os.symlink("real.json", config)
			elif entry.kind == "config is a dangling link":
				os.symlink("nowhere", config)
			elif entry.kind == "config is a folder":
				os.mkdir(config)
			elif entry.kind == "config is a pipe":
				os.mkfifo(config)


def frappes_sites(sites: Path) -> list[str]:
	"""The definition in frappe.utils.get_sites, which knows no exclusions."""
	return [
		name
		for name in os.listdir(sites)
		if os.path.isdir(os.path.join(sites, name))
		and not os.path.islink(os.path.join(sites, name))
		and os.path.exists(os.path.join(sites, name, "site_config.json"))
	]


def is_readable(config: Path) -> bool:
	"""Tell whether a site_config.json is a file that holds a JSON object."""
	try:
		return config.is_file() and isinstance(json.loads(config.read_bytes().decode()), dict)
	except ValueError:
		return False


def is_tenant(sites: Path, name: str, exclude: Iterable[str]) -> bool:
	if any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in exclude):
		return False
	path = Path(sites, name, "site_config.json")
	if not path.is_file():
		return True
	try:
		config = json.loads(path.read_bytes().decode())
	except ValueError:
		return True
	if not isinstance(config, dict):
		return True
	return config.get("prego_tenant", 1) not in (0, False) or isinstance(config["prego_tenant"], str)


@hypothesis_settings(max_examples=150)
@given(strategies.sites_trees, strategies.exclusion_lists)
@example({"pool-1": strategies.Entry("site", "{"), "a": strategies.Entry("config is a pipe")}, ["pool-*"])
def test_the_count_is_frappes_own_less_what_is_excluded(
	tree: dict[str, strategies.Entry], exclude: list[str]
) -> None:
	with tempfile.TemporaryDirectory() as folder:
		sites = Path(folder, "sites")
		sites.mkdir()
		(sites / "apps.txt").write_text("frappe\n")
		grow(sites, {name: entry for name, entry in tree.items() if name != "apps.txt"})
		found = frappes_sites(sites)
		if found and not any(is_readable(sites / name / "site_config.json") for name in found):
			with pytest.raises(CensusError) as raised:
				counted(Path(folder), *exclude, sleep=lambda seconds: None, clock=lambda: 4e9)
			assert raised.value.code == "no_config_readable"
			return
		census = counted(
			Path(folder), *exclude, allow_empty=True, sleep=lambda seconds: None, clock=lambda: 4e9
		)
		assert len(census.sites) == len(found)
		assert census.tenant_count == sum(is_tenant(sites, name, exclude) for name in found)
		assert all((site.name + site.reason).isprintable() for site in census.sites)
		if not found:
			with pytest.raises(CensusError):
				counted(Path(folder), *exclude, sleep=lambda seconds: None, clock=lambda: 4e9)


def test_the_census_reads_no_folder_but_sites_itself(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	listed: list[object] = []
	scandir = os.scandir

	def watched(path: Any = ".") -> Any:
		listed.append(path)
		return scandir(path)

	monkeypatch.setattr(os, "scandir", watched)
	counted(bench_folder, sleep=lambda seconds: None, clock=lambda: 4e9)
	assert listed == [str(bench_folder / "sites")]
	assert isinstance(open_bench(str(bench_folder)), Bench)
	assert passes.MAX_PASSES == 5
