"""Where each setting comes from: the file, the environment, the hardened mode."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from judging import GOOD, Write, coded_problems, judged, loaded, problems

from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.config.settings import SETTING_BY_NAME, SETTINGS

# Where a value comes from


def test_what_is_not_set_is_the_default(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD)
	config = loaded(bench_folder)
	assert config.problems == ()
	assert config.warnings == ()
	assert (config.push_interval, config.spread, config.snapshot_interval) == (60, 55, 3600)
	assert (config.timeout, config.alert_after, config.allow_empty, config.scheduler_pushes) == (
		10,
		3,
		False,
		True,
	)
	assert config.disk_paths == (f"{bench_folder}/sites", "/")
	assert config.benches == (f"{bench_folder}/sites",)
	assert (config.site, config.exclude_sites, config.api_key_file) == (None, (), None)
	file = f"{bench_folder}/sites/common_site_config.json"
	assert config.sources == {
		setting.name: file if setting.name in GOOD else "default" for setting in SETTINGS
	}


def test_every_setting_is_taken_from_the_file_and_every_one_from_the_environment_before_it(
	bench_folder: Path, settings: Write
) -> None:
	in_file = {
		"node_id": "file",
		"control_plane_url": "https://file.example",
		"instance_id": "111",
		"api_key_file": "/file/key",
		"push_interval": 61,
		"spread": 1,
		"snapshot_interval": 61,
		"disk_paths": ["/file"],
		"memory_source": "cgroup",
		"benches": ["/file"],
		"site": "file.example",
		"exclude_sites": ["file"],
		"allow_empty": True,
		"scheduler_pushes": False,
		"timeout": 1,
		"alert_after": 1,
		"disk_alert_pct": 80.5,
		"alert_repeat": 48,
		"scan_tenants": False,
		"tenant_series": 5,
		"metrics_textfile": "/file/node.prom",
		"tenant_quota_gb": 20,
		"heartbeat_url": "https://file.example/x",
		"alert_url": "https://file.example/y",
		"alert_template": "slack",
	}
	in_environment = {
		"node_id": ("environment", "environment"),
		"control_plane_url": ("https://environment.example/", "https://environment.example"),
		"instance_id": ("222", "222"),
		"api_key_file": ("/environment/key", "/environment/key"),
		"push_interval": ("62", 62),
		"spread": ("2.5", 2.5),
		"snapshot_interval": ("0", 0),
		"disk_paths": ('["/environment"]', ("/environment",)),
		"memory_source": ("host", "host"),
		"benches": ('["/environment"]', ("/environment",)),
		"site": ("environment.example", "environment.example"),
		"exclude_sites": ("[]", ()),
		"allow_empty": ("false", False),
		"scheduler_pushes": ("1", True),
		"timeout": ("2", 2),
		"alert_after": ("2", 2),
		"disk_alert_pct": ("0", 0),
		"alert_repeat": ("0", 0),
		"scan_tenants": ("true", True),
		"tenant_series": ("0", 0),
		"metrics_textfile": ("/environment/node.prom", "/environment/node.prom"),
		"tenant_quota_gb": ("2.5", 2.5),
		"heartbeat_url": ("https://environment.example/x", "https://environment.example/x"),
		"alert_url": ("https://environment.example/y", "https://environment.example/y"),
		"alert_template": ("ntfy", "ntfy"),
	}
	path = settings(bench_folder, **in_file)
	from_file = loaded(bench_folder)
	assert from_file.problems == ()
	for name, value in in_file.items():
		assert getattr(from_file, name) == (tuple(value) if isinstance(value, list) else value)
		assert from_file.sources[name] == str(path)
	for name, (text, value) in in_environment.items():
		variable = "PREGO_METRICS_" + name.upper()
		config = loaded(bench_folder, {variable: text})
		assert config.problems == ()
		assert getattr(config, name) == value
		assert config.sources[name] == variable
	assert (
		set(in_file)
		== set(in_environment)
		== SETTING_BY_NAME.keys() - {"heartbeat_url_file", "alert_url_file"}
	)


def test_a_change_of_the_file_holds_at_the_next_read(bench_folder: Path, settings: Write) -> None:
	for interval in (60, 120, 300):
		settings(bench_folder, **GOOD, push_interval=interval)
		assert loaded(bench_folder).push_interval == interval


def test_an_empty_variable_is_unset_with_a_warning(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD)
	config = loaded(bench_folder, {"PREGO_METRICS_NODE_ID": "", "PREGO_METRICS_TIMEOUT": ""})
	assert (config.node_id, config.timeout, config.problems) == ("sg-1", 10, ())
	assert config.warnings == (
		"PREGO_METRICS_NODE_ID is empty and treated as unset",
		"PREGO_METRICS_TIMEOUT is empty and treated as unset",
	)


def test_a_wrong_variable_is_an_error_and_not_a_reason_to_take_the_file(
	bench_folder: Path, settings: Write
) -> None:
	settings(bench_folder, **GOOD, push_interval=120)
	config = loaded(bench_folder, {"PREGO_METRICS_PUSH_INTERVAL": "soon"})
	assert coded_problems(config) == [("setting_invalid", "push_interval")]
	assert config.push_interval == 60


def test_a_tenants_own_configuration_is_never_looked_at(
	bench_folder: Path, settings: Write, make_site: Callable[..., Path]
) -> None:
	settings(bench_folder, **GOOD)
	make_site(bench_folder, "x.example", prego_metrics={"node_id": "taken"}, node_id="taken")
	assert loaded(bench_folder).node_id == "sg-1"


def test_paths_of_benches_are_relative_to_the_bench(
	tmp_path: Path, make_bench: Callable[..., Path], settings: Write
) -> None:
	one = make_bench(tmp_path / "[1] bench", "a.example")
	make_bench(tmp_path / "1 bench", "wrong.example")
	make_bench(tmp_path / "second", "b.example")
	for written in (["../second"], ["../sec*"], ["../secon[d]", "../second"]):
		settings(one, **GOOD, benches=written)
		opened = open_benches(loaded(one).benches)
		assert [os.path.realpath(bench.root) for bench in opened] == [str(tmp_path / "second")]
	settings(one, **GOOD, benches=[".", "sites", "*tes"])
	(itself,) = open_benches(loaded(one).benches)
	assert os.path.samefile(itself.sites, one / "sites")


# The environment's kinds


@pytest.mark.parametrize("text", ["60", "60.0", "060", "5", "86400", "60.25"])
def test_numbers_in_the_environment_are_plain_decimals(text: str) -> None:
	config = judged(GOOD, {"PREGO_METRICS_PUSH_INTERVAL": text})
	assert config.problems == ()
	assert config.push_interval == float(text)


NO_NUMBERS = (
	"1e2",
	"+60",
	"-60",
	" 60",
	"60 ",
	"60s",
	"0x40",
	"6_0",
	"٦٠",
	"60.",
	".5",
	"nan",
	"inf",
	"60\n",
	"true",
	'"60"',
)


@pytest.mark.parametrize("text", [*NO_NUMBERS, "9" * 400, "6" + "0" * 15])
def test_anything_else_is_no_number(text: str) -> None:
	config = judged(GOOD, {"PREGO_METRICS_PUSH_INTERVAL": text})
	assert coded_problems(config) == [("setting_invalid", "push_interval")]


@pytest.mark.parametrize(
	("name", "text", "value"),
	[
		("allow_empty", "true", True),
		("allow_empty", "1", True),
		("allow_empty", " false ", False),
		("allow_empty", "0", False),
		("exclude_sites", '["pool-*", "한국"]', ("pool-*", "한국")),
		("exclude_sites", "[]", ()),
		("disk_paths", '["/"]', ("/",)),
	],
)
def test_lists_and_booleans_in_the_environment_are_json(name: str, text: str, value: object) -> None:
	config = judged(GOOD, {"PREGO_METRICS_" + name.upper(): text})
	assert config.problems == ()
	assert getattr(config, name) == value


@pytest.mark.parametrize(
	("name", "text"),
	[
		("allow_empty", "True"),
		("allow_empty", "yes"),
		("allow_empty", "2"),
		("allow_empty", '"true"'),
		("exclude_sites", "pool-*"),
		("exclude_sites", "pool-1,pool-2"),
		("exclude_sites", "['pool-*']"),
		("exclude_sites", '["pool-*"'),
		("exclude_sites", "[" * 100_000),
		("exclude_sites", "null"),
		("benches", "[]"),
		("disk_paths", "/"),
	],
)
def test_lists_and_booleans_in_the_environment_that_are_no_json_are_refused(name: str, text: str) -> None:
	config = judged(GOOD, {"PREGO_METRICS_" + name.upper(): text})
	assert coded_problems(config) == [("setting_invalid", name)]


def test_texts_in_the_environment_stand_as_they_are() -> None:
	config = judged(GOOD, {"PREGO_METRICS_NODE_ID": '"sg-1"'})
	assert config.node_id == '"sg-1"'


def test_variables_of_others_are_none_of_ours() -> None:
	assert judged(GOOD, {"PREGO": "x", "NODE_ID": "x"}).problems == ()


# The hardened mode


def test_in_the_hardened_mode_what_the_key_could_follow_comes_from_the_environment_alone() -> None:
	section = {
		**GOOD,
		"api_key_file": "/etc/key",
		"heartbeat_url": "https://hc.example/x",
		"metrics_textfile": "/var/lib/node.prom",
		"push_interval": 120,
		"exclude_sites": ["pool-*"],
	}
	config = judged(section, {"PREGO_METRICS_HARDENED": "1"})
	assert config.hardened
	assert (config.node_id, config.control_plane_url) == ("", "")
	assert (config.api_key_file, config.heartbeat_url, config.heartbeat_url_file) == (None, None, None)
	assert (config.push_interval, config.exclude_sites) == (120, ("pool-*",))
	missing = "setting_missing_hardened"
	assert coded_problems(config) == [(missing, "node_id"), (missing, "control_plane_url")]
	assert {text.split()[0] for text in config.warnings} == {
		"node_id",
		"control_plane_url",
		"api_key_file",
		"heartbeat_url",
		"metrics_textfile",
	}
	assert config.metrics_textfile is None
	assert "hc.example" not in "".join(config.warnings)

	environ = {
		"PREGO_METRICS_HARDENED": "1",
		"PREGO_METRICS_NODE_ID": "sg-2",
		"PREGO_METRICS_CONTROL_PLANE_URL": "https://unit.example",
	}
	config = judged(section, environ)
	assert config.problems == ()
	assert (config.node_id, config.control_plane_url) == ("sg-2", "https://unit.example")
	assert any(text.startswith("node_id ") for text in config.warnings)
	same = judged(section, environ | {"PREGO_METRICS_NODE_ID": section["node_id"]})
	assert not any(text.startswith("node_id ") for text in same.warnings)


@pytest.mark.parametrize("text", ["", "0"])
def test_the_hardened_mode_can_be_off(text: str) -> None:
	config = judged(GOOD, {"PREGO_METRICS_HARDENED": text})
	assert (config.hardened, config.problems) == (False, ())


@pytest.mark.parametrize("text", ["yes", "true", "on", " 1", "1 ", "2", "\x1b"])
def test_a_hardened_mode_that_is_neither_on_nor_off_is_an_error(text: str) -> None:
	config = judged(GOOD, {"PREGO_METRICS_HARDENED": text})
	assert coded_problems(config) == [("setting_invalid", "PREGO_METRICS_HARDENED")]
	assert problems(config).isprintable()
