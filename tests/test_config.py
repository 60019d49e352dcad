"""The settings in force, each with its source, and everything that is wrong with them in one go."""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import strategies
from hypothesis import example, given

from prego_metrics.agent.bench import Bench, open_bench, open_benches
from prego_metrics.agent.config import (
	ALL_KEYS,
	CENSUS_KEYS,
	DRY_RUN_KEYS,
	Config,
	judge_config,
	load_config,
	read_common_config,
)
from prego_metrics.agent.errors import ConfigurationError
from prego_metrics.agent.settings import SETTING_BY_NAME, SETTINGS

Write = Callable[..., Path]
GOOD = {"node_id": "sg-1", "control_plane_url": "https://cp.example"}


def loaded(bench_folder: Path, environ: Mapping[str, str] | None = None) -> Config:
	return load_config(open_bench(str(bench_folder)), environ or {})


def problems(config: Config) -> str:
	return "\n".join(problem.text for problem in config.problems)


def judged(section: object, environ: Mapping[str, str] | None = None) -> Config:
	"""Judge a section without any file."""
	return judge_config(Bench("/srv/bench/sites", (0, 0)), {"prego_metrics": section}, environ or {})


def write_common(bench_folder: Path, text: str) -> Path:
	path = bench_folder / "sites" / "common_site_config.json"
	path.write_text(text)
	return path


# Where a value comes from


def test_what_is_not_set_is_the_default(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD)
	config = loaded(bench_folder)
	assert config.problems == ()
	assert config.warnings == ()
	assert (config.push_interval, config.spread, config.snapshot_interval) == (60, 5, 3600)
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
		"benches": ["/file"],
		"site": "file.example",
		"exclude_sites": ["file"],
		"allow_empty": True,
		"scheduler_pushes": False,
		"timeout": 1,
		"alert_after": 1,
		"disk_alert_pct": 80.5,
		"tenant_series": 5,
		"heartbeat_url": "https://file.example/x",
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
		"benches": ('["/environment"]', ("/environment",)),
		"site": ("environment.example", "environment.example"),
		"exclude_sites": ("[]", ()),
		"allow_empty": ("false", False),
		"scheduler_pushes": ("1", True),
		"timeout": ("2", 2),
		"alert_after": ("2", 2),
		"disk_alert_pct": ("0", 0),
		"tenant_series": ("0", 0),
		"heartbeat_url": ("https://environment.example/x", "https://environment.example/x"),
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
	assert set(in_file) == set(in_environment) == ALL_KEYS - {"heartbeat_url_file"}


def test_a_change_of_the_file_holds_at_the_next_read(bench_folder: Path, settings: Write) -> None:
	for interval in (60, 120, 300):
		settings(bench_folder, **GOOD, push_interval=interval)
		assert loaded(bench_folder).push_interval == interval


def test_an_empty_variable_is_unset_with_a_warning(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD)
	config = loaded(bench_folder, {"PREGO_METRICS_NODE_ID": "", "PREGO_METRICS_TIMEOUT": ""})
	assert (config.node_id, config.timeout, config.problems) == ("sg-1", 10, ())
	assert config.warnings == (
		"PREGO_METRICS_NODE_ID is empty and counts as unset",
		"PREGO_METRICS_TIMEOUT is empty and counts as unset",
	)


