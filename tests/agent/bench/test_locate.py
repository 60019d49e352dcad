"""A bench is found under any of its names, once; and what cannot be read is an error, never a smaller number."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.agent.base.errors import BenchError, NotABench
from prego_metrics.agent.bench.locate import Bench, find_bench, is_sites_folder, open_bench, open_benches

MakeBench = Callable[..., Path]
OTHER_USER = 65534


def identity(bench_folder: Path) -> tuple[int, int]:
	found = (bench_folder / "sites").stat()
	return found.st_dev, found.st_ino


def opened(*paths: object) -> list[Bench]:
	return open_benches([str(path) for path in paths])


# Names of one bench


@pytest.mark.parametrize("name", ["", "/", "/sites", "/sites/", "/./sites/../", "/sites/acme.example/../.."])
def test_a_bench_is_known_by_its_folder_and_by_its_sites_folder(bench_folder: Path, name: str) -> None:
	bench = open_bench(f"{bench_folder}{name}")
	assert bench.sites == str(bench_folder / "sites")
	assert bench.root == str(bench_folder)
	assert bench.identity == identity(bench_folder)


def test_a_sites_folder_alone_is_a_bench_whatever_it_is_called(tmp_path: Path) -> None:
	(tmp_path / "volume").mkdir()
	(tmp_path / "volume" / "apps.txt").write_text("frappe\n")
	assert open_bench(str(tmp_path / "volume")).sites == str(tmp_path / "volume")


def test_a_bench_is_known_through_a_link_to_it_or_to_its_sites(tmp_path: Path, bench_folder: Path) -> None:
	(tmp_path / "current").symlink_to(bench_folder)
	(tmp_path / "elsewhere").mkdir()
	(tmp_path / "elsewhere" / "sites").symlink_to(bench_folder / "sites")
	for name in ("current", "current/sites", "elsewhere", "elsewhere/sites"):
		assert open_bench(str(tmp_path / name)).identity == identity(bench_folder)


def test_a_relative_path_is_one_from_the_working_directory(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.chdir(bench_folder.parent)
	assert open_bench(bench_folder.name).sites == str(bench_folder / "sites")


@pytest.mark.parametrize("marker", ["apps.txt", "common_site_config.json"])
def test_one_marker_is_enough(tmp_path: Path, marker: str) -> None:
	(tmp_path / "sites").mkdir()
	(tmp_path / "sites" / marker).write_text("{}")
	assert open_bench(str(tmp_path)).sites == str(tmp_path / "sites")


def test_a_marker_may_be_a_link_to_a_file(tmp_path: Path) -> None:
	(tmp_path / "sites").mkdir()
	(tmp_path / "real.txt").write_text("frappe\n")
	(tmp_path / "sites" / "apps.txt").symlink_to(tmp_path / "real.txt")
	assert open_bench(str(tmp_path)).sites == str(tmp_path / "sites")


# What is no bench


def test_a_folder_of_sites_without_a_marker_is_no_bench(bench_folder: Path) -> None:
	(bench_folder / "sites" / "apps.txt").unlink()
	(bench_folder / "sites" / "common_site_config.json").unlink()
	with pytest.raises(NotABench) as raised:
		open_bench(str(bench_folder))
	assert raised.value.code == "not_a_bench"


@pytest.mark.parametrize("make", ["a folder", "a dangling link"])
def test_a_marker_that_is_no_file_is_none(tmp_path: Path, make: str) -> None:
	(tmp_path / "sites").mkdir()
	marker = tmp_path / "sites" / "apps.txt"
	if make == "a folder":
		marker.mkdir()
	else:
		marker.symlink_to("gone")
	with pytest.raises(NotABench):
		open_bench(str(tmp_path))


@pytest.mark.parametrize("name", ["missing", "file", "file/below", "dangling"])
def test_what_is_not_there_is_no_bench(tmp_path: Path, name: str) -> None:
	(tmp_path / "file").write_text("")
	(tmp_path / "dangling").symlink_to("gone")
	with pytest.raises(NotABench):
		open_bench(str(tmp_path / name))


def test_a_link_that_leads_to_itself_is_an_error(tmp_path: Path) -> None:
	(tmp_path / "sites").symlink_to("sites")
	with pytest.raises(BenchError) as raised:
		open_bench(str(tmp_path))
	assert raised.value.code == "bench_unreadable"


def test_a_name_that_no_file_can_have_is_an_error_that_shows_it_escaped() -> None:
	with pytest.raises(BenchError, match=os.strerror(errno.ENAMETOOLONG)):
		open_bench("/" + "x" * 300)
	with pytest.raises(BenchError, match=r"/tmp/\\ud800"):
		open_bench("/tmp/\ud800")
	with pytest.raises(BenchError, match=r"/tmp/\\x1b"):
		open_bench("/tmp/\x1b[31m")


@pytest.mark.parametrize("closed", ["sites", "."])
def test_a_bench_that_may_not_be_looked_into_is_an_error(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any], closed: str
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example")
	(bench_folder / closed).chmod(0o700)

	def error() -> list[object]:
		with pytest.raises(BenchError) as raised:
			open_bench(str(bench_folder))
		return [raised.value.code, raised.value.message.params]

	params = {"bench": str(bench_folder), "reason": "Permission denied"}
	assert as_user(OTHER_USER, error) == ["bench_unreadable", params]


# The bench around the working directory


@pytest.mark.parametrize("inside", [".", "sites", "sites/acme.example", "apps/frappe"])
def test_without_a_name_the_bench_around_the_working_directory_is_taken(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
	(bench_folder / "apps" / "frappe").mkdir(parents=True)
	monkeypatch.chdir(bench_folder / inside)
	assert find_bench(None).sites == str(bench_folder / "sites")


def test_outside_of_any_bench_the_error_names_the_option(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.chdir(tmp_path)
	with pytest.raises(BenchError) as raised:
		find_bench(None)
	assert (raised.value.code, raised.value.message.params) == ("bench_not_found", {"folder": str(tmp_path)})
	assert "--bench" in str(raised.value)


@pytest.mark.parametrize("path", [None, ".", "some/bench"])
def test_a_working_directory_that_is_gone_is_an_error(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
	(tmp_path / "gone").mkdir()
	monkeypatch.chdir(tmp_path / "gone")
	(tmp_path / "gone").rmdir()
	with pytest.raises(BenchError) as raised:
		find_bench(path)
	assert raised.value.code == "working_directory_gone"


def test_an_empty_name_is_an_error_and_not_the_working_directory(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.chdir(bench_folder)
	with pytest.raises(BenchError) as raised:
		find_bench("")
	assert raised.value.code == "bench_name_empty"


# Several benches


def test_a_bench_named_in_several_ways_is_counted_once(tmp_path: Path, bench_folder: Path) -> None:
	(tmp_path / "link").symlink_to(bench_folder)
	(tmp_path / "volume").symlink_to(bench_folder / "sites")
	names = (
		bench_folder,
		f"{bench_folder}/",
		bench_folder / "sites",
		tmp_path / "link",
		tmp_path / "volume",
		tmp_path / "frappe-*",
		tmp_path / "*bench",
		tmp_path / "*" / "sites",
	)
	assert [bench.identity for bench in opened(*names)] == [identity(bench_folder)]


def test_a_pattern_names_every_bench_that_it_matches(tmp_path: Path, make_bench: MakeBench) -> None:
	for name in ("bench-1", "bench-2", "bench-10", "other"):
		make_bench(tmp_path / name)
	found = opened(tmp_path / "bench-[12]", tmp_path / "bench-1?")
	assert [Path(bench.root).name for bench in found] == ["bench-1", "bench-2", "bench-10"]


def test_a_pattern_may_stand_in_the_middle_of_a_path(tmp_path: Path, make_bench: MakeBench) -> None:
	for home in ("alice", "bob"):
		make_bench(tmp_path / "home" / home / "frappe-bench")
	(tmp_path / "home" / "carol").mkdir()
	found = opened(f"{tmp_path}/home/*/frappe-bench/")
	assert [Path(bench.root).parent.name for bench in found] == ["alice", "bob"]


def test_a_pattern_follows_links_and_dots(tmp_path: Path, make_bench: MakeBench) -> None:
	make_bench(tmp_path / "real" / "bench")
	(tmp_path / "link").symlink_to("real")
	assert len(opened(f"{tmp_path}/link/../li*/b*")) == 1


def test_a_star_does_not_match_what_is_hidden(tmp_path: Path, make_bench: MakeBench) -> None:
	make_bench(tmp_path / ".hidden-bench")
	make_bench(tmp_path / "bench")
	assert [Path(bench.root).name for bench in opened(tmp_path / "*bench")] == ["bench"]
	assert [Path(bench.root).name for bench in opened(tmp_path / ".*bench")] == [".hidden-bench"]


def test_a_folder_whose_name_looks_like_a_pattern_is_taken_by_its_name(
	tmp_path: Path, make_bench: MakeBench
) -> None:
	make_bench(tmp_path / "[prod] bench*")
	make_bench(tmp_path / "p bench")
	assert [Path(bench.root).name for bench in opened(tmp_path / "[prod] bench*")] == ["[prod] bench*"]


def test_files_beside_the_benches_do_not_disturb_a_pattern(tmp_path: Path, make_bench: MakeBench) -> None:
	make_bench(tmp_path / "bench-1")
	(tmp_path / "bench-notes.txt").write_text("")
	(tmp_path / "bench-link").symlink_to("gone")
	assert len(opened(tmp_path / "bench-*")) == 1


def test_a_pattern_that_matches_a_folder_which_is_no_bench_is_an_error(
	tmp_path: Path, make_bench: MakeBench
) -> None:
	make_bench(tmp_path / "bench-1")
	(tmp_path / "bench-2").mkdir()
	with pytest.raises(NotABench) as raised:
		opened(tmp_path / "bench-*")
	assert raised.value.message.params == {"folder": f"{tmp_path}/bench-2"}


@pytest.mark.parametrize("pattern", ["nothing-*", "*/nothing", "frappe-bench/sites/*.nowhere", "missing/*/x"])
def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path, bench_folder: Path, pattern: str) -> None:
	with pytest.raises(BenchError) as raised:
		opened(bench_folder, tmp_path / pattern)
	params = {"pattern": f"{tmp_path}/{pattern}"}
	assert (raised.value.code, raised.value.message.params) == ("bench_pattern_empty", params)


def test_one_bench_that_is_not_there_fails_all_of_them(tmp_path: Path, bench_folder: Path) -> None:
	with pytest.raises(NotABench):
		opened(bench_folder, tmp_path / "missing")


def test_a_folder_on_a_patterns_way_that_may_not_be_listed_is_an_error(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	make_bench(shared_folder / "alice" / "bench", "a.example")
	make_bench(shared_folder / "bob" / "bench", "b.example")
	(shared_folder / "bob").chmod(0o700)

	def errors() -> list[object]:
		found: list[object] = []
		for pattern in ("*/bench", "*/b*"):
			with pytest.raises(BenchError) as raised:
				opened(shared_folder / pattern)
			found.append([raised.value.code, raised.value.message.params])
		return found

	by_name, by_list = as_user(OTHER_USER, errors)
	assert by_name == [
		"bench_unreadable",
		{"bench": f"{shared_folder}/*/bench", "reason": f"{shared_folder}/bob/bench: Permission denied"},
	]
	assert by_list[1]["reason"] == f"{shared_folder}/bob: Permission denied"


def test_a_hostile_name_in_an_error_is_escaped(tmp_path: Path) -> None:
	os.mkdir(os.fsencode(tmp_path) + b"/bench-\xff\x1b[2J")
	with pytest.raises(NotABench) as raised:
		opened(tmp_path / "bench-*")
	assert "bench-\\xff\\x1b[2J" in str(raised.value)
	assert str(raised.value).isprintable()


def test_a_folder_that_may_not_be_looked_into_is_taken_for_no_sites_folder(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	sites = make_bench(shared_folder / "bench", "a.example") / "sites"
	assert is_sites_folder(str(sites)) and not is_sites_folder(str(sites.parent))
	sites.chmod(0o700)
	assert as_user(OTHER_USER, lambda: is_sites_folder(str(sites))) is False
