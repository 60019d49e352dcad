"""The file of the settings as it stands on disk, and laws that hold for whatever it says."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import strategies
from codes import codes_in
from hypothesis import example, given
from judging import GOOD, Write, coded_problems, judged, loaded, write_common

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import code_of
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import (
	CENSUS_KEYS,
	PUSH_KEYS,
	Config,
	judge_config,
	load_config,
)
from prego_metrics.agent.config.settings import SETTING_BY_NAME

# The file itself


def test_an_absent_file_is_an_empty_one(bench_folder: Path) -> None:
	(bench_folder / "sites" / "common_site_config.json").unlink()
	config = loaded(bench_folder)
	assert {problem.key for problem in config.problems} == {"node_id", "control_plane_url"}


def test_a_link_to_the_file_is_followed_and_one_that_leads_nowhere_is_an_error(
	tmp_path: Path, bench_folder: Path, settings: Write
) -> None:
	path = settings(bench_folder, **GOOD)
	path.rename(tmp_path / "elsewhere.json")
	path.symlink_to(tmp_path / "elsewhere.json")
	assert loaded(bench_folder).node_id == "sg-1"
	(tmp_path / "elsewhere.json").unlink()
	(problem,) = [problem for problem in loaded(bench_folder).problems if not problem.key]
	assert codes_in(problem.message) == ["settings_unreadable", "file_dangling"]


@pytest.mark.parametrize(
	("make", "expected"),
	[
		(lambda path: path.write_text(""), "file_not_json"),
		(lambda path: path.write_text('{"prego_metrics": {'), "file_not_json"),
		(lambda path: path.write_bytes(b'{"a": "\xff"}'), "file_not_parsable"),
		(lambda path: path.write_bytes(b"\xef\xbb\xbf{}"), "file_not_json"),
		(lambda path: path.write_text("[" * 100_000), "file_not_parsable"),
		(lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"), ""),
		(lambda path: path.write_text("[]"), "file_no_object"),
		(lambda path: path.write_text("null"), "file_no_object"),
		(lambda path: path.write_text('"text"'), "file_no_object"),
		(lambda path: path.write_bytes(b"{}" + b" " * (1 << 20)), "file_too_large"),
		(lambda path: path.mkdir(), "file_irregular"),
		(lambda path: os.mkfifo(path), "file_irregular"),
		(lambda path: path.symlink_to("/dev/zero"), "file_irregular"),
		(lambda path: path.symlink_to(path), "file_dangling"),
	],
)
def test_a_file_that_cannot_be_understood_is_one_problem_that_names_it(
	bench_folder: Path, make: Callable[[Path], object], expected: str
) -> None:
	path = bench_folder / "sites" / "common_site_config.json"
	path.unlink()
	make(path)
	config = load_config(open_bench(str(bench_folder)), {}, sleep=lambda seconds: None)
	whole = [problem.message for problem in config.problems if not problem.key]
	if expected:
		assert len(whole) == 1
		assert codes_in(whole[0]) == ["settings_unreadable", expected]
		assert whole[0].startswith(str(path))
		with pytest.raises(ConfigurationError, match="common_site_config"):
			config.require(CENSUS_KEYS)


def test_a_file_that_cannot_be_understood_is_said_instead_of_what_would_then_be_missing(
	bench_folder: Path,
) -> None:
	write_common(bench_folder, "{")
	with pytest.raises(ConfigurationError) as raised:
		load_config(open_bench(str(bench_folder)), {}, sleep=lambda seconds: None).require(PUSH_KEYS)
	assert raised.value.code == "settings_unreadable"


@pytest.mark.parametrize("section", [None, [], "x", 1, True])
def test_a_section_that_is_no_object_is_an_error(bench_folder: Path, section: object) -> None:
	write_common(bench_folder, json.dumps({"prego_metrics": section}))
	assert [code for code, _ in coded_problems(loaded(bench_folder))] == ["settings_unreadable"]


@pytest.mark.parametrize("looks", [1, 3, 4, 5])
def test_a_half_written_file_is_read_again_for_a_moment(
	bench_folder: Path, settings: Write, looks: int
) -> None:
	path = settings(bench_folder, **GOOD)
	whole = path.read_text()
	slept: list[float] = []

	def finish_writing(seconds: float) -> None:
		slept.append(seconds)
		path.write_text(whole[: len(whole) // 2] if len(slept) < looks else whole)

	path.write_text("")
	config = load_config(open_bench(str(bench_folder)), {}, sleep=finish_writing)
	assert (config.problems == ()) is (looks < 5)
	assert slept == [0.04] * min(looks, 4)


def test_a_file_that_may_not_be_read_is_an_error(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Callable[..., object]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example")
	path = bench_folder / "sites" / "common_site_config.json"
	path.chmod(0o600)

	def whole() -> list[str]:
		(problem,) = [problem for problem in loaded(bench_folder).problems if not problem.key]
		return codes_in(problem.message)

	assert as_user(65534, whole) == ["settings_unreadable", "file_unreadable"]


def test_reading_the_file_leaves_no_descriptor_open(bench_folder: Path) -> None:
	path = bench_folder / "sites" / "common_site_config.json"
	path.unlink()
	path.mkdir()
	bench = open_bench(str(bench_folder))
	before = len(os.listdir("/proc/self/fd"))
	for _ in range(3):
		with pytest.raises(ConfigurationError):
			read_common_config(bench)
	assert len(os.listdir("/proc/self/fd")) == before


# Laws


def in_allowed_ranges(config: Config) -> bool:
	return (
		5 <= config.push_interval <= 86400
		and (config.snapshot_interval == 0 or 5 <= config.snapshot_interval <= 86400)
		and 0 <= config.spread <= 60
		and 0.1 <= config.timeout <= 120
		and 1 <= config.alert_after <= 1000
		and type(config.alert_after) is int
		and type(config.allow_empty) is type(config.scheduler_pushes) is bool
		and all(type(path) is str and path for path in (*config.benches, *config.disk_paths))
		and all(path.startswith("/") for path in config.disk_paths)
		and type(config.node_id) is type(config.control_plane_url) is str
		and config.control_plane_url.lower().startswith(("https://", "http://", ""))
	)


@given(strategies.json_sections, strategies.environments)
@example({"benches": ["\ud800"]}, {})
@example({"\ud800": 1, "node_id": float("nan")}, {"PREGO_METRICS_TIMEOUT": "\udcff"})
def test_whatever_is_written_is_in_its_allowed_range_or_named_as_a_problem(
	section: dict[str, object], environ: dict[str, str]
) -> None:
	config = judged(section, environ)
	assert in_allowed_ranges(config)
	assert all(problem.message and problem.message.isprintable() for problem in config.problems)
	assert all(warning.isprintable() for warning in config.warnings)
	hardened = environ.get("PREGO_METRICS_HARDENED") == "1"
	named = {problem.key for problem in config.problems}
	for name, value in section.items():
		if name not in SETTING_BY_NAME:
			assert "" in named or any(code_of(warning) == "setting_unknown" for warning in config.warnings)
			continue
		setting = SETTING_BY_NAME[name]
		if config.sources[name].endswith("common_site_config.json"):
			assert name in named or getattr(config, name) is not None
			assert not hardened or name not in {"node_id", "control_plane_url", "api_key_file"}
		elif config.sources[name] == setting.variable:
			assert environ[setting.variable]
		del value
	for name in SETTING_BY_NAME.keys() - named:
		if SETTING_BY_NAME[name].required:
			assert getattr(config, name)
	if not config.problems:
		config.require(PUSH_KEYS)


@given(strategies.json_sections)
def test_a_section_means_the_same_from_a_file_as_from_memory(section: dict[str, object]) -> None:
	with tempfile.TemporaryDirectory() as folder:
		Path(folder, "sites").mkdir()
		path = Path(folder, "sites", "common_site_config.json")
		path.write_text(json.dumps({"prego_metrics": section}))
		bench = open_bench(folder)
		read = load_config(bench, {}, sleep=lambda seconds: None)
		direct = judge_config(bench, json.loads(json.dumps({"prego_metrics": section})), {})
		assert vars(read) == vars(direct)