def test_a_wrong_variable_is_an_error_and_not_a_reason_to_take_the_file(
	bench_folder: Path, settings: Write
) -> None:
	settings(bench_folder, **GOOD, push_interval=120)
	config = loaded(bench_folder, {"PREGO_METRICS_PUSH_INTERVAL": "soon"})
	assert problems(config) == (
		'push_interval = "soon" (PREGO_METRICS_PUSH_INTERVAL) must be a number of seconds from 5 to 86400'
	)


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
		found = open_benches(loaded(one).benches)
		assert [os.path.realpath(bench.root) for bench in found] == [str(tmp_path / "second")]
	settings(one, **GOOD, benches=[".", "sites", "*tes"])
	(itself,) = open_benches(loaded(one).benches)
	assert os.path.samefile(itself.sites, one / "sites")


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
	said = problems(config)
	assert len(config.problems) == 11
	for text in (
		"node_id is not set: give it by `prego-metrics configure`, or by PREGO_METRICS_NODE_ID",
		f'control_plane_url = "http://cp.example" ({path}) must begin with https://',
		f'push_interval = "60" ({path}) must be a number of seconds from 5 to 86400',
		f"benches = [] ({path}) must be a list of texts with at least one entry",
		f'exclude_sites = "pool-*" ({path}) must be a list of texts, such as ["pool-*"]',
		f"nod_id in {path} is no setting: did you mean node_id?",
		f"api_key in {path} is refused: the key does not belong there",
		'timeout = "1e3" (PREGO_METRICS_TIMEOUT) must be a number of seconds from 0.1 to 120',
		"PREGO_METRICS_ALOW_EMPTY in the environment is no setting: did you mean allow_empty?",
		"PREGO_METRICS_API_KEY in the environment is refused",
		"PREGO_METRICS_HARDENED='yes' must be 1 or 0",
	):
		assert text in said
	assert "0123456789" not in said
	assert "9876543210" not in said
	with pytest.raises(ConfigurationError) as raised:
		config.require(ALL_KEYS)
	assert str(raised.value) == said


def test_problems_come_in_the_same_order_in_every_process(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD, **{f"unknown_{number}": 1 for number in range(8)})
	environ = {f"PREGO_METRICS_STRANGE_{number}": "1" for number in range(8)}
	texts = [problem.text.split()[0] for problem in loaded(bench_folder, environ).problems]
	assert texts == [f"unknown_{n}" for n in range(8)] + [f"PREGO_METRICS_STRANGE_{n}" for n in range(8)]


def test_a_command_needs_only_its_own_keys(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, api_key_file="relative", push_interval=1)
	config = loaded(bench_folder)
	config.require(CENSUS_KEYS)
	with pytest.raises(ConfigurationError) as raised:
		config.require(DRY_RUN_KEYS)
	assert {problem.key for problem in raised.value.problems} == {
		"node_id",
		"control_plane_url",
		"push_interval",
	}
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
	said = problems(config)
	assert f"{written} in " in said
	assert "is refused: the key does not belong there" in said
	assert "INTERNAL_API_KEY in the environment or by api_key_file" in said
	assert "the-very-key" not in said + repr(config)
	with pytest.raises(ConfigurationError):
		config.require(CENSUS_KEYS)


@pytest.mark.parametrize("section", [GOOD, None, []])
def test_a_key_beside_the_section_is_refused_too(bench_folder: Path, section: object) -> None:
	write_common(bench_folder, json.dumps({"INTERNAL_API_KEY": "the-very-key", "prego_metrics": section}))
	said = problems(loaded(bench_folder))
	assert "INTERNAL_API_KEY in " in said
	assert "the-very-key" not in said


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
	],
)
def test_a_password_in_a_refused_url_is_not_shown(url: str) -> None:
	said = problems(judged({**GOOD, "control_plane_url": url}))
	assert "control_plane_url = " in said
	assert "pa55" not in said


@pytest.mark.parametrize("value", ["http://hc.example/the-uuid", "https://hc.example:the-uuid", ["the-uuid"]])
def test_a_refused_heartbeat_url_is_not_shown(value: object) -> None:
	said = problems(judged({**GOOD, "heartbeat_url": value}))
	assert "heartbeat_url (" in said
	assert "the-uuid" not in said
	assert "the-uuid" not in repr(judged({**GOOD, "heartbeat_url": "https://hc.example/the-uuid"}))


def test_two_heartbeats_are_one_too_many() -> None:
	both = {**GOOD, "heartbeat_url": "https://hc.example/x", "heartbeat_url_file": "/etc/hc"}
	assert "heartbeat_url and heartbeat_url_file are both set" in problems(judged(both))


