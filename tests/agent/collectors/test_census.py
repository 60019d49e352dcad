"""What is a site, and what lies among the sites and is none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from censuses import OTHER_USER, MakeBench, MakeSite, counted, reason, verdicts, write_config

from prego_metrics.agent.base.errors import BenchError, CensusError
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.collectors.census import take_census
from prego_metrics.sandbox.sample_bench import (
	EXCLUDE_SITES,
	SAMPLE_ENTRIES,
	lay_out_sample_bench,
)

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
		**dict.fromkeys(("www.example", "assets-link"), "an alias of tenant-0.example"),
		"absolute-link": "an alias of tenant-1.example",
		**dict.fromkeys(("dangling-link", "link-to-itself"), "a symlink that leads nowhere"),
		".prego-metrics": "the state folder of prego_metrics",
		**dict.fromkeys(
			(
				"archived",
				"assets",
				"import",
				".git",
				"lost+found",
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


def test_an_alias_is_looked_for_in_its_own_bench_alone(
	bench_folder: Path, tmp_path: Path, make_bench: MakeBench
) -> None:
	other = make_bench(tmp_path / "other", "z.example")
	(bench_folder / "sites" / "www.example").symlink_to("acme.example")
	(other / "sites" / "www.example").symlink_to("z.example")
	for order in ((bench_folder, other), (other, bench_folder)):
		census = take_census(open_benches(map(str, order)))
		aliases = [(entry.name, entry.bench, entry.alias_of) for entry in census.not_sites if entry.alias_of]
		assert sorted(aliases) == [
			("www.example", str(bench_folder), "acme.example"),
			("www.example", str(other), "z.example"),
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
		(lambda path: path.write_bytes(b" " * ((1 << 20) + 1)), "is larger than 1048576 bytes"),
		(lambda path: path.write_bytes(b""), "is not valid JSON (line 1, column 1)"),
		(lambda path: path.write_bytes(b'{"a": "\xff"}'), "cannot be parsed"),
		(lambda path: path.write_bytes(b'{"db_name": '), "is not valid JSON (line 1, column 13)"),
		(lambda path: path.write_bytes(b"[" * 100_000), "cannot be parsed"),
		(lambda path: path.write_bytes(b'{"a": ' + b"9" * 5000 + b"}"), ""),
		(lambda path: path.write_bytes(b"[]"), "does not contain a JSON object"),
		(lambda path: path.write_bytes(b"null"), "does not contain a JSON object"),
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
		expected = f"counted although its site_config.json {text}, because it occupies the node"
		assert reason(census, "broken.example") == expected
		assert census.warnings == [f"site broken.example: {expected}"]


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

	denied = "counted although its site_config.json cannot be read (Permission denied), because it occupies the node"
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

	def error() -> list[object]:
		with pytest.raises(BenchError) as raised:
			counted(bench_folder)
		return [raised.value.code, raised.value.message.params]

	params = {"bench": f"{bench_folder}/sites", "reason": "Permission denied"}
	assert as_user(OTHER_USER, error) == ["bench_unreadable", params]


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


# No site at all


def test_a_bench_without_a_site_is_a_doubt_and_not_a_zero(tmp_path: Path, make_bench: MakeBench) -> None:
	bench_folder = make_bench(tmp_path / "bench")
	(bench_folder / "sites" / "assets").mkdir()
	with pytest.raises(CensusError) as raised:
		counted(bench_folder)
	assert raised.value.code == "no_site"
	assert raised.value.message.params == {"folder": f"{bench_folder}/sites"}
	census = counted(bench_folder, allow_empty=True)
	assert (census.tenant_count, census.sites) == (0, ())


def test_one_empty_bench_of_two_is_a_doubt_about_both(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	benches = open_benches([str(bench_folder), str(make_bench(tmp_path / "empty"))])
	with pytest.raises(CensusError) as raised:
		take_census(benches)
	assert raised.value.message.params == {"folder": f"{tmp_path}/empty/sites"}
	assert take_census(benches, allow_empty=True).tenant_count == 3


def test_all_sites_excluded_is_a_true_zero(bench_folder: Path) -> None:
	census = counted(bench_folder, "*")
	assert census.tenant_count == 0
	assert len(census.sites) == 3
