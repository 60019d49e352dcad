"""An error of the process or the file system says nothing about a site: it stops the count, and with it the push."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from censuses import OTHER_USER, Kernel, MakeBench, MakeSite, counted, write_config

from prego_metrics.agent.base.errors import CensusError

ERRNOS = (
	errno.EMFILE,
	errno.ENFILE,
	errno.ENOMEM,
	errno.ESTALE,
	errno.EIO,
	errno.EUCLEAN,
	errno.ENOTCONN,
	errno.ETIMEDOUT,
)


def failing(monkeypatch: pytest.MonkeyPatch, call: str, part: str, number: int) -> None:
	"""Let a call of the kernel fail wherever `part` is in the path; `number` is the error's."""
	real = getattr(os, call)

	def fail(path: Any, *arguments: Any, **options: Any) -> Any:
		if isinstance(path, str) and part in path:
			raise OSError(number, os.strerror(number), path)
		return real(path, *arguments, **options)

	monkeypatch.setattr(os, call, fail)


def refused(bench_folder: Path, *exclude: str) -> str:
	with pytest.raises(CensusError) as raised:
		counted(bench_folder, *exclude, sleep=lambda seconds: None)
	assert "site" in str(raised.value)
	return raised.value.code


@pytest.mark.parametrize("number", ERRNOS)
@pytest.mark.parametrize(
	("call", "part"),
	[
		("open", "acme.example/site_config.json"),
		("open", "/site_config.json"),
		("scandir", "/sites"),
		("stat", "linked.example"),
		("stat", "import"),
	],
)
def test_an_error_of_the_process_stops_the_count(
	bench_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str, part: str
) -> None:
	(bench_folder / "sites" / "import").mkdir()
	(tmp_path / "elsewhere").mkdir()
	(bench_folder / "sites" / "linked.example").symlink_to(tmp_path / "elsewhere")
	assert counted(bench_folder, sleep=lambda seconds: None).tenant_count == 3
	failing(monkeypatch, call, part, number)
	assert refused(bench_folder) == "count_interrupted"


def test_an_error_while_half_written_files_are_read_again_stops_the_count(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	write_config(bench_folder / "sites" / "acme.example", "{")
	kernel = Kernel(bench_folder)
	kernel.at_sleep = lambda number: failing(monkeypatch, "open", "acme.example", errno.EMFILE)
	with pytest.raises(CensusError) as raised:
		kernel.census()
	assert raised.value.code == "count_interrupted"
	assert raised.value.message.params["path"] == f"{kernel.sites}/acme.example/site_config.json"


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENXIO])
def test_an_error_of_one_file_is_a_fact_about_its_site(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
	failing(monkeypatch, "open", "acme.example/site_config.json", number)
	census = counted(bench_folder)
	assert census.tenant_count == 3
	assert len(census.warnings) == 1


@pytest.mark.parametrize("exclude", [(), ("acme.example",), ("*",)])
def test_a_pass_that_could_read_no_configuration_at_all_is_no_count(
	bench_folder: Path, exclude: tuple[str, ...]
) -> None:
	for name in ("acme.example", "brightfoods.example", "cedar.example"):
		write_config(bench_folder / "sites" / name, "{")
	assert refused(bench_folder, *exclude) == "no_config_readable"


def test_nobody_who_may_not_read_one_configuration_counts(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example", "b.example")
	for name in ("a.example", "b.example"):
		(bench_folder / "sites" / name).chmod(0o700)
	assert as_user(OTHER_USER, lambda: refused(bench_folder)) == "no_config_readable"


# What is ours, and what is hidden


def test_the_state_folder_is_no_site_for_whoever_may_not_enter_it(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "open.example")
	for name in (".prego-metrics", ".cache", ".snapshots"):
		(bench_folder / "sites" / name).mkdir(mode=0o700)
	(bench_folder / "sites" / ".cache" / "site_config.json").write_text("{}")
	assert as_user(OTHER_USER, lambda: counted(bench_folder).tenant_count) == 1


def test_the_state_folder_is_no_site_whatever_it_holds(bench_folder: Path, make_site: MakeSite) -> None:
	make_site(bench_folder, ".prego-metrics")
	assert counted(bench_folder).tenant_count == 3


def test_a_hidden_site_whose_configuration_alone_is_closed_counts(
	shared_folder: Path, make_bench: MakeBench, as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "open.example", ".hidden.example")
	(bench_folder / "sites" / ".hidden.example" / "site_config.json").chmod(0o600)
	assert as_user(OTHER_USER, lambda: counted(bench_folder).tenant_count) == 2
