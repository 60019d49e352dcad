"""The count is Frappe's own, less what the operator excludes: never too low, and no site twice."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import strategies
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings

from prego_metrics.agent import census as census_module
from prego_metrics.agent.bench import Bench, open_bench, open_benches
from prego_metrics.agent.census import MAX_PASSES, SETTLED_SECONDS, Census, take_census
from prego_metrics.agent.errors import BenchError, CensusError
from prego_metrics.local_control_plane.sample_bench import (
	EXCLUDE_SITES,
	SAMPLE_ENTRIES,
	lay_out_sample_bench,
)

MakeSite = Callable[..., Path]
MakeBench = Callable[..., Path]
OTHER_USER = 65534


class Kernel:
	"""Time as a census sees it, with things that happen while it sleeps or looks at the clock.

	The clock is in the folder's own time: it says how long after the folder's stamp "now" is, so that a
	test decides what the kernel's steps would hide. It begins long after the bench was made.
	"""

	def __init__(self, bench_folder: Path, age_seconds: float = 60.0) -> None:
		self.sites = bench_folder / "sites"
		self.age_seconds = age_seconds
		self.clock_reads = 0
		self.sleeps: list[float] = []
		self.at_clock: Callable[[int], object] = lambda number: None
		self.at_sleep: Callable[[int], object] = lambda number: None

	def clock(self) -> float:
		"""The clock is read once a pass, after the folder's stamp and before its entries are."""
		self.clock_reads += 1
		stamp = self.sites.stat().st_mtime_ns / 1e9
		self.at_clock(self.clock_reads)
		return stamp + self.age_seconds

	def sleep(self, seconds: float) -> None:
		self.sleeps.append(seconds)
		self.at_sleep(len(self.sleeps))

	def census(self, *exclude: str, allow_empty: bool = False) -> Census:
		return take_census(
			[open_bench(str(self.sites))],
			exclude,
			allow_empty=allow_empty,
			clock=self.clock,
			sleep=self.sleep,
		)


def counted(bench_folder: Path, *exclude: str, **options: Any) -> Census:
	return take_census([open_bench(str(bench_folder))], exclude, **options)


def verdicts(census: Census) -> dict[str, bool]:
	return {site.name: site.counted for site in census.sites}


def reason(census: Census, name: str) -> str:
	(found,) = [site.reason for site in census.sites if site.name == name]
	return found


def write_config(site: Path, text: str) -> None:
	(site / "site_config.json").write_text(text)


# What is a site


def test_twelve_sites_among_everything_else_that_lies_there_are_twelve(
	tmp_path: Path, make_bench: MakeBench, make_site: MakeSite
) -> None:
	bench_folder = make_bench(tmp_path / "bench", *(f"tenant-{number}.example" for number in range(6)))
	sites = bench_folder / "sites"
	make_site(bench_folder, "maintained.example", maintenance_mode=1)
	make_site(bench_folder, "paused.example", pause_scheduler=1)
	make_site(bench_folder, "한국.example")
	make_site(bench_folder, ".hidden-site")
	write_config(make_site(bench_folder, "half-written.example"), '{"db_name": "_1')
	write_config(make_site(bench_folder, "emptied.example"), "")

	for alias in ("www.example", "assets-link"):
		(sites / alias).symlink_to("tenant-0.example")
	(sites / "absolute-link").symlink_to(sites / "tenant-1.example")
	(sites / "dangling-link").symlink_to("gone.example")
	(sites / "link-to-itself").symlink_to("link-to-itself")
	make_site(bench_folder, "archived/old.example")
	make_site(bench_folder, "tenant-2.example/private/backups/nested.example")
	for folder in ("assets", "import", ".git", "lost+found", ".prego-metrics"):
		(sites / folder).mkdir()
	(sites / "moved-away").mkdir()
	(sites / "moved-away" / "site_config.json.bak").write_text("{}")
	(sites / "config-gone").mkdir()
	(sites / "config-gone" / "site_config.json").symlink_to("gone.json")
	(sites / "site_config.json").write_text("{}")
	(sites / "currentsite.txt").write_text("tenant-0.example")
	os.mkfifo(sites / "pipe")

	census = counted(bench_folder)
	assert census.tenant_count == 12
	assert len(census.sites) == 12
	assert {entry.name: entry.reason for entry in census.not_sites} == {
		**dict.fromkeys(
			("www.example", "assets-link", "absolute-link", "dangling-link", "link-to-itself"),
			"a symlink, which is an alias",
		),
		**dict.fromkeys(
			(
				"archived",
				"assets",
				"import",
				".git",
				"lost+found",
				".prego-metrics",
				"moved-away",
				"config-gone",
			),
			"no site_config.json",
		),
	}


