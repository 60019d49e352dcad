"""What is refused is not written; what others write at the same time is kept."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import strategies
from codes import codes_in
from configuring import GOOD, Write, common_file, configured, refusal
from hypothesis import given
from hypothesis import strategies as st

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import code_of
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.config.writer import json_values, missing_settings, write_settings

# What is refused


@pytest.mark.parametrize(
	("changes", "expected"),
	[
		({"node_id": ""}, ["setting_invalid node_id"]),
		({"node_id": None}, ["setting_invalid node_id"]),
		({"control_plane_url": "http://cp.example"}, ["setting_invalid control_plane_url"]),
		({"push_interval": "soon"}, ["setting_invalid push_interval"]),
		({"push_interval": 1, "timeout": 0}, ["setting_invalid push_interval", "setting_invalid timeout"]),
		({"node_id": "sg-2", "timeout": 0}, ["setting_invalid timeout"]),
		({"allow_empty": "yes"}, ["setting_invalid allow_empty"]),
		({"benches": []}, ["setting_invalid benches"]),
		({"nod_id": "sg-1"}, ["setting_unknown "]),
		({"api_key": "the-very-key"}, ["key_misplaced "]),
		({"INTERNAL_API_KEY": "the-very-key"}, ["key_misplaced "]),
		(
			{"heartbeat_url": "https://hc.example/x", "heartbeat_url_file": "/etc/hc"},
			["settings_conflict heartbeat_url"],
		),
	],
)
def test_a_wrong_value_is_refused_and_nothing_is_written(
	bench_folder: Path, settings: Write, changes: dict[str, Any], expected: list[str]
) -> None:
	settings(bench_folder, **GOOD)
	error = refusal(bench_folder, **changes)
	assert [f"{code_of(problem.message)} {problem.key}" for problem in error.problems] == expected
	assert "the-very-key" not in str(error)


def test_every_wrong_value_is_named_in_one_go(bench_folder: Path) -> None:
	error = refusal(bench_folder, node_id="", control_plane_url="x", timeout=0, nodeid="x")
	assert len(str(error).splitlines()) == len(error.problems) == 4


@pytest.mark.parametrize(
	("written", "added"),
	[
		({"heartbeat_url": "https://hc.example/x"}, {"heartbeat_url_file": "/etc/hc"}),
		({"heartbeat_url_file": "/etc/hc"}, {"heartbeat_url": "https://hc.example/x"}),
	],
)
def test_a_change_that_only_together_with_what_is_written_is_wrong_is_refused(
	bench_folder: Path, settings: Write, written: dict[str, str], added: dict[str, str]
) -> None:
	settings(bench_folder, **GOOD, **written)
	assert refusal(bench_folder, **added).code == "settings_conflict"
	assert configured(bench_folder, tuple(written), **added).problems == ()


@pytest.mark.parametrize(
	("content", "expected"),
	[
		("", ["settings_unreadable", "file_not_json"]),
		('{"prego_metrics": {', ["settings_unreadable", "file_not_json"]),
		("[]", ["settings_unreadable", "file_no_object"]),
		('{"prego_metrics": []}', ["settings_unreadable", "section_no_object"]),
		('{"INTERNAL_API_KEY": "the-very-key"}', ["key_misplaced"]),
	],
)
def test_a_file_that_cannot_be_understood_is_not_written_over(
	bench_folder: Path, content: str, expected: list[str]
) -> None:
	common_file(bench_folder).write_text(content)
	assert codes_in(refusal(bench_folder, **GOOD).message) == expected


def test_no_depth_of_nesting_is_more_than_an_error(bench_folder: Path) -> None:
	path = common_file(bench_folder)
	for depth in (100, 480, 900, 930, 940, 945, 950, 960):
		path.write_text('{"deep": ' + "[" * depth + "]" * depth + "}")
		before = path.read_bytes()
		try:
			configured(bench_folder, **GOOD)
		except ConfigurationError as error:
			assert error.code in ("settings_unreadable", "settings_not_written")
			assert path.read_bytes() == before
			assert not [name for name in os.listdir(path.parent) if name.startswith(".common")]


def test_a_folder_that_may_not_be_written_is_an_error(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example")
	path = common_file(bench_folder)
	assert (
		as_user(65534, lambda: str(refusal(bench_folder, **GOOD)))
		== f"{path} cannot be written: Permission denied"
	)


def test_a_full_disk_leaves_the_file_as_it_was(bench_folder: Path, as_user: Callable[..., Any]) -> None:
	import resource

	def full() -> str:
		import signal

		signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
		resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
		return str(refusal(bench_folder, **GOOD))

	assert as_user(0, full).endswith("common_site_config.json cannot be written: File too large")


# Others write too


class Meanwhile(Mapping[str, Any]):
	"""Changes that, whenever they are looked at, first let somebody else do something to the file.

	They are looked at after the file was read and before it is written.
	"""

	def __init__(self, changes: Mapping[str, Any], act: Callable[[int], object]) -> None:
		self._changes, self._act, self._looks = changes, act, 0

	def __iter__(self) -> Iterator[str]:
		self._act(self._looks)
		self._looks += 1
		return iter(self._changes)

	def __getitem__(self, name: str) -> Any:
		return self._changes[name]

	def __len__(self) -> int:
		return len(self._changes)


def test_a_change_by_another_program_in_the_meantime_is_not_overwritten(
	bench_folder: Path,
) -> None:
	path = common_file(bench_folder)

	def add_a_key(number: int) -> None:
		if number < 3:
			path.write_text(json.dumps({**json.loads(path.read_text()), f"other_{number}": number}))

	write_settings(open_bench(str(bench_folder)), Meanwhile(GOOD, add_a_key), (), {})
	assert json.loads(path.read_text()) == {
		"webserver_port": 8000,
		"other_0": 0,
		"other_1": 1,
		"other_2": 2,
		"prego_metrics": GOOD,
	}


def test_a_file_that_never_stops_changing_is_an_error(
	bench_folder: Path,
) -> None:
	path = common_file(bench_folder)
	changes = Meanwhile(GOOD, lambda number: path.write_text(json.dumps({"changed": "x" * number})))
	with pytest.raises(ConfigurationError, match="another program is changing it"):
		write_settings(open_bench(str(bench_folder)), changes, (), {})
	assert "prego_metrics" not in json.loads(path.read_text())
	assert sorted(os.listdir(path.parent))[0] == "acme.example"


def test_a_reader_never_sees_a_half_written_file(bench_folder: Path) -> None:
	path = common_file(bench_folder)
	path.write_text(json.dumps({"padding": "x" * 200_000}))
	stop, seen = threading.Event(), []

	def read() -> None:
		while not stop.is_set():
			seen.append(json.loads(path.read_text()).get("prego_metrics", GOOD)["node_id"])

	reader = threading.Thread(target=read)
	reader.start()
	try:
		for number in range(20):
			configured(bench_folder, **{**GOOD, "node_id": f"sg-{number}"})
	finally:
		stop.set()
		reader.join()
	assert len(seen) > 1
	assert all(node_id.startswith("sg-") for node_id in seen)


# What the command line gives


def test_texts_from_the_command_line_become_what_the_file_holds() -> None:
	given_texts = {
		"node_id": "007",
		"push_interval": "60",
		"timeout": "2.5",
		"allow_empty": "true",
		"scheduler_pushes": "0",
		"exclude_sites": ("pool-*", "[x]"),
		"alert_after": "many",
		"spread": "-1",
	}
	assert json_values(given_texts) == {
		"node_id": "007",
		"push_interval": 60,
		"timeout": 2.5,
		"allow_empty": True,
		"scheduler_pushes": 0,
		"exclude_sites": ["pool-*", "[x]"],
		"alert_after": "many",
		"spread": "-1",
	}


def test_what_is_required_and_not_set_is_known(bench_folder: Path, settings: Write) -> None:
	bench = open_bench(str(bench_folder))
	assert [setting.name for setting in missing_settings(load_config(bench, {}))] == [
		"node_id",
		"control_plane_url",
	]
	settings(bench_folder, node_id="sg-1")
	assert [setting.name for setting in missing_settings(load_config(bench, {}))] == ["control_plane_url"]


# Laws


@given(
	st.dictionaries(strategies.hostile_texts, strategies.json_values, max_size=4).filter(
		lambda common: not {"prego_metrics", "INTERNAL_API_KEY", "internal_api_key"} & common.keys()
	)
)
def test_whatever_else_a_file_holds_is_the_same_after_a_change(common: dict[str, object]) -> None:
	import tempfile

	with tempfile.TemporaryDirectory() as folder:
		Path(folder, "sites").mkdir()
		path = Path(folder, "sites", "common_site_config.json")
		path.write_text(json.dumps({**common, "prego_metrics": {"timeout": 5}}))
		before = json.loads(path.read_text())
		configured(Path(folder), node_id="sg-1")
		configured(Path(folder), ("node_id",))
		assert repr(json.loads(path.read_text())) == repr(before)
