"""The stamp of what a count is made of: it differs after whatever may change the count, but for what lies in a site."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.stamp import Stamp, take_stamp
from prego_metrics.agent.config.config import load_config


def stamp_of(bench_folder: Path) -> Stamp | None:
	return take_stamp(load_config(open_bench(str(bench_folder)), {}))


def rename(sites: Path) -> None:
	next(sites.glob("*/site_config.json")).parent.rename(sites / "tenant.example.com")


def exclude(sites: Path) -> None:
	file = sites / "common_site_config.json"
	file.write_text(
		json.dumps({**json.loads(file.read_text()), "prego_metrics": {"exclude_sites": ["pool-*"]}})
	)


def replace_bench(sites: Path) -> None:
	shutil.copytree(sites, sites.with_name("copy"))
	sites.rename(sites.with_name("old"))
	sites.with_name("copy").rename(sites)


@pytest.mark.parametrize(
	"change",
	[
		rename,
		exclude,
		replace_bench,
		lambda sites: (sites / "new").mkdir(),
		lambda sites: (sites / "link").symlink_to("/nowhere"),
		lambda sites: shutil.rmtree(next(sites.glob("*/site_config.json")).parent),
	],
	ids=["rename", "exclude_sites", "another bench", "mkdir", "link", "drop"],
)
def test_it_differs_after_a_change(bench_folder: Path, change: Callable[[Path], object]) -> None:
	before = stamp_of(bench_folder)
	time.sleep(0.02)  # the times of folders have steps
	change(bench_folder / "sites")
	after = stamp_of(bench_folder)
	assert before and after and before.text != after.text


def test_it_stays_the_same_while_sites_and_our_state_are_written(
	bench_folder: Path, make_site: Callable[..., Path]
) -> None:
	site = make_site(bench_folder, "busy.example.com")
	state = bench_folder / "sites" / ".prego-metrics"
	state.mkdir()
	before = stamp_of(bench_folder)
	time.sleep(0.02)
	for folder in (site, state):
		(folder / "file").write_text("x")
		(folder / "file").rename(folder / "other")
	assert stamp_of(bench_folder) == before


def test_a_modification_time_that_was_set_back_hides_nothing(bench_folder: Path) -> None:
	sites = bench_folder / "sites"
	before, status = stamp_of(bench_folder), sites.stat()
	time.sleep(0.02)
	rename(sites)
	os.utime(sites, ns=(status.st_atime_ns, status.st_mtime_ns))
	after = stamp_of(bench_folder)
	assert before and after and before.text != after.text


def test_every_counted_bench_is_in_it(
	bench_folder: Path, tmp_path: Path, make_bench: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	second = make_bench(tmp_path / "second", "a.example.com")
	settings(bench_folder, benches=[str(bench_folder), str(second)])
	before = stamp_of(bench_folder)
	time.sleep(0.02)
	rename(second / "sites")
	after = stamp_of(bench_folder)
	assert before and after and before.text != after.text
	shutil.rmtree(second)
	assert stamp_of(bench_folder) is None


@pytest.mark.parametrize(("seconds", "settled"), [(0, False), (58, False), (61, True), (-3600, True)])
def test_a_count_is_final_a_minute_after_the_last_change(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, settled: bool
) -> None:
	now = time.time() + seconds
	monkeypatch.setattr("prego_metrics.agent.collectors.stamp.time.time", lambda: now)
	stamp = stamp_of(bench_folder)
	assert stamp and stamp.settled is settled
