"""A folder that changes while it is read: the count is never too low, and counts no site twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from censuses import Kernel, MakeSite, counted, verdicts, write_config

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.census import take_census

# Configurations that are being written


def test_a_half_written_site_config_is_read_again_until_it_is_whole(
	bench_folder: Path, make_site: MakeSite
) -> None:
	site = make_site(bench_folder, "x.example")
	write_config(site, '{"prego_ten')
	kernel = Kernel(bench_folder)
	kernel.at_sleep = lambda number: write_config(site, '{"prego_tenant": 0}') if number == 3 else None
	census = kernel.census()
	assert verdicts(census)["x.example"] is False
	assert census.tenant_count == 3
	assert census.warnings == []


def test_a_site_config_that_stays_half_written_is_counted_after_a_moment(
	bench_folder: Path, make_site: MakeSite
) -> None:
	for number in range(5):
		write_config(make_site(bench_folder, f"x{number}.example"), "{")
	kernel = Kernel(bench_folder)
	census = kernel.census()
	assert census.tenant_count == 8
	assert len(census.warnings) == 5
	assert kernel.sleeps == [0.02] * 3, "all broken sites wait together"


def test_a_site_dropped_while_its_half_written_config_is_read_again_stays_counted(
	bench_folder: Path, make_site: MakeSite
) -> None:
	site = make_site(bench_folder, "x.example")
	write_config(site, "{")
	kernel = Kernel(bench_folder)
	kernel.at_sleep = lambda number: shutil.rmtree(site, ignore_errors=True)
	assert kernel.census().tenant_count == 4


def test_a_quiet_folder_is_read_once(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites)
	assert kernel.census().tenant_count == 30
	assert (kernel.clock_reads, kernel.sleeps) == (1, [])


@pytest.mark.parametrize("age_seconds", [0.0, 0.004, 0.019, -5.0])
def test_a_folder_that_has_just_changed_is_read_again(thirty_sites: Path, age_seconds: float) -> None:
	kernel = Kernel(thirty_sites, age_seconds)

	def settle(number: int) -> None:
		kernel.age_seconds = 1.0

	kernel.at_sleep = settle
	assert kernel.census().tenant_count == 30
	assert (kernel.clock_reads, kernel.sleeps) == (2, [0.02])


def test_a_folder_stamped_in_the_future_is_read_five_times_and_then_counted(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites, age_seconds=-3600.0)
	assert kernel.census().tenant_count == 30
	assert kernel.clock_reads == 5
	assert kernel.sleeps == [0.02] * 4


def test_a_site_that_one_pass_misses_is_found_by_the_next(
	thirty_sites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	"""What the kernel does under a rename: the listing holds the site under neither name."""
	kernel = Kernel(thirty_sites)
	hidden = thirty_sites / "site-07.example"

	def hide(number: int) -> None:
		if number == 1:
			hidden.rename(thirty_sites / "site-07.example.moving")

	def show(number: int) -> None:
		with contextlib.suppress(FileNotFoundError):
			(thirty_sites / "site-07.example.moving").rename(kernel.sites / "renamed.example")

	hidden = kernel.sites / "site-07.example"
	kernel.at_clock, kernel.at_sleep = hide, show
	census = kernel.census()
	assert census.tenant_count == 30
	assert "renamed.example" in verdicts(census)


def test_a_change_that_a_coarse_kernel_does_not_stamp_is_not_believed(thirty_sites: Path) -> None:
	"""Within one step of the kernel's stamps a folder changes and its stamp does not."""
	kernel = Kernel(thirty_sites, age_seconds=0.003)
	outside = thirty_sites / "moving"

	def move_out_unseen(number: int) -> None:
		if number == 1:
			before = kernel.sites.stat()
			(kernel.sites / "site-03.example").rename(outside)
			os.utime(kernel.sites, ns=(before.st_atime_ns, before.st_mtime_ns))

	def move_in(number: int) -> None:
		outside.rename(kernel.sites / "moved.example")
		kernel.age_seconds = 1.0

	kernel.at_clock, kernel.at_sleep = move_out_unseen, move_in
	assert kernel.census().tenant_count == 30


