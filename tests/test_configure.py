"""Settings are written whole or not at all, and everything else in the file stays as it was."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from prego_metrics.agent.bench import open_bench
from prego_metrics.agent.config import Config, load_config
from prego_metrics.agent.configure import as_written, configure, missing
from prego_metrics.agent.errors import ConfigurationError

Write = Callable[..., Path]
GOOD = {"node_id": "sg-1", "control_plane_url": "https://cp.example"}


def common_file(bench_folder: Path) -> Path:
	return bench_folder / "sites" / "common_site_config.json"


def configured(
	bench_folder: Path, unset: tuple[str, ...] = (), environ: dict[str, str] | None = None, **changes: Any
) -> Config:
	return configure(open_bench(str(bench_folder)), changes, unset, environ or {})


def refusal(bench_folder: Path, unset: tuple[str, ...] = (), **changes: Any) -> str:
	"""Return the words of a refusal, which must have written nothing."""
	path = common_file(bench_folder)
	before, names = path.read_bytes(), sorted(os.listdir(path.parent))
	stamp = path.stat()
	with pytest.raises(ConfigurationError) as raised:
		configured(bench_folder, unset, **changes)
	after = path.stat()
	assert path.read_bytes() == before
	assert (after.st_ino, after.st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)
	assert sorted(os.listdir(path.parent)) == names
	return str(raised.value)


# What is written


def test_settings_are_written_and_hold_from_then_on(bench_folder: Path) -> None:
	config = configured(bench_folder, **GOOD, push_interval=120, exclude_sites=["pool-*"])
	assert (config.node_id, config.push_interval, config.exclude_sites) == ("sg-1", 120, ("pool-*",))
	assert load_config(open_bench(str(bench_folder)), {}) == config
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
	assert "no setting" in refusal(bench_folder, timeout=5)
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


# What is refused


@pytest.mark.parametrize(
	("changes", "said"),
	[
		({"node_id": ""}, 'node_id = "" ('),
		({"node_id": None}, "node_id = null ("),
		({"control_plane_url": "http://cp.example"}, "must begin with https://"),
		({"push_interval": "soon"}, "must be a number of seconds"),
		({"push_interval": 1, "timeout": 0}, "timeout = 0"),
		({"node_id": "sg-2", "timeout": 0}, "timeout = 0"),
		({"allow_empty": "yes"}, "must be true or false"),
		({"benches": []}, "at least one entry"),
		({"nod_id": "sg-1"}, "did you mean node_id?"),
		({"api_key": "the-very-key"}, "is refused: the key does not belong there"),
		({"INTERNAL_API_KEY": "the-very-key"}, "is refused: the key does not belong there"),
		({"heartbeat_url": "https://hc.example/x", "heartbeat_url_file": "/etc/hc"}, "are both set"),
	],
)
def test_a_wrong_value_is_refused_and_nothing_is_written(
	bench_folder: Path, settings: Write, changes: dict[str, Any], said: str
) -> None:
	settings(bench_folder, **GOOD)
	text = refusal(bench_folder, **changes)
	assert said in text
	assert "the-very-key" not in text


def test_every_wrong_value_is_named_in_one_go(bench_folder: Path) -> None:
	text = refusal(bench_folder, node_id="", control_plane_url="x", timeout=0, nod="x")
	assert len(text.splitlines()) == 4


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
	assert "are both set" in refusal(bench_folder, **added)
	assert configured(bench_folder, tuple(written), **added).problems == ()


@pytest.mark.parametrize(
	("content", "said"),
	[
		("", "is not valid JSON"),
		('{"prego_metrics": {', "is not valid JSON"),
		("[]", "must hold a JSON object"),
		('{"prego_metrics": []}', "prego_metrics in "),
		('{"INTERNAL_API_KEY": "the-very-key"}', "is refused"),
	],
)
def test_a_file_that_cannot_be_understood_is_not_written_over(
	bench_folder: Path, content: str, said: str
) -> None:
	common_file(bench_folder).write_text(content)
	assert said in refusal(bench_folder, **GOOD)


def test_no_depth_of_nesting_is_more_than_an_error(bench_folder: Path) -> None:
	path = common_file(bench_folder)
	for depth in (100, 480, 900, 930, 940, 945, 950, 960):
		path.write_text('{"deep": ' + "[" * depth + "]" * depth + "}")
		before = path.read_bytes()
		try:
			configured(bench_folder, **GOOD)
		except ConfigurationError as error:
			assert "nested too deeply" in str(error)
			assert path.read_bytes() == before
			assert not [name for name in os.listdir(path.parent) if name.startswith(".common")]


def test_a_folder_that_may_not_be_written_is_an_error(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Callable[..., Any]
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example")
	path = common_file(bench_folder)
	assert (
		as_user(65534, lambda: refusal(bench_folder, **GOOD))
		== f"{path} cannot be written: Permission denied"
	)


def test_a_full_disk_leaves_the_file_as_it_was(bench_folder: Path, as_user: Callable[..., Any]) -> None:
	import resource

	def full() -> str:
		import signal

		signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
		resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
		return refusal(bench_folder, **GOOD)

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

	configure(open_bench(str(bench_folder)), Meanwhile(GOOD, add_a_key), (), {})
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
	with pytest.raises(ConfigurationError, match="is being changed by another program: try again"):
		configure(open_bench(str(bench_folder)), changes, (), {})
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
	assert as_written(given_texts) == {
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
	assert [setting.name for setting in missing(load_config(bench, {}))] == ["node_id", "control_plane_url"]
	settings(bench_folder, node_id="sg-1")
	assert [setting.name for setting in missing(load_config(bench, {}))] == ["control_plane_url"]


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
