"""What the node says of itself is Korean where the Desk is: problems, errors, warnings, the doctor's checks.

Each is made to happen, and shown as the Desk shows it. Names, commands, and the words of servers and of the
operating system stay as they came.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from korean_sentences import in_korean, still_english
from pushing import ENVIRON, aim, folder_of, push_now, scheduled, state_of

from prego_metrics.agent.alerts.outbox import record_silence
from prego_metrics.agent.alerts.rendering import description
from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.messages import message_of, plain
from prego_metrics.agent.bench.locate import open_bench, open_benches
from prego_metrics.agent.collectors import instance
from prego_metrics.agent.collectors.host import sample_host
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.config.settings import SETTING_BY_NAME
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result, summary
from prego_metrics.agent.state.model import OUTCOMES, State
from prego_metrics.agent.state.outcomes import BUSY, DELIVERED, NOT_DUE
from prego_metrics.agent.state.status import judge_status
from prego_metrics.doctor.runner import examine

Write = Callable[..., Path]
SYSTEMS_WORDS = tuple(os.strerror(code) for code in errno.errorcode)
GOOD = {"node_id": "node-1", "control_plane_url": "https://control-plane.example"}

BAD_SETTINGS: dict[str, dict[str, object]] = {
	"a wrong type": {"node_id": 5},
	"no node": {"node_id": " "},
	"a control character": {"node_id": "a\nb"},
	"no URL": {"control_plane_url": "ftp://x"},
	"a URL with a space": {"control_plane_url": "https://a b"},
	"a URL with a port that is none": {"control_plane_url": "https://a:b"},
	"a URL with a password": {"control_plane_url": "https://me:secret@a"},
	"a URL of no host": {"control_plane_url": "https://a_.-b/"},
	"a URL in clear": {"control_plane_url": "http://a.example"},
	"a URL with a query": {"control_plane_url": "https://a.example/?x"},
	"the whole route": {"control_plane_url": "https://a.example/internal/server-metrics"},
	"dots in the path": {"control_plane_url": "https://a.example/../x"},
	"no instance": {"instance_id": "a b"},
	"an interval too short": {"push_interval": 1},
	"snapshots too close": {"snapshot_interval": 1},
	"no count": {"alert_after": "x"},
	"no percentage": {"disk_alert_pct": 200},
	"no boolean": {"allow_empty": "yes"},
	"no list": {"exclude_sites": "x"},
	"an empty list": {"disk_paths": []},
	"a relative path": {"disk_paths": ["x"]},
	"an empty entry": {"exclude_sites": [""]},
	"two levels": {"benches": ["/a/**"]},
	"no source of memory": {"memory_source": "container"},
	"no site": {"site": "a/b"},
	"no path": {"api_key_file": "x"},
	"two heartbeats": {"heartbeat_url": "https://a.example", "heartbeat_url_file": "/a"},
	"a slip": {"push_intervall": 60},
	"something unknown": {"exclude_site": 1},
	"the key itself": {"api_key": "never-write-it-here"},
}


def assert_korean(sentence: str, *as_they_came: str) -> None:
	assert still_english(sentence, *SYSTEMS_WORDS, *as_they_came) == []
	assert any("가" <= letter <= "힣" for letter in in_korean(sentence)), sentence


def spoken(call: Callable[[], object]) -> str:
	with pytest.raises(NotSent) as raised:
		call()
	return message_of(raised.value)


# --- the settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_every_kind_of_bad_setting_is_said_in_korean(
	bench_folder: Path, settings: Write, bad: dict[str, object]
) -> None:
	settings(bench_folder, **{**GOOD, **bad})
	config = load_config(open_bench(str(bench_folder)), {})
	assert config.problems
	for problem in config.problems:
		assert_korean(problem.message)
	assert_korean(spoken(lambda: config.require(SETTING_BY_NAME)))


def test_what_is_missing_empty_or_unusual_is_said_in_korean(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, node_id=" x", push_interval=900)
	bench = open_bench(str(bench_folder))
	for environ in (
		{},
		{"PREGO_METRICS_TIMEOUT": ""},
		{"PREGO_METRICS_HARDENED": "1"},
		{"PREGO_METRICS_HARDENED": "maybe", "PREGO_METRICS_NODE": "x"},
	):
		config = load_config(bench, environ)
		assert config.problems and config.warnings
		for sentence in (*(problem.message for problem in config.problems), *config.warnings):
			assert_korean(sentence)


@pytest.mark.parametrize(
	"content", ["{", "[]", '{"prego_metrics": 3}', '{"internal_api_key": 1}', "[" * 100_000, "x" * 2_000_000]
)
def test_a_common_configuration_that_is_none_is_said_in_korean(bench_folder: Path, content: str) -> None:
	(bench_folder / "sites" / "common_site_config.json").write_text(content)
	config = load_config(open_bench(str(bench_folder)), {}, sleep=lambda _: None)
	for problem in config.problems:
		# What the JSON library says of a file is its own words.
		assert_korean(
			problem.message, "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
		)


def test_each_way_to_have_no_key_is_said_in_korean(
	bench_folder: Path, settings: Write, tmp_path: Path
) -> None:
	place = tmp_path / "key"
	settings(bench_folder, **GOOD, api_key_file=str(place))
	config = load_config(open_bench(str(bench_folder)), {})
	assert_korean(spoken(lambda: load_api_key(None, {})))
	assert_korean(
		spoken(lambda: load_api_key(config.api_key_file, {"INTERNAL_API_KEY": "a b"}, config.problems))
	)
	assert_korean(spoken(lambda: load_api_key(config.api_key_file, {}, config.problems)))
	for content, mode in (("k", 0o644), ("", 0o600), ("k" * 5000, 0o600)):
		place.write_text(content)
		place.chmod(mode)
		assert_korean(spoken(lambda: load_api_key(config.api_key_file, {}, config.problems)))
	inside = bench_folder / "sites" / "key"
	inside.write_text("k")
	inside.chmod(0o600)
	assert_korean(spoken(lambda: load_api_key(str(inside), {})))
	assert_korean(spoken(lambda: load_api_key(str(tmp_path), {})))


# --- the bench and the host -------------------------------------------------------------------------


def test_each_bench_that_is_none_is_said_in_korean(
	tmp_path: Path, bench_folder: Path, settings: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
	assert_korean(spoken(lambda: open_bench(str(tmp_path / "nothing"))))
	assert_korean(spoken(lambda: open_bench("/a\0b")))
	assert_korean(spoken(lambda: open_benches([f"{tmp_path}/none-*"])))
	assert_korean(spoken(lambda: open_benches(["/proc/self/mem*/x"])))
	settings(bench_folder, **GOOD, instance_id="i-1")
	monkeypatch.setattr(instance, "instance_on_disk", lambda: "i-2")
	config = load_config(open_bench(str(bench_folder)), {})
	assert_korean(spoken(lambda: instance.check_instance(config)))


def test_what_the_host_hides_is_said_in_korean(tmp_path: Path) -> None:
	for path in (str(tmp_path / "gone"), "/a\0b", "/proc"):
		warnings = sample_host(None, [path], read_cpu=lambda: None).warnings
		assert len(warnings) == 2
		for warning in warnings:
			assert_korean(warning)


# --- pushes, from the error to the page -------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 401, 404, 408, 422, 429, 503])
def test_an_answer_is_korean_after_the_state_and_keeps_the_servers_words(
	bench_folder: Path, status: int
) -> None:
	words = "the server's own words"
	with HostileServer(answer(status, words.encode(), "Retry-After: 90")) as server:
		result = push_now(aim(bench_folder, server.url, alert_after=1))
	assert result.exit_code
	state = state_of(bench_folder)
	assert state.last and state.last.error == result.error and words in in_korean(state.last.error)
	(logged,) = folder_of(bench_folder).history()
	for sentence in (
		result.error,
		state.last.error,
		logged.error,
		summary(result),
		description(state.events[0]),
		judge_status(state, load_config(open_bench(str(bench_folder)), {}), time.time()).sentence,
	):
		assert sentence
		assert_korean(sentence, words)


def test_no_answer_is_korean_after_the_state(bench_folder: Path) -> None:
	with HostileServer(lambda exchange: exchange.wait()) as server:
		silent = push_now(aim(bench_folder, server.url), Request(max_attempts=1))
		url = server.url
	gone = push_now(aim(bench_folder, url), Request(max_attempts=1))
	nowhere = push_now(aim(bench_folder, "https://nowhere.invalid"), Request(max_attempts=1))
	for result, pushed in zip((silent, gone, nowhere), folder_of(bench_folder).history(), strict=True):
		assert result.error and result.error == pushed.error
		resolvers = ("Name or service not known", "Temporary failure in name resolution")
		assert_korean(pushed.error, *resolvers, "No address associated with hostname")
		assert_korean(summary(result), *resolvers, "No address associated with hostname")


def test_what_was_not_sent_is_korean_after_the_state(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	aim(bench_folder, "http://127.0.0.1:9", node_id=5, timeout="x", alert_after=1)
	result = push_now(bench_folder)
	state = state_of(bench_folder)
	assert result.outcome == "not_sent" and state.last and state.last.error == result.error
	assert_korean(state.last.error)
	config = load_config(open_bench(str(bench_folder)), {})
	assert_korean(judge_status(state, config, time.time()).sentence)
	assert_korean(description(state.events[0]))

	# The English is cut where it is long, which must not cost the translation.
	aim(bench_folder, "x" * 500)
	push_now(bench_folder)
	sentence = judge_status(state_of(bench_folder), config, time.time()).sentence
	assert sentence.endswith("…")
	assert_korean(sentence)

	def refuse(*_: object) -> None:
		raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

	aim(bench_folder, "http://127.0.0.1:9")
	monkeypatch.setattr(fcntl, "flock", refuse)
	folder_of(bench_folder).write(State())
	assert_korean(push_now(bench_folder, scheduled()).error or "")


def test_a_summary_is_korean_however_a_push_ended() -> None:
	payload = {"node_id": "node-1", "tenant_count": 3, "cpu_pct": 1.5, "save_snapshot": True}
	for outcome in (*OUTCOMES, BUSY, NOT_DUE):
		result = Result(
			outcome, time.time(), payload if outcome == DELIVERED else None, error=plain("x"), attempts=3
		)
		assert_korean(summary(result))


def test_silence_is_told_in_korean(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, **GOOD)
	record_silence(folder_of(bench_folder), load_config(open_bench(str(bench_folder)), {}))
	assert_korean(description(state_of(bench_folder).events[0]))


def test_a_state_that_is_none_is_said_in_korean(bench_folder: Path) -> None:
	folder = folder_of(bench_folder)
	folder.write(State())
	for content in ("{", "[]", '{"version": 9}', '{"version": 1, "alerted": 3}', "x" * 2_000_000):
		(Path(folder.path) / "state.json").write_text(content)
		for set_aside in (False, True):
			for warning in folder.read(set_aside=set_aside)[1]:
				assert_korean(warning)


# --- the doctor -------------------------------------------------------------------------------------


def test_every_check_of_a_broken_node_is_korean(bench_folder: Path, settings: Write) -> None:
	settings(bench_folder, node_id=5, control_plane_url="http://a", disk_paths=["/nowhere"], zzz=1)
	(bench_folder / "sites" / "acme.example" / "site_config.json").write_text("{")
	seen = [*examine(open_bench(str(bench_folder)), {}, online=False)]
	assert {check.state for check in seen} >= {"fail", "skip", "pass"}
	for check in seen:
		for sentence in filter(None, (check.seen, check.action)):
			assert still_english(sentence, *SYSTEMS_WORDS) == [], check.name


def test_every_check_of_a_node_that_pushes_is_korean(bench_folder: Path) -> None:
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url, push_interval=60)
		assert push_now(bench_folder, scheduled()).outcome == DELIVERED
		checks = [*examine(open_bench(str(bench_folder)), ENVIRON)]
	for check in checks:
		for sentence in filter(None, (check.seen, check.action)):
			assert still_english(sentence, *SYSTEMS_WORDS) == [], check.name