@pytest.mark.parametrize(("interval", "warned"), [(59, True), (60, False), (300, False), (301, True)])
def test_an_interval_outside_the_runbooks_range_is_a_warning(interval: float, warned: bool) -> None:
	config = judged({**GOOD, "push_interval": interval})
	assert config.problems == ()
	assert [("outside the runbook's 60 to 300 seconds" in text) for text in config.warnings] == [
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
	assert problem.text.isprintable()
	assert problem.text.startswith(f"{name} = ")
	assert len(problem.text) < 400


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
			assert all(problem.text.isprintable() for problem in config.problems)


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
	assert "push_interval = " in problems(config)
	assert "(PREGO_METRICS_PUSH_INTERVAL) must be a number" in problems(config)


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
	assert f"(PREGO_METRICS_{name.upper()}) must be " in problems(config)


def test_texts_in_the_environment_stand_as_they_are() -> None:
	config = judged(GOOD, {"PREGO_METRICS_NODE_ID": '"sg-1"'})
	assert config.node_id == '"sg-1"'


def test_variables_of_others_are_none_of_ours() -> None:
	assert judged(GOOD, {"PREGO": "x", "prego_metrics_node_id": "x", "NODE_ID": "x"}).problems == ()


# The hardened mode


def test_in_the_hardened_mode_what_the_key_could_follow_comes_from_the_environment_alone() -> None:
	section = {
		**GOOD,
		"api_key_file": "/etc/key",
		"heartbeat_url": "https://hc.example/x",
		"push_interval": 120,
		"exclude_sites": ["pool-*"],
	}
	config = judged(section, {"PREGO_METRICS_HARDENED": "1"})
	assert config.hardened
	assert (config.node_id, config.control_plane_url) == ("", "")
	assert (config.api_key_file, config.heartbeat_url, config.heartbeat_url_file) == (None, None, None)
	assert (config.push_interval, config.exclude_sites) == (120, ("pool-*",))
	said = problems(config)
	assert "node_id is not set: in the hardened mode it comes from PREGO_METRICS_NODE_ID alone" in said
	assert "configure" not in said
	assert {text.split()[0] for text in config.warnings} == {
		"node_id",
		"control_plane_url",
		"api_key_file",
		"heartbeat_url",
	}
	assert "hc.example" not in "".join(config.warnings)

	environ = {
		"PREGO_METRICS_HARDENED": "1",
		"PREGO_METRICS_NODE_ID": "sg-2",
		"PREGO_METRICS_CONTROL_PLANE_URL": "https://unit.example",
	}
	config = judged(section, environ)
	assert config.problems == ()
	assert (config.node_id, config.control_plane_url) == ("sg-2", "https://unit.example")


@pytest.mark.parametrize("text", ["", "0"])
def test_the_hardened_mode_can_be_off(text: str) -> None:
	config = judged(GOOD, {"PREGO_METRICS_HARDENED": text})
	assert (config.hardened, config.problems) == (False, ())


@pytest.mark.parametrize("text", ["yes", "true", "on", " 1", "1 ", "2", "\x1b"])
def test_a_hardened_mode_that_is_neither_on_nor_off_is_an_error(text: str) -> None:
	said = problems(judged(GOOD, {"PREGO_METRICS_HARDENED": text}))
	assert said.startswith("PREGO_METRICS_HARDENED=")
	assert said.isprintable()


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
	assert problem.text == f"{path} cannot be read: it is a link that leads nowhere"


@pytest.mark.parametrize(
	("make", "said"),
	[
		(lambda path: path.write_text(""), "is not valid JSON: Expecting value"),
		(lambda path: path.write_text('{"prego_metrics": {'), "is not valid JSON"),
		(lambda path: path.write_bytes(b'{"a": "\xff"}'), "is not valid JSON"),
		(lambda path: path.write_bytes(b"\xef\xbb\xbf{}"), "is not valid JSON"),
		(lambda path: path.write_text("[" * 100_000), "is not valid JSON: nested too deeply"),
		(lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"), ""),
		(lambda path: path.write_text("[]"), "must hold a JSON object"),
		(lambda path: path.write_text("null"), "must hold a JSON object"),
		(lambda path: path.write_text('"text"'), "must hold a JSON object"),
		(lambda path: path.write_bytes(b"{}" + b" " * (1 << 20)), "it is larger than 1048576 bytes"),
		(lambda path: path.mkdir(), "it is not a regular file"),
		(lambda path: os.mkfifo(path), "it is not a regular file"),
		(lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
		(lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
	],
)
def test_a_file_that_cannot_be_understood_is_one_problem_that_names_it(
	bench_folder: Path, make: Callable[[Path], object], said: str
) -> None:
	path = bench_folder / "sites" / "common_site_config.json"
	path.unlink()
	make(path)
	config = load_config(open_bench(str(bench_folder)), {}, sleep=lambda seconds: None)
	whole = [problem.text for problem in config.problems if not problem.key]
	if said:
		assert len(whole) == 1
		assert whole[0].startswith(str(path))
		assert said in whole[0]
		with pytest.raises(ConfigurationError, match="common_site_config"):
			config.require(CENSUS_KEYS)


def test_a_file_that_cannot_be_understood_is_said_instead_of_what_would_then_be_missing(
	bench_folder: Path,
) -> None:
	write_common(bench_folder, "{")
	with pytest.raises(ConfigurationError) as raised:
		load_config(open_bench(str(bench_folder)), {}, sleep=lambda seconds: None).require(ALL_KEYS)
	assert "is not set" not in str(raised.value)


@pytest.mark.parametrize("section", [None, [], "x", 1, True])
def test_a_section_that_is_no_object_is_an_error(bench_folder: Path, section: object) -> None:
	path = write_common(bench_folder, json.dumps({"prego_metrics": section}))
	assert f"prego_metrics in {path} must be a JSON object" in problems(loaded(bench_folder))


def test_a_half_written_file_is_read_again_for_a_moment(bench_folder: Path, settings: Write) -> None:
	path = settings(bench_folder, **GOOD)
	whole = path.read_text()
	slept: list[float] = []

	def finish_writing(seconds: float) -> None:
		slept.append(seconds)
		path.write_text(whole[: len(whole) // 2] if len(slept) < 3 else whole)

	path.write_text("")
	config = load_config(open_bench(str(bench_folder)), {}, sleep=finish_writing)
	assert config.problems == ()
	assert len(slept) == 3
	assert sum(slept) < 0.5


def test_a_file_that_may_not_be_read_is_an_error(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Callable[..., object]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example")
	path = bench_folder / "sites" / "common_site_config.json"
	path.chmod(0o600)

	def whole() -> list[str]:
		return [problem.text for problem in loaded(bench_folder).problems if not problem.key]

	assert as_user(65534, whole) == [f"{path} cannot be read: Permission denied"]


def test_reading_the_file_leaves_no_descriptor_open(bench_folder: Path) -> None:
	path = bench_folder / "sites" / "common_site_config.json"
	path.unlink()
	path.mkdir()
	bench = open_bench(str(bench_folder))
	before = len(os.listdir("/proc/self/fd"))
	for _ in range(3):
		with pytest.raises(ValueError, match="not a regular file"):
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
	assert all(problem.text and problem.text.isprintable() for problem in config.problems)
	assert all(warning.isprintable() for warning in config.warnings)
	hardened = environ.get("PREGO_METRICS_HARDENED") == "1"
	named = {problem.key for problem in config.problems}
	for name, value in section.items():
		if name not in SETTING_BY_NAME:
			assert "" in named
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
		config.require(ALL_KEYS)


@given(strategies.json_sections)
def test_a_section_means_the_same_from_a_file_as_from_memory(section: dict[str, object]) -> None:
	with tempfile.TemporaryDirectory() as folder:
		Path(folder, "sites").mkdir()
		path = Path(folder, "sites", "common_site_config.json")
		path.write_text(json.dumps({"prego_metrics": section}))
		bench = open_bench(folder)
		read = load_config(bench, {}, sleep=lambda seconds: None)
		direct = judge_config(bench, json.loads(json.dumps({"prego_metrics": section})), {})
		assert repr(read) == repr(direct)
