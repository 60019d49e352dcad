"""Settings are written whole, and everything else in the file stays as it was."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from configuring import GOOD, Write, common_file, configured, refusal

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config

# What is written


def test_settings_are_written_and_hold_from_then_on(bench_folder: Path) -> None:
	config = configured(bench_folder, **GOOD, push_interval=120, exclude_sites=["pool-*"])
	assert (config.node_id, config.push_interval, config.exclude_sites) == ("sg-1", 120, ("pool-*",))
	assert vars(load_config(open_bench(str(bench_folder)), {})) == vars(config)
	assert json.loads(common_file(bench_folder).read_text()) == {
		"webserver_port": 8000,
		"prego_metrics": {**GOOD, "push_interval": 120, "exclude_sites": ["pool-*"]},
	}


def test_everything_else_in_the_file_stays_in_its_place(bench_folder: Path) -> None:
	path = common_file(bench_folder)
	content = (
		'{"zulu": 1, "prego_metrics": {"timeout": 5, "node_id": "old"}, "한국": "값", "alpha": [1.50, 1e3, null],'
		' "big": 123456789012345678901234567890, "nested": {"b": {}, "a": []}, "surrogate": "\\ud800", "nan": NaN}'
	)
	path.write_text(content)
	configured(bench_folder, node_id="new")
	before, after = json.loads(content), json.loads(path.read_text())
	assert list(after) == list(before)
	assert list(after["prego_metrics"]) == ["timeout", "node_id"]
	assert after.pop("prego_metrics") == {"timeout": 5, "node_id": "new"}
	del before["prego_metrics"]
	assert repr(after) == repr(before)


def test_the_file_keeps_frappes_layout(bench_folder: Path) -> None:
	configured(bench_folder, node_id="sg-1")
	assert common_file(bench_folder).read_text() == (
		'{\n "webserver_port": 8000,\n "prego_metrics": {\n  "node_id": "sg-1"\n }\n}\n'
	)


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o640, 0o664, 0o400])
def test_the_file_keeps_its_mode_and_leaves_no_other_file(bench_folder: Path, mode: int) -> None:
	path = common_file(bench_folder)
	path.chmod(mode)
	names = sorted(os.listdir(path.parent))
	configured(bench_folder, **GOOD)
	assert stat.S_IMODE(path.stat().st_mode) == mode
	assert sorted(os.listdir(path.parent)) == names


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_file_keeps_its_owner_and_group(bench_folder: Path) -> None:
	path = common_file(bench_folder)
	os.chown(path, 1234, 4321)
	configured(bench_folder, **GOOD)
	assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_the_file_keeps_its_group_when_a_member_of_it_writes(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example")
	path = common_file(bench_folder)
	os.chown(path.parent, 65534, 65534)
	os.chown(path, 65534, 4321)
	path.chmod(0o640)
	as_user(65534, lambda: configured(bench_folder, **GOOD).node_id, groups=[4321])
	found = path.stat()
	assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 4321, 0o640)


def test_a_file_that_is_not_there_is_made_readable_for_the_bench(bench_folder: Path) -> None:
	path = common_file(bench_folder)
	path.unlink()
	assert configured(bench_folder, **GOOD).problems == ()
	assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path: Path, bench_folder: Path) -> None:
	path = common_file(bench_folder)
	path.rename(tmp_path / "elsewhere.json")
	path.symlink_to(tmp_path / "elsewhere.json")
	configured(bench_folder, **GOOD)
	assert path.is_symlink()
	assert json.loads((tmp_path / "elsewhere.json").read_text())["prego_metrics"] == GOOD


def test_a_setting_is_removed(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD, timeout=5, allow_empty=True)
	config = configured(bench_folder, ("timeout", "site"), allow_empty=False)
	assert config.sources["timeout"] == "default"
	written = json.loads(common_file(bench_folder).read_text())["prego_metrics"]
	assert written == {**GOOD, "allow_empty": False}


def test_a_required_setting_may_be_removed(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD)
	assert {problem.key for problem in configured(bench_folder, ("node_id",)).problems} == {"node_id"}


def test_what_is_no_setting_can_be_removed(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD, nod_id="x", api_key="the-very-key")
	assert refusal(bench_folder, timeout=5).code == "settings_invalid"
	configured(bench_folder, ("nod_id", "api_key"))
	assert json.loads(common_file(bench_folder).read_text())["prego_metrics"] == GOOD


def test_settings_can_be_given_one_after_the_other(bench_folder: Path) -> None:
	assert {problem.key for problem in configured(bench_folder, node_id="sg-1").problems} == {
		"control_plane_url"
	}
	assert configured(bench_folder, control_plane_url="https://cp.example").problems == ()


def test_one_wrong_setting_can_be_mended_while_another_is_still_wrong(
	bench_folder: Path, settings: Write
) -> None:
	settings(bench_folder, **GOOD, timeout=-1, push_interval="soon")
	config = configured(bench_folder, timeout=5)
	assert [problem.key for problem in config.problems] == ["push_interval"]


def test_the_returned_settings_are_those_in_force_with_the_environment(bench_folder: Path) -> None:
	config = configured(bench_folder, environ={"PREGO_METRICS_TIMEOUT": "7"}, **GOOD, timeout=5)
	assert (config.timeout, config.sources["timeout"]) == (7, "PREGO_METRICS_TIMEOUT")


def test_a_wrong_variable_does_not_hinder_the_writing(bench_folder: Path) -> None:
	config = configured(bench_folder, environ={"PREGO_METRICS_TIMEOUT": "x"}, **GOOD)
	assert [problem.key for problem in config.problems] == ["timeout"]
