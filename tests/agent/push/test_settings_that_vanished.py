"""Settings that are away, written twice or never expanded: nothing is sent with defaults in their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.bench.common_site_config import find_common_config, read_common_config
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.api_key import checked_key
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.push import dry_run, push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.state.outcomes import DRY_RUN, FAILED, NOT_SENT
from prego_metrics.agent.state.store import StateFolder

ENVIRONMENT = {
	"PREGO_METRICS_HARDENED": "1",
	"PREGO_METRICS_NODE_ID": "sg-1",
	"PREGO_METRICS_CONTROL_PLANE_URL": "http://127.0.0.1:9",
	"INTERNAL_API_KEY": "a-key-of-these-tests",
}
REQUEST = Request(trigger="timer", if_due=False, max_attempts=1)


@pytest.fixture
def common(bench_folder: Path) -> Path:
	(bench_folder / "sites" / "apps.txt").write_text("frappe\n")
	path = bench_folder / "sites" / "common_site_config.json"
	path.write_text('{"prego_metrics": {"exclude_sites": ["acme.example"]}}')
	return path


def test_nothing_is_sent_where_the_file_is_gone_that_the_last_push_read(
	bench_folder: Path, common: Path
) -> None:
	bench = open_bench(str(bench_folder))
	assert push(bench, REQUEST, ENVIRONMENT).outcome == FAILED
	assert StateFolder(bench.sites).read()[0].settings_file_seen
	away = common.rename(common.with_suffix(".away"))
	for _ in range(2):
		result = push(bench, REQUEST, ENVIRONMENT)
		assert result.outcome == NOT_SENT
		assert result.error is not None and result.error.code == "settings_vanished"
	assert dry_run(bench, ENVIRONMENT).outcome == NOT_SENT
	away.rename(common)
	assert push(bench, REQUEST, ENVIRONMENT).outcome == FAILED
	assert dry_run(bench, ENVIRONMENT).outcome == DRY_RUN


def test_a_node_without_the_file_from_the_beginning_pushes(bench_folder: Path, common: Path) -> None:
	common.unlink()
	bench = open_bench(str(bench_folder))
	for _ in range(2):
		assert push(bench, REQUEST, ENVIRONMENT).outcome == FAILED
	assert not StateFolder(bench.sites).read()[0].settings_file_seen


def test_a_file_that_is_away_for_a_moment_is_read_again(bench_folder: Path, common: Path) -> None:
	away = common.rename(common.with_suffix(".away"))
	looks: list[float] = []

	def sleep(seconds: float) -> None:
		looks.append(seconds)
		if len(looks) == 3:
			away.rename(common)

	config = load_config(open_bench(str(bench_folder)), {}, sleep=sleep)
	assert config.exclude_sites == ("acme.example",)
	assert not config.file_absent


def test_an_absent_file_is_known_from_an_empty_one(bench_folder: Path, common: Path) -> None:
	bench = open_bench(str(bench_folder))
	common.write_text("{}")
	assert find_common_config(bench) == {}
	common.unlink()
	assert find_common_config(bench, lambda seconds: None) is None
	assert load_config(bench, {}, sleep=lambda seconds: None).file_absent


@pytest.mark.parametrize(
	"written",
	[
		'{"prego_metrics": {"exclude_sites": ["a"]}, "prego_metrics": {}}',
		'{"prego_metrics": {"exclude_sites": ["a"], "exclude_sites": []}}',
	],
)
def test_a_block_or_setting_that_is_written_twice_is_an_error(
	bench_folder: Path, common: Path, written: str
) -> None:
	common.write_text(written)
	bench = open_bench(str(bench_folder))
	with pytest.raises(ConfigurationError) as raised:
		read_common_config(bench, lambda seconds: None)
	assert raised.value.message.params["problem"].code == "name_repeated"
	assert push(bench, REQUEST, ENVIRONMENT).outcome == NOT_SENT


def test_what_others_write_twice_is_theirs(bench_folder: Path, common: Path) -> None:
	common.write_text('{"a": 1, "a": 2, "b": {"site": 1, "site": 2}, "prego_metrics": {"site": "x.example"}}')
	assert read_common_config(open_bench(str(bench_folder)))["a"] == 2


@pytest.mark.parametrize(
	("name", "value"),
	[
		("node_id", "${NODE_ID}"),
		("node_id", "sg-${NUMBER:-1}"),
		("site", "${SITE}"),
		("exclude_sites", ["ops.example", "${POOL}"]),
		("disk_paths", ["/${VOLUME}"]),
	],
)
def test_a_value_that_was_never_expanded_is_an_error(
	bench_folder: Path, common: Path, name: str, value: object
) -> None:
	common.write_text(json.dumps({"prego_metrics": {name: value}}))
	bench = open_bench(str(bench_folder))
	text = json.dumps(value) if isinstance(value, list) else str(value)
	common_problems = load_config(bench, {}).problems
	common.write_text("{}")
	for problems in (common_problems, load_config(bench, {f"PREGO_METRICS_{name.upper()}": text}).problems):
		assert next(p.message.code for p in problems if p.key == name) == "setting_unexpanded"


def test_a_dollar_sign_alone_is_a_character(bench_folder: Path, common: Path) -> None:
	common.write_text('{"prego_metrics": {"node_id": "sg$1{x}"}}')
	assert load_config(open_bench(str(bench_folder)), {}).node_id == "sg$1{x}"


def test_a_key_that_was_never_expanded_is_refused() -> None:
	with pytest.raises(ConfigurationError) as raised:
		checked_key("${INTERNAL_API_KEY}", "INTERNAL_API_KEY")
	assert raised.value.message.params["problem"].code == "key_unexpanded"