def test_the_sample_bench_is_counted_as_its_table_says(tmp_path: Path) -> None:
	census = counted(lay_out_sample_bench(tmp_path), *EXCLUDE_SITES)
	sites = [entry for entry in SAMPLE_ENTRIES if entry.kind == "site"]
	assert verdicts(census) == {entry.name: entry.counted for entry in sites}


def test_sites_are_listed_in_the_order_of_their_names(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	other = make_bench(tmp_path / "a-bench", "z.example", "b.example")
	census = take_census(open_benches([str(bench_folder), str(other)]))
	assert [(Path(site.bench).name, site.name) for site in census.sites] == [
		("a-bench", "b.example"),
		("a-bench", "z.example"),
		("frappe-bench", "acme.example"),
		("frappe-bench", "brightfoods.example"),
		("frappe-bench", "cedar.example"),
	]


def test_the_count_of_a_node_is_the_sum_of_its_benches(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	make_bench(tmp_path / "second-bench", "acme.example", "pool-1")
	benches = open_benches([str(bench_folder), f"{tmp_path}/*-bench", f"{bench_folder}/sites"])
	assert take_census(benches, ["pool-*"]).tenant_count == 4


@pytest.mark.parametrize("levels", [1, 2, 100])
def test_a_link_as_site_config_counts_if_it_leads_to_a_file(
	bench_folder: Path, make_site: MakeSite, levels: int
) -> None:
	site = make_site(bench_folder, "linked.example")
	(site / "site_config.json").rename(site / "real.json")
	target = "real.json"
	for level in range(levels):
		name = "site_config.json" if level == levels - 1 else f"link-{level}"
		(site / name).symlink_to(target)
		target = name
	# As for Frappe, a chain that the kernel gives up on leads nowhere.
	assert counted(bench_folder).tenant_count == (4 if os.path.exists(site / "site_config.json") else 3)


@pytest.mark.parametrize(
	("make", "text"),
	[
		(lambda path: path.mkdir(), "is not a regular file"),
		(lambda path: os.mkfifo(path), "is not a regular file"),
		(lambda path: path.symlink_to("/dev/null"), "is not a regular file"),
		(lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
		(lambda path: path.write_bytes(b" " * ((1 << 20) + 1)), "is larger than 1 MiB"),
		(lambda path: path.write_bytes(b""), "cannot be parsed"),
		(lambda path: path.write_bytes(b'{"a": "\xff"}'), "cannot be parsed"),
		(lambda path: path.write_bytes(b'{"db_name": '), "cannot be parsed"),
		(lambda path: path.write_bytes(b"[" * 100_000), "cannot be parsed"),
		(lambda path: path.write_bytes(b'{"a": ' + b"9" * 5000 + b"}"), ""),
		(lambda path: path.write_bytes(b"[]"), "holds no JSON object"),
		(lambda path: path.write_bytes(b"null"), "holds no JSON object"),
	],
)
def test_a_site_config_that_cannot_be_understood_counts_with_a_warning(
	bench_folder: Path, make: Callable[[Path], object], text: str
) -> None:
	site = bench_folder / "sites" / "broken.example"
	site.mkdir()
	make(site / "site_config.json")
	census = counted(bench_folder)
	assert census.tenant_count == 4
	if text:
		said = f"counted, though its site_config.json {text}: it occupies the node"
		assert reason(census, "broken.example") == said
		assert census.warnings == [f"site broken.example: {said}"]


def test_a_socket_as_site_config_counts_with_a_warning(bench_folder: Path) -> None:
	import socket

	site = bench_folder / "sites" / "s.example"
	site.mkdir()
	with socket.socket(socket.AF_UNIX) as listener, _working_in(site):
		listener.bind("site_config.json")
	assert counted(bench_folder).tenant_count == 4


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
	before = os.getcwd()
	os.chdir(folder)
	try:
		yield
	finally:
		os.chdir(before)


def test_what_may_not_be_read_counts_with_a_warning_and_a_readable_site_beside_it_counts_too(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "open.example", "closed.example", "secret.example")
	(bench_folder / "sites" / "closed.example").chmod(0o700)
	(bench_folder / "sites" / "secret.example" / "site_config.json").chmod(0o600)

	def take() -> list[tuple[str, bool, str]]:
		census = counted(bench_folder, "pool-*")
		return [(site.name, site.counted, site.reason) for site in census.sites]

	denied = "counted, though its site_config.json cannot be read (Permission denied): it occupies the node"
	assert as_user(OTHER_USER, take) == [
		["closed.example", True, denied],
		["open.example", True, "tenant"],
		["secret.example", True, denied],
	]


def test_the_file_systems_lost_and_found_is_no_site_and_one_of_a_user_may_be(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "open.example")
	lost = bench_folder / "sites" / "lost+found"
	lost.mkdir(mode=0o700)

	def take() -> list[object]:
		census = counted(bench_folder)
		return [census.tenant_count, [entry.reason for entry in census.not_sites]]

	assert as_user(OTHER_USER, take) == [1, ["the file system's own folder"]]
	os.chown(lost, 1, 1)
	assert as_user(OTHER_USER, take) == [2, []]


def test_a_sites_folder_that_may_not_be_listed_is_an_error(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "open.example")
	(bench_folder / "sites").chmod(0o711)

	def error() -> str:
		with pytest.raises(BenchError) as raised:
			counted(bench_folder)
		return str(raised.value)

	assert as_user(OTHER_USER, error) == f"{bench_folder}/sites cannot be read: Permission denied"


def test_names_of_sites_are_shown_with_what_a_terminal_would_obey_escaped(
	bench_folder: Path, make_site: MakeSite
) -> None:
	sites = os.fsencode(bench_folder / "sites")
	names = (b"\x1b[2J.example", "gpj\u202e.example".encode(), b"\xff\xfe.example", b"a\nb.example")
	for name in names:
		os.mkdir(sites + b"/" + name)
		with open(sites + b"/" + name + b"/site_config.json", "w") as file:
			file.write("{")
	os.mkdir(sites + b"/stray\r")
	os.symlink("x", sites + b"/link\x9b")
	census = counted(bench_folder)
	assert census.tenant_count == 7
	assert {site.name for site in census.sites} >= {
		"\\x1b[2J.example",
		"gpj\\u202e.example",
		"\\xff\\xfe.example",
		"a\\x0ab.example",
	}
	assert {entry.name for entry in census.not_sites} == {"stray\\x0d", "link\\x9b"}
	shown = [site.name + site.reason + site.bench for site in census.sites]
	assert all(text.isprintable() for text in (*shown, *census.warnings))


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
	("config", "said"),
	[
		({"maintenance_mode": 1}, "tenant, in maintenance mode"),
		({"pause_scheduler": 1}, "tenant, scheduler paused"),
		({"maintenance_mode": 1, "pause_scheduler": 1}, "tenant, in maintenance mode"),
		({"maintenance_mode": 0}, "tenant"),
		({"maintenance_mode": 1, "prego_tenant": 1}, "tenant, in maintenance mode"),
	],
)
def test_maintenance_and_a_paused_scheduler_change_the_reason_and_not_the_count(
	bench_folder: Path, make_site: MakeSite, config: Mapping[str, object], said: str
) -> None:
	make_site(bench_folder, "x.example", **config)
	census = counted(bench_folder)
	assert census.tenant_count == 4
	assert reason(census, "x.example") == said


# No site at all


def test_a_bench_without_a_site_is_a_doubt_and_not_a_zero(tmp_path: Path, make_bench: MakeBench) -> None:
	bench_folder = make_bench(tmp_path / "bench")
	(bench_folder / "sites" / "assets").mkdir()
	with pytest.raises(CensusError, match=r"/bench/sites holds no site at all.*allow_empty"):
		counted(bench_folder)
	census = counted(bench_folder, allow_empty=True)
	assert (census.tenant_count, census.sites) == (0, ())


def test_one_empty_bench_of_two_is_a_doubt_about_both(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	benches = open_benches([str(bench_folder), str(make_bench(tmp_path / "empty"))])
	with pytest.raises(CensusError, match=f"{tmp_path}/empty/sites holds no site"):
		take_census(benches)
	assert take_census(benches, allow_empty=True).tenant_count == 3


def test_all_sites_excluded_is_a_true_zero(bench_folder: Path) -> None:
	census = counted(bench_folder, "*")
	assert census.tenant_count == 0
	assert len(census.sites) == 3


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
	assert 0 < sum(kernel.sleeps) <= 0.1, "all broken sites wait together"


def test_a_site_dropped_while_its_half_written_config_is_read_again_stays_counted(
	bench_folder: Path, make_site: MakeSite
) -> None:
	site = make_site(bench_folder, "x.example")
	write_config(site, "{")
	kernel = Kernel(bench_folder)
	kernel.at_sleep = lambda number: shutil.rmtree(site, ignore_errors=True)
	assert kernel.census().tenant_count == 4


# A folder that changes while it is read


@pytest.fixture
def thirty_sites(tmp_path: Path, make_bench: MakeBench) -> Path:
	return make_bench(tmp_path / "bench", *(f"site-{number:02}.example" for number in range(30)))


def test_a_quiet_folder_is_read_once(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites)
	assert kernel.census().tenant_count == 30
	assert (kernel.clock_reads, kernel.sleeps) == (1, [])


@pytest.mark.parametrize("age_seconds", [0.0, 0.004, SETTLED_SECONDS - 0.001, -5.0])
def test_a_folder_that_has_just_changed_is_read_again(thirty_sites: Path, age_seconds: float) -> None:
	kernel = Kernel(thirty_sites, age_seconds)

	def settle(number: int) -> None:
		kernel.age_seconds = 1.0

	kernel.at_sleep = settle
	assert kernel.census().tenant_count == 30
	assert (kernel.clock_reads, kernel.sleeps) == (2, [SETTLED_SECONDS])


def test_a_folder_stamped_in_the_future_is_read_five_times_and_then_counted(thirty_sites: Path) -> None:
	kernel = Kernel(thirty_sites, age_seconds=-3600.0)
	assert kernel.census().tenant_count == 30
	assert kernel.clock_reads == MAX_PASSES
	assert kernel.sleeps == [SETTLED_SECONDS] * (MAX_PASSES - 1)


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
	assert kernel.clock_reads == MAX_PASSES
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


# A bench that goes away


def test_a_bench_that_vanishes_before_or_during_a_pass_is_an_error(thirty_sites: Path) -> None:
	bench = open_bench(str(thirty_sites))
	kernel = Kernel(thirty_sites)

	def take_away(number: int) -> None:
		if number == 1:
			os.rename(kernel.sites, thirty_sites / "gone")

	kernel.at_clock = take_away
	for _ in range(2):
		with pytest.raises(BenchError, match=f"{kernel.sites} cannot be read: No such file"):
			take_census([bench], clock=kernel.clock, sleep=kernel.sleep)


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
	with pytest.raises(BenchError, match="it was replaced by another folder while it was read"):
		take_census([bench], clock=kernel.clock, sleep=kernel.sleep)


def test_one_bench_that_fails_fails_the_census_of_all(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	other = make_bench(tmp_path / "other", "x.example")
	benches = open_benches([str(bench_folder), str(other)])
	shutil.rmtree(other)
	with pytest.raises(BenchError, match="other/sites cannot be read"):
		take_census(benches)


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
	assert census_module.MAX_PASSES == 5
