"""Everything that is wrong with the settings, said in one go, without what is secret."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from judging import GOOD, Write, coded_problems, judged, loaded, problems, write_common
from pushing import KEY, leaked

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import code_of
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import (
	CENSUS_KEYS,
	DRY_RUN_KEYS,
	PUSH_KEYS,
	load_config,
)
from prego_metrics.agent.config.settings import SETTING_BY_NAME

# What is wrong, in one go


def test_everything_that_is_wrong_is_said_in_one_go(bench_folder: Path, settings: Write) -> None:
	path = settings(
		bench_folder,
		control_plane_url="http://cp.example",
		push_interval="60",
		benches=[],
		nod_id="sg-1",
		api_key="0123456789",
		exclude_sites="pool-*",
	)
	environ = {
		"PREGO_METRICS_TIMEOUT": "1e3",
		"PREGO_METRICS_ALOW_EMPTY": "1",
		"PREGO_METRICS_HARDENED": "yes",
		"PREGO_METRICS_API_KEY": "9876543210",
	}
	config = loaded(bench_folder, environ)
	assert coded_problems(config) == [
		("setting_invalid", "PREGO_METRICS_HARDENED"),
		("key_misplaced", "api_key"),
		("setting_unknown", "nod_id"),
		("setting_unknown", "PREGO_METRICS_ALOW_EMPTY"),
		("key_misplaced", "PREGO_METRICS_API_KEY"),
		("setting_invalid", "control_plane_url"),
		("setting_invalid", "push_interval"),
		("setting_invalid", "benches"),
		("setting_invalid", "exclude_sites"),
		("setting_invalid", "timeout"),
		("setting_missing", "node_id"),
	]
	expected = problems(config)
	assert f'push_interval = "60" ({path}) must be a number of seconds from 5 to 86400' in expected
	assert 'timeout = "1e3" (PREGO_METRICS_TIMEOUT) must be a number of seconds from 0.1 to 120' in expected
	assert f"nod_id in {path} is not a setting: did you mean node_id?" in expected
	assert "0123456789" not in expected
	assert "9876543210" not in expected
	with pytest.raises(ConfigurationError) as raised:
		config.require(SETTING_BY_NAME)
	assert str(raised.value) == expected


def test_problems_come_in_the_same_order_in_every_process(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD, **{f"push_interval_{number}": 1 for number in range(8)})
	environ = {f"PREGO_METRICS_SPREAD_{number}": "1" for number in range(8)}
	texts = [problem.message.split()[0] for problem in loaded(bench_folder, environ).problems]
	assert texts == [f"push_interval_{n}" for n in range(8)] + [f"PREGO_METRICS_SPREAD_{n}" for n in range(8)]


@pytest.mark.parametrize(
	"name", ["exclude_site", "Exclude_Sites", "exclude-sites", "exclude", "sites", "bench"]
)
def test_a_misspelt_setting_stops_everything(name: str) -> None:
	config = judged({**GOOD, name: ["pool-*"]})
	assert coded_problems(config) == [("setting_unknown", name)] and config.warnings == ()
	with pytest.raises(ConfigurationError):
		config.require(CENSUS_KEYS)


@pytest.mark.parametrize(
	"name", ["Prego_Metrics", "prego-metrics", "prego_metric", "pregometrics", "prego_metrics "]
)
def test_a_misspelt_name_of_our_part_of_the_file_stops_everything(name: str, bench_folder: Path) -> None:
	path = bench_folder / "sites/common_site_config.json"
	for ours in ({}, {"prego_metrics": GOOD}):
		path.write_text(json.dumps({**ours, name: {"exclude_sites": ["pool-*"]}}))
		said = loaded(bench_folder).problems[0].message
		assert code_of(said) == "setting_unknown" and str(said).endswith("did you mean prego_metrics?")


def test_other_parts_of_the_file_are_of_other_apps(bench_folder: Path) -> None:
	path = bench_folder / "sites/common_site_config.json"
	others = {"prego": 1, "prego_tenant": 0, "prego_metrics_pro": {}, "metrics": {}, "premetrics": 1, "": 1}
	path.write_text(json.dumps({**others, "prego_metrics": GOOD}))
	config = loaded(bench_folder)
	assert config.problems == () and config.warnings == ()


@pytest.mark.parametrize(
	"variable",
	[
		"PREGO_METRIC_EXCLUDE_SITES",
		"prego_metrics_exclude_sites",
		"PregoMetrics_Exclude_Sites",
		"PREGOMETRIC_BENCHES",
	],
)
def test_a_misspelt_beginning_of_a_variable_stops_everything(variable: str) -> None:
	config = judged(GOOD, {variable: '["pool-*"]'})
	assert coded_problems(config) == [("setting_unknown", variable)] and config.warnings == ()


def test_a_variable_of_another_program_is_nothing() -> None:
	config = judged(GOOD, {"PREGO_METRIC_GPU_WATCH": "1", "PREGO_NODE_ID": "x", "METRICS_NODE_ID": "x"})
	assert config.problems == () and config.warnings == ()


def test_a_setting_of_another_version_is_a_warning() -> None:
	config = judged({**GOOD, "gpu_watch": "cgroup"})
	assert config.problems == ()
	(warning,) = config.warnings
	assert (code_of(warning), "gpu_watch" in warning) == ("setting_unknown", True)


@pytest.mark.parametrize(
	"key",
	[
		"0123456789abcdef0123456789abcdef",
		"sk_live_4eC39HqLyjWDarjtT1zdp7dc",
		"onlylettersbuttoomanyinarow",
		KEY,
	],
)
def test_the_key_in_the_place_of_a_name_is_not_shown(key: str, bench_folder: Path) -> None:
	path = bench_folder / "sites/common_site_config.json"
	for section, environ in (
		(json.dumps({**GOOD, key: True}), {}),
		(json.dumps(GOOD), {f"PREGO_METRICS_{key}": "1"}),
		(f"{{{json.dumps(key)}: 1, {json.dumps(key)}: 2}}", {}),
	):
		path.write_text(f'{{"prego_metrics": {section}}}')
		config = loaded(bench_folder, environ)
		said = "\n".join((problems(config), *config.warnings))
		assert code_of(config.warnings[0] if config.warnings else config.problems[0].message)
		assert not leaked(said, key) and not leaked(said.lower(), key.lower())


def test_a_command_needs_only_its_own_keys(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, api_key_file="relative", push_interval=1)
	config = loaded(bench_folder)
	config.require(CENSUS_KEYS)
	with pytest.raises(ConfigurationError) as raised:
		config.require(DRY_RUN_KEYS)
	assert {problem.key for problem in raised.value.problems} == {"node_id", "control_plane_url"}
	with pytest.raises(ConfigurationError) as raised:
		config.require(PUSH_KEYS)
	assert {problem.key for problem in raised.value.problems} == {
		"node_id",
		"control_plane_url",
		"api_key_file",
	}
	(warning,) = config.defaults_applied(PUSH_KEYS)
	assert warning.startswith("push_interval = 1 ")
	settings(bench_folder, **GOOD, exclude_sites="x")
	with pytest.raises(ConfigurationError):
		loaded(bench_folder).require(CENSUS_KEYS)


@pytest.mark.parametrize(
	"written",
	[
		"key",
		"api_key",
		"API_KEY",
		"internal_api_key",
		"INTERNAL_API_KEY",
		"token",
		"secret",
		"bearer",
	],
)
def test_a_key_written_into_the_configuration_is_refused_and_not_repeated(
	bench_folder: Path, settings: Write, written: str
) -> None:
	settings(bench_folder, **GOOD, **{written: "the-very-key"})
	config = loaded(bench_folder)
	assert coded_problems(config) == [("key_misplaced", written)]
	assert "the-very-key" not in problems(config) + repr(config)
	with pytest.raises(ConfigurationError):
		config.require(CENSUS_KEYS)


@pytest.mark.parametrize("section", [GOOD, None, []])
def test_a_key_beside_the_section_is_refused_too(bench_folder: Path, section: object) -> None:
	write_common(bench_folder, json.dumps({"INTERNAL_API_KEY": "the-very-key", "prego_metrics": section}))
	config = loaded(bench_folder)
	assert ("key_misplaced", "INTERNAL_API_KEY") in coded_problems(config)
	assert "the-very-key" not in problems(config)


def test_the_same_names_beside_the_section_that_other_apps_use_are_left_alone(bench_folder: Path) -> None:
	write_common(bench_folder, json.dumps({"api_key": "x", "secret": "y", "prego_metrics": GOOD}))
	assert loaded(bench_folder).problems == ()


@pytest.mark.parametrize(
	"url",
	[
		"https://user:pa55word@cp.example",
		"https://user:pa55/word@cp.example",
		'https://user:pa55"word@cp.example',
		"https://user:pa55@word@cp.example",
		"http://pa55word@cp.example",
		"user:pa55word@cp.example",
		"//user:pa55word@cp.example",
		"https:user:pa55word@cp.example",
		"https://cp.example/?token=pa55word",
		"https://cp.example?pa55word",
		"https://cp.example/#pa55word",
		"cp.example/?token=pa55word",
		["https://cp.example/?token=pa55word"],
	],
)
def test_a_password_in_a_refused_url_is_not_shown(url: object) -> None:
	config = judged({**GOOD, "control_plane_url": url})
	assert coded_problems(config) == [("setting_invalid", "control_plane_url")]
	assert "pa55" not in problems(config)


def test_a_pattern_with_a_question_mark_is_shown_as_it_is() -> None:
	assert '"pool-?x"' in problems(judged({**GOOD, "exclude_sites": "pool-?x"}))


@pytest.mark.parametrize("value", ["http://hc.example/the-uuid", "https://hc.example:the-uuid", ["the-uuid"]])
def test_a_refused_heartbeat_url_is_not_shown(value: object) -> None:
	config = judged({**GOOD, "heartbeat_url": value})
	assert coded_problems(config) == [("setting_invalid", "heartbeat_url")]
	assert "the-uuid" not in problems(config)


def test_the_repr_of_a_config_shows_none_of_its_values() -> None:
	config = judged({**GOOD, "heartbeat_url": "https://hc.example/the-uuid"})
	assert config.heartbeat_url == "https://hc.example/the-uuid"
	for value in ("the-uuid", *GOOD.values()):
		assert value not in repr(config) + str(config)


def test_two_heartbeats_are_one_too_many() -> None:
	both = {**GOOD, "heartbeat_url": "https://hc.example/x", "heartbeat_url_file": "/etc/hc"}
	assert coded_problems(judged(both)) == [("settings_conflict", "heartbeat_url")]


@pytest.mark.parametrize(("interval", "warned"), [(59, True), (60, False), (300, False), (301, True)])
def test_an_interval_outside_the_runbooks_range_is_a_warning(interval: float, warned: bool) -> None:
	config = judged({**GOOD, "push_interval": interval})
	assert config.problems == ()
	assert [("outside the recommended 60 to 300 seconds" in text) for text in config.warnings] == [
		True
	] * warned


def test_a_node_id_with_a_space_around_it_is_kept_with_a_warning() -> None:
	config = judged({**GOOD, "node_id": " sg-1"})
	assert config.node_id == " sg-1"
	assert "begins or ends with a space" in config.warnings[0]


@pytest.mark.parametrize(
	("name", "value"),
	[
		("node_id", "x\x1b[2J"),
		("node_id", "y" * 5000),
		("node_id", [{"\u202e": "\ud800"}] * 500),
		("push_interval", 10**4000),
		("push_interval", float("nan")),
		("exclude_sites", {"\n": float("inf")}),
		("disk_paths", ["\x1b" * 5000]),
	],
)
def test_a_refused_value_is_shown_cut_and_escaped(name: str, value: object) -> None:
	(problem,) = judged({**GOOD, name: value}).problems
	assert problem.message.isprintable()
	assert problem.message.startswith(f"{name} = ")
	assert len(problem.message) < 400


@pytest.fixture
def no_garbage_of_others() -> Iterator[None]:
	"""Finalizers of what earlier tests left could else run where no stack is left for them, and fail this test."""
	gc.collect()
	gc.disable()
	yield
	gc.enable()


@pytest.mark.usefixtures("no_garbage_of_others")
def test_no_depth_of_nesting_in_the_file_is_more_than_an_error(bench_folder: Path) -> None:
	bench = open_bench(str(bench_folder))
	for depth in (*range(1, 1000, 199), *range(sys.getrecursionlimit() - 130, sys.getrecursionlimit() + 5)):
		for name in ("node_id", "nod_id"):
			nested = "[" * depth + "]" * depth
			write_common(bench_folder, f'{{"prego_metrics": {{"{name}": {nested}}}}}')
			config = load_config(bench, {}, sleep=lambda seconds: None)
			assert config.problems
			assert all(problem.message.isprintable() for problem in config.problems)


def test_a_refused_value_is_shown_up_to_120_characters() -> None:
	(problem,) = judged({**GOOD, "node_id": "x" * 300}).problems
	assert problem.message.params["value"] == '"' + "x" * 118 + "…"


def test_a_refused_value_is_shown_in_its_own_script() -> None:
	(problem,) = judged({**GOOD, "push_interval": "일 분"}).problems
	assert problem.message.params["value"] == '"일 분"'