def test_constant_renames_end_after_five_passes_in_the_union_of_them(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites)
	names = [f"site-{number:02}.example" for number in range(30)]

	def hide_one_more(number: int) -> None:
		(kernel.sites / names[number]).rename(thirty_sites / names[number])

	def show_it_under_another_name(number: int) -> None:
		(thirty_sites / names[number]).rename(kernel.sites / f"renamed-{number}.example")

	kernel.at_clock, kernel.at_sleep = hide_one_more, show_it_under_another_name
	census = kernel.census()
	assert kernel.clock_reads == 5
	assert census.tenant_count == 30


def test_a_site_seen_under_two_names_is_counted_once(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites, age_seconds=0.0)

	def rename(number: int) -> None:
		for name in sorted(os.listdir(kernel.sites)):
			if name.startswith("site-"):
				os.rename(kernel.sites / name, kernel.sites / f"site-{number}-{name[-10:]}")

	kernel.at_sleep = rename
	assert kernel.census().tenant_count == 30


def test_a_site_dropped_between_the_passes_stays_in_the_union(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites, age_seconds=0.0)
	kernel.at_sleep = lambda number: shutil.rmtree(kernel.sites / f"site-0{number}.example")
	assert kernel.census().tenant_count == 30


@pytest.mark.parametrize(
	("first", "second"),
	[
		(("pool-1", "{}"), ("tenant.example", "{}")),
		(("tenant.example", "{}"), ("pool-1", "{}")),
		(("pool-1", "{}"), ("tenant.example", "{")),
		(("tenant.example", "{"), ("pool-1", "{}")),
		(("pool-1", "{"), ("tenant.example", "{}")),
		(("pool-1", "{"), ("tenant.example", "{")),
		(("tenant.example", "{"), ("pool-1", "{")),
		(("tenant.example", "{}"), ("pool-1", "{")),
		(("tenant.example", '{"prego_tenant": 0}'), ("tenant.example", "{}")),
		(("tenant.example", "{}"), ("tenant.example", '{"prego_tenant": 0}')),
	],
	ids=str,
)
def test_a_site_counted_under_any_name_in_any_pass_is_in_the_union(
	bench_folder: Path, make_site: MakeSite, first: tuple[str, str], second: tuple[str, str]
) -> None:
	"""A pool site becomes a tenant, or the other way round, its configuration half written meanwhile."""
	site = make_site(bench_folder, first[0])
	write_config(site, first[1])
	kernel = Kernel(bench_folder, age_seconds=0.0)

	def become(number: int) -> None:
		if number == 1:
			write_config(site, second[1])
			site.rename(kernel.sites / second[0])

	kernel.at_sleep = become
	census = kernel.census("pool-*")
	assert census.tenant_count == 4
	assert len(census.sites) == 4


def test_a_site_that_was_only_doubted_is_left_out_once_it_says_so(
	bench_folder: Path, make_site: MakeSite
) -> None:
	site = make_site(bench_folder, "x.example")
	write_config(site, "{")
	kernel = Kernel(bench_folder, age_seconds=0.0)
	kernel.at_sleep = lambda number: write_config(site, '{"prego_tenant": 0}')
	census = kernel.census()
	assert census.tenant_count == 3
	assert census.warnings == []


RENAME_IN_BURSTS = """
import os, sys, time
sites, number = sys.argv[1], 0
print("renaming", flush=True)
while True:
	for _ in range(3):
		number += 1
		index = number % 30
		here, there = f"{sites}/site-{index:02}.example", f"{sites}/moved-{index:02}.example"
		os.rename(*((here, there) if os.path.exists(here) else (there, here)))
	time.sleep(0.0005)
"""


def test_renames_by_another_process_never_make_the_count_too_low_nor_count_a_site_twice(
	thirty_sites: Path,
) -> None:
	bench = open_bench(str(thirty_sites))
	command = [sys.executable, "-c", RENAME_IN_BURSTS, str(thirty_sites / "sites")]
	with subprocess.Popen(command, stdout=subprocess.PIPE) as renaming:
		assert renaming.stdout is not None
		renaming.stdout.readline()
		try:
			counts = [take_census([bench]).tenant_count for _ in range(20)]
			assert renaming.poll() is None
		finally:
			renaming.kill()
	assert set(counts) == {30}


def test_new_sites_are_counted_from_the_next_census_on(bench_folder: Path, make_site: MakeSite) -> None:
	for number in range(3):
		assert counted(bench_folder).tenant_count == 3 + number
		make_site(bench_folder, f"new-{number}.example")


# Configurations that are away for a moment


@pytest.mark.parametrize("looks", [1, 2, 50])
def test_a_site_config_that_is_away_for_a_moment_is_looked_for_again(bench_folder: Path, looks: int) -> None:
	config = bench_folder / "sites" / "acme.example" / "site_config.json"
	kernel = Kernel(bench_folder, age_seconds=0.05)
	config.rename(config.with_suffix(".old"))
	kernel.at_sleep = lambda number: config.with_suffix(".old").rename(config) if number == looks else None
	census = kernel.census()
	assert census.tenant_count == 3
	assert all(entry.name != "acme.example" for entry in census.not_sites)


def test_a_site_config_that_comes_back_half_written_counts(bench_folder: Path) -> None:
	config = bench_folder / "sites" / "acme.example" / "site_config.json"
	kernel = Kernel(bench_folder, age_seconds=0.05)
	config.unlink()
	kernel.at_sleep = lambda number: config.write_text("{") if number == 5 else None
	assert kernel.census().tenant_count == 3


def test_a_folder_that_has_long_been_without_a_configuration_costs_no_time(bench_folder: Path) -> None:
	(bench_folder / "sites" / "assets").mkdir()
	kernel = Kernel(bench_folder)
	assert kernel.census().tenant_count == 3
	assert kernel.sleeps == []


def test_a_configuration_that_stays_away_is_no_site_after_a_moment(bench_folder: Path) -> None:
	(bench_folder / "sites" / "acme.example" / "site_config.json").unlink()
	kernel = Kernel(bench_folder, age_seconds=0.05)
	census = kernel.census()
	assert census.tenant_count == 2
	assert kernel.sleeps == [0.02] * 50


def test_a_configuration_that_stays_half_written_is_not_waited_for_once_the_others_are_back(
	bench_folder: Path,
) -> None:
	config = bench_folder / "sites" / "acme.example" / "site_config.json"
	write_config(bench_folder / "sites" / "cedar.example", "{")
	kernel = Kernel(bench_folder, age_seconds=0.05)
	config.rename(config.with_suffix(".old"))
	kernel.at_sleep = lambda number: config.with_suffix(".old").rename(config) if number == 6 else None
	assert kernel.census().tenant_count == 3
	assert kernel.sleeps == [0.02] * 6


SAVE_BY_RENAME = """
import os, sys, time
os.chdir(sys.argv[1])
print("saving", flush=True)
while True:
	os.rename("site_config.json", "site_config.json~")
	with open("site_config.json", "w") as file:
		file.write("{}")
	time.sleep(0.001)
"""


def test_an_editor_that_renames_the_old_file_away_never_makes_the_count_too_low(thirty_sites: Path) -> None:
	bench = open_bench(str(thirty_sites))
	command = [sys.executable, "-c", SAVE_BY_RENAME, str(thirty_sites / "sites" / "site-07.example")]
	with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:
		assert saving.stdout is not None
		saving.stdout.readline()
		try:
			counts = [take_census([bench]).tenant_count for _ in range(50)]
			assert saving.poll() is None
		finally:
			saving.kill()
	assert set(counts) == {30}
