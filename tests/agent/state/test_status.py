"""`status`: is this node delivering, in the words and exit codes of a monitoring plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examining import with_frappe
from pushing import folder_of

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.state.model import Push, State
from prego_metrics.agent.state.status import Status, judge_status

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NOW = 1_800_000_000.0
# 'label'=value[UOM];[warn];[crit];[min];[max] of the monitoring-plugins guidelines.
PERFDATA = re.compile(r"[a-z_]+=(U|-?[0-9]+(\.[0-9]+)?(s|%|c)?)(;[-0-9.:~@]*){0,4}")
STATUS_KEYS = [
	"status",
	"sentence",
	"age_seconds",
	"max_age_seconds",
	"failures_in_a_row",
	"not_before",
	"tick_seconds",
	"maintenance",
	"last",
	"last_delivered",
]


@pytest.fixture
def config(bench_folder: Path, settings: Callable[..., Path]) -> Config:
	settings(bench_folder, node_id="node-1", control_plane_url="https://control-plane.example")
	return load_config(open_bench(str(bench_folder)), {})


@pytest.fixture
def bench(bench_folder: Path, config: Config) -> Path:
	return bench_folder


def pushed(at: float, outcome: str = "delivered", **values: Any) -> Push:
	fields: dict[str, Any] = {
		"id": "0123456789abcdef",
		"at": at,
		"trigger": "frappe",
		"outcome": outcome,
		"payload": {"node_id": "node-1", "tenant_count": 42, "source": "node_push"},
		"status_code": 200,
		"attempts": 1,
		"duration_ms": 12,
		"error": None,
	}
	return Push(**{**fields, **values})


def after(*pushes: Push) -> State:
	state = State()
	for push in pushes:
		state = state.recorded(push, 3)._replace(last_attempt_at=push.at)
	return state


def perfdata(status: Status) -> dict[str, str]:
	"""Split the plugin line as a monitoring system does: at the first bar, then at spaces."""
	assert "\n" not in status.plugin_line
	data = status.plugin_line.partition(" | ")[2].split(" ")
	assert all(PERFDATA.fullmatch(entry) for entry in data), data
	return dict(entry.split("=") for entry in data)


# --- the verdicts ------------------------------------------------------------------------------------


def test_a_push_just_delivered_is_fresh(config: Config) -> None:
	status = judge_status(after(pushed(NOW - 24)), config, NOW)
	assert (status.verdict, status.exit_code, status.age_seconds) == ("fresh", 0, 24)
	assert status.plugin_line == (
		"PREGO OK - delivered 24 s ago, every 60 s, 42 tenants | age=24s;;300;0 failures=0;;;0 tenants=42;;;0 "
		"cpu=U;;;0;100 memory=U;;;0;100 disk=U;;;0;100 duration=0.012s;;;0"
	)


def test_an_age_has_one_digit_after_the_point(config: Config) -> None:
	status = judge_status(after(pushed(NOW - 24.26)), config, NOW)
	assert status.as_dict()["age_seconds"] == 24.3


def test_a_push_is_shown_as_it_was_recorded(config: Config) -> None:
	error = coded("key_refused", answer=401)
	refused = pushed(NOW - 10, "refused", error=error, status_code=401, attempts=2)
	shown = judge_status(after(pushed(NOW - 70, payload=None), refused), config, NOW).as_dict()
	assert shown["last"] == {
		"id": "0123456789abcdef",
		"at": "2027-01-15T07:59:50Z",
		"driver": "frappe",
		"outcome": "refused",
		"payload": {"node_id": "node-1", "tenant_count": 42, "source": "node_push"},
		"status_code": 401,
		"attempts": 2,
		"duration_ms": 12,
		"error": str(error),
		"error_code": "key_refused",
	}
	delivered = shown["last_delivered"]
	assert (delivered["payload"], delivered["error"], delivered["error_code"]) == (None, None, None)


def test_a_fresh_row_after_a_failed_attempt_is_a_warning(config: Config) -> None:
	failed = pushed(NOW - 10, "failed", error="no connection: Connection refused", status_code=None)
	status = judge_status(after(pushed(NOW - 70), failed), config, NOW)
	assert (status.verdict, status.exit_code, status.failures_in_a_row) == ("failing", 1, 1)
	assert status.plugin_line.startswith("PREGO WARNING - delivered 70 s ago")
	assert (
		"the last push (2027-01-15T07:59:50Z, Frappe scheduler) was not delivered: no connection"
		in status.sentence
	)
	assert perfdata(status)["failures"] == "1;;;0"


@pytest.mark.parametrize("outcome", ["refused", "failed", "not_sent", "abandoned", "unproven"])
def test_an_attempt_with_any_other_outcome_was_not_delivered(config: Config, outcome: str) -> None:
	"""Another version may know more outcomes."""
	status = judge_status(after(pushed(NOW - 70), pushed(NOW - 10, outcome)), config, NOW)
	assert (status.verdict, status.exit_code) == ("failing", 1)


def test_a_node_that_waits_as_it_was_asked_to_does_not_fail_until_its_row_is_stale(config: Config) -> None:
	busy = pushed(NOW - 10, "failed", error="the control plane answers 503", status_code=503)
	state = after(pushed(NOW - 70), busy)._replace(not_before=NOW + 290)
	status = judge_status(state, config, NOW)
	assert (status.verdict, status.exit_code, status.not_before) == ("fresh", 0, NOW + 290)
	assert status.sentence.endswith("; the control plane asked to wait until 2027-01-15T08:04:50Z")
	assert status.as_dict()["not_before"] == "2027-01-15T08:04:50Z"
	stale = judge_status(state, config, NOW + 231)
	assert (stale.verdict, stale.exit_code) == ("stale", 2)
	over = judge_status(state, config, NOW + 291, max_age_seconds=3600)
	assert (over.verdict, over.not_before) == ("failing", None)


@pytest.fixture
def slow_frappe(bench_folder: Path, config: Config) -> None:
	"""A Frappe 16 with the app: its scheduler ticks every 240 s."""
	with_frappe(bench_folder, "16.4.0")
	(bench_folder / "apps/prego_metrics").mkdir()


@pytest.mark.usefixtures("slow_frappe")
def test_the_tick_of_frappes_scheduler_is_known_before_and_after_its_first_push(config: Config) -> None:
	status = judge_status(State(), config, NOW)
	assert status.tick_seconds == 240
	assert "Frappe's scheduler runs every 240 s" in status.sentence
	assert "every 4 min (Frappe" in judge_status(after(pushed(NOW - 24)), config, NOW).sentence
	assert "every 60 s, 42" in judge_status(after(pushed(NOW - 24, trigger="timer")), config, NOW).sentence


@pytest.mark.usefixtures("slow_frappe")
@pytest.mark.parametrize(
	("interval", "every"), [(60, "4 min"), (224, "4 min"), (225, "225 s"), (300, "5 min")]
)
def test_the_tick_is_said_where_it_is_longer_than_the_interval_and_its_slack(
	config: Config, interval: float, every: str
) -> None:
	config = config.replaced(push_interval=interval)
	sentence = judge_status(after(pushed(NOW - 24)), config, NOW).sentence
	assert sentence.params.get("tick", sentence.params.get("interval")) == every


@pytest.mark.usefixtures("slow_frappe")
def test_a_tick_that_does_not_push_is_not_awaited(config: Config) -> None:
	config = config.replaced(scheduler_pushes=False)
	assert judge_status(State(), config, NOW).tick_seconds is None


def test_an_old_row_is_critical_and_says_that_no_driver_pushed_since(config: Config) -> None:
	status = judge_status(after(pushed(NOW - 301)), config, NOW)
	assert (status.verdict, status.exit_code) == ("stale", 2)
	assert status.sentence == (
		"last delivered 5 min ago (limit: 5 min); no trigger has pushed since: run `prego-metrics doctor`"
	)


def test_where_the_state_cannot_be_written_nothing_is_claimed_of_later_pushes(
	bench: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
	folder, delivered = folder_of(bench), pushed(NOW - 301)
	folder.write(after(delivered))
	(Path(folder.path) / "write-test").mkdir()  # what a test of writing would make
	status = judge_status(after(delivered), config, NOW, folder=folder)
	assert (status.verdict, status.exit_code) == ("stale", 2)
	assert status.sentence.params["reason"].code == "state_not_writable"
	assert "no trigger" not in status.sentence
	assert judge_status(State(), config, NOW, folder=folder).sentence.params["reason"].code
	assert judge_status(after(pushed(NOW - 299)), config, NOW, folder=folder).verdict == "fresh"
	refused = after(delivered, pushed(NOW - 5, "refused", error="no"))
	assert "cannot be written" not in judge_status(refused, config, NOW, folder=folder).sentence
	# Another user cannot write the folder either, and that says nothing of the pushes.
	monkeypatch.setattr(os, "geteuid", lambda: os.stat(folder.path).st_uid + 1)
	assert "no trigger has pushed" in judge_status(after(delivered), config, NOW, folder=folder).sentence


def test_an_old_row_after_failures_is_critical_and_says_why(config: Config) -> None:
	refused = pushed(NOW - 5, "refused", error="the control plane refuses the key: it answers 401")
	status = judge_status(after(pushed(NOW - 9000), refused), config, NOW)
	assert (status.verdict, status.exit_code) == ("stale", 2)
	assert status.sentence.startswith("last delivered 2.5 h ago")
	assert "refuses the key: it answers 401" in status.sentence


def test_a_node_that_never_pushed_is_unknown(config: Config) -> None:
	status = judge_status(State(), config, NOW)
	assert (status.verdict, status.exit_code, status.age_seconds) == ("never", 3, None)
	assert "no push has run yet. Run `prego-metrics push`" in status.sentence
	assert perfdata(status) == {"age": "U;;300;0", "failures": "0;;;0"}


def test_a_node_whose_pushes_all_failed_is_unknown_and_says_why(config: Config) -> None:
	status = judge_status(
		after(pushed(NOW - 5, "not_sent", error="there is no key", payload=None)), config, NOW
	)
	assert (status.verdict, status.exit_code) == ("never", 3)
	assert status.sentence.startswith("no push was ever delivered as node-1; the last push")
	assert status.sentence.endswith("there is no key")


def test_an_attempt_that_was_begun_and_never_ended_is_said(config: Config) -> None:
	assert (
		"was started but did not finish" in judge_status(State(last_attempt_at=NOW - 9), config, NOW).sentence
	)


def test_an_attempt_that_did_not_end_within_its_deadline_is_a_failure(config: Config) -> None:
	state = after(pushed(NOW - 90))._replace(last_attempt_at=NOW - 40)
	assert judge_status(state, config, NOW + 8).verdict == "fresh"
	status = judge_status(state, config, NOW + 9)
	assert (status.verdict, status.exit_code) == ("failing", 1)
	assert "has not finished" in status.sentence


def test_several_problems_are_told_by_their_first_line(config: Config) -> None:
	push = pushed(NOW - 5, "not_sent", error="node_id is not set\ncontrol_plane_url is not set", payload=None)
	status = judge_status(after(push), config, NOW)
	assert status.sentence.endswith("node_id is not set")
	perfdata(status)


@pytest.mark.parametrize("error", ["", "\n", "\n\nlater"])
def test_a_failure_without_words_is_no_trouble(config: Config, error: str) -> None:
	perfdata(judge_status(after(pushed(NOW - 5, "failed", error=error)), config, NOW))


# --- what is fresh -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("interval", "fresh"), [(60, 300), (120, 300), (121, 302), (300, 660), (86400, 172860)]
)
def test_fresh_is_five_minutes_or_two_intervals_and_a_minute(
	bench_folder: Path, settings: Callable[..., Path], interval: int, fresh: int
) -> None:
	settings(bench_folder, node_id="node-1", control_plane_url="https://c.example", push_interval=interval)
	config = load_config(open_bench(str(bench_folder)), {})
	assert judge_status(after(pushed(NOW - fresh)), config, NOW).verdict == "fresh"
	stale = judge_status(after(pushed(NOW - fresh - 1)), config, NOW)
	assert stale.verdict == "stale"
	assert perfdata(stale)["age"] == f"{fresh + 1}s;;{fresh};0"


def test_max_age_replaces_what_is_fresh(config: Config) -> None:
	state = after(pushed(NOW - 100))
	assert judge_status(state, config, NOW, 99.0).exit_code == 2
	assert judge_status(state, config, NOW, 101.0).exit_code == 0
	assert judge_status(after(pushed(NOW - 1_500_000)), config, NOW, 2_000_000.0).exit_code == 0
	assert perfdata(judge_status(state, config, NOW, 2_000_000.0))["age"] == "100s;;2000000;0"


@pytest.mark.parametrize(
	("ahead", "verdict", "age"),
	[(-0.5, "fresh", 0.5), (0, "fresh", 0), (3, "fresh", 0), (5, "fresh", 0), (5.5, "stale", -5.5)],
)
def test_a_clock_that_stepped_back_a_little_is_no_fault(
	config: Config, ahead: float, verdict: str, age: float
) -> None:
	status = judge_status(after(pushed(NOW + ahead)), config, NOW)
	assert (status.verdict, status.age_seconds) == (verdict, age)
	assert perfdata(status)["age"] == f"{age:.0f}s;;300;0"


@pytest.mark.parametrize("attempt", [None, NOW - 50, NOW - 5])
def test_a_lock_that_is_stuck_is_the_last_attempt_since_it_is(
	bench: Path, config: Config, attempt: float | None
) -> None:
	"""A run that waits for it may have begun before, and the next cannot have begun after."""
	state = after(pushed(NOW - 70))._replace(last_attempt_at=attempt)
	stuck = pushed(NOW - 20, "not_sent", error="the lock is held", payload=None)
	folder = folder_of(bench)
	folder.make_mark(f"stuck-{stuck.trigger}-{stuck.at!r}-{stuck.id}")
	folder.append_history(stuck)
	status = judge_status(state, config, NOW, folder=folder)
	assert (status.verdict, status.last) == ("failing", stuck)
	assert "the lock is held" in status.sentence


def test_a_push_in_the_future_is_stale_since_nobody_knows_its_age(config: Config) -> None:
	status = judge_status(after(pushed(NOW + 3600)), config, NOW)
	assert (status.verdict, status.exit_code) == ("stale", 2)
	assert "is 60 min in the future: the clock was set back" in status.sentence
	perfdata(status)


def test_what_was_delivered_under_another_node_id_says_nothing_of_this_one(config: Config) -> None:
	other = {"node_id": "node-2", "tenant_count": 1, "source": "node_push"}
	status = judge_status(after(pushed(NOW - 5, payload=other)), config, NOW)
	assert (status.verdict, status.exit_code, status.last_delivered) == ("never", 3, None)
	assert "tenants" not in perfdata(status)
	assert status.sentence.params["reason"].params["node"] == "node-2"
	begun = after(pushed(NOW - 5, payload=other))._replace(last_attempt_at=NOW - 4)
	assert "did not finish" in judge_status(begun, config, NOW).sentence


def test_without_settings_the_last_push_is_still_judged(bench_folder: Path) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	assert judge_status(after(pushed(NOW - 5)), config, NOW).verdict == "fresh"
	assert "no push was ever delivered as this node" in judge_status(State(), config, NOW).sentence


# --- hostile contents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
	"words", ["a | b=1", "|", "x\x1b[31m", "\u202eevil", "two\nlines", "a\x85b", "age=1s;;;"], ids=repr
)
def test_a_servers_words_neither_reach_the_terminal_raw_nor_the_performance_data(
	config: Config, words: str
) -> None:
	failed = pushed(NOW - 5, "failed", error=f"it says {words}")
	line = judge_status(after(pushed(NOW - 50), failed), config, NOW).plugin_line
	assert line.count("|") == 1
	assert all(raw not in line for raw in ("\x1b", "\u202e", "\n", "\x85"))
	data = perfdata(judge_status(after(pushed(NOW - 50), failed), config, NOW))
	assert list(data) == ["age", "failures", "tenants", "cpu", "memory", "disk", "duration"]


def test_a_node_id_with_a_bar_does_not_end_the_sentence(
	bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, node_id="sg|1", control_plane_url="https://c.example")
	config = load_config(open_bench(str(bench_folder)), {})
	assert judge_status(State(), config, NOW).plugin_line.count("|") == 1


def test_a_long_error_is_cut(config: Config) -> None:
	status = judge_status(after(pushed(NOW - 5, "failed", error="x" * 1000)), config, NOW)
	assert len(status.plugin_line) < 600
	assert status.sentence.params["reason"].params["error"] == "x" * 299 + "…"


# --- the command -------------------------------------------------------------------------------------


def write(bench: Path, *pushes: Push) -> None:
	assert folder_of(bench).write(after(*pushes)) is None


@pytest.mark.parametrize(
	("ages", "code", "word"),
	[
		([("delivered", 20)], 0, "OK"),
		([("delivered", 80), ("failed", 20)], 1, "WARNING"),
		([("delivered", 400)], 2, "CRITICAL"),
		([("failed", 20)], 3, "UNKNOWN"),
		([], 3, "UNKNOWN"),
	],
)
def test_the_exit_code_is_the_verdict(
	run_agent: Run, bench: Path, ages: list[tuple[str, float]], code: int, word: str
) -> None:
	if ages:
		write(bench, *(pushed(time.time() - age, outcome, error="it failed") for outcome, age in ages))
	result = run_agent("status", "--bench", bench)
	assert (result.returncode, result.stderr) == (code, "")
	assert result.stdout.startswith(f"PREGO {word} - ")
	assert len(result.stdout.splitlines()) == 1


def test_json_says_the_same(run_agent: Run, bench: Path) -> None:
	write(bench, pushed(time.time() - 80), pushed(time.time() - 20, "failed", error="it | \x1b failed"))
	result = run_agent("status", "--json", "--bench", bench)
	assert (result.returncode, result.stderr) == (1, "")
	written = json.loads(result.stdout)
	assert list(written) == STATUS_KEYS
	assert (written["status"], written["failures_in_a_row"], written["max_age_seconds"]) == (
		"failing",
		1,
		300,
	)
	assert 80 <= written["age_seconds"] < 90
	assert written["last"]["error"] == "it | \\x1b failed"
	assert written["last_delivered"]["payload"]["tenant_count"] == 42
	assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written["last"]["at"])


def test_json_of_a_node_that_never_pushed(run_agent: Run, bench: Path) -> None:
	written = json.loads(run_agent("status", "--json", "--bench", bench).stdout)
	assert list(written) == STATUS_KEYS
	assert (written["status"], written["age_seconds"]) == ("never", None)
	assert (written["last"], written["last_delivered"]) == (None, None)


def test_max_age_is_in_seconds(run_agent: Run, bench: Path) -> None:
	write(bench, pushed(time.time() - 80))
	assert run_agent("status", "--max-age", 60, "--bench", bench).returncode == 2
	assert run_agent("status", "--max-age", "1000.5", "--bench", bench).returncode == 0


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e999", "five"])
def test_a_max_age_that_would_never_or_always_alarm_is_refused(
	run_agent: Run, bench: Path, value: str
) -> None:
	write(bench, pushed(time.time() - 8000))
	result = run_agent("status", f"--max-age={value}", "--bench", bench)
	assert (result.returncode, result.stdout) == (2, "")
	assert "Error: Invalid value for '--max-age'" in result.stderr


def test_status_reads_only(run_agent: Run, bench: Path) -> None:
	run_agent("status", "--bench", bench)
	assert not (bench / "sites" / ".prego-metrics").exists()


@pytest.mark.parametrize(
	"content",
	[
		b"",
		b"{",
		b"[]",
		b"null",
		b'{"version": 99}',
		b'{"version": 1, "last": 7}',
		b'{"version": 1, "last_delivered": {"id": "x", "at": NaN}}',
		b'{"version": 1, "last": {"id": "x", "at": 1e300, "driver": "cron", "outcome": "failed"}}',
		b'{"version": 1, "last_delivered": {"id": "x", "at": 1, "driver": "\x1b[31m", "outcome": "delivered"}}',
		b"\xff\xfe",
		b"[" * 100_000,
		b" " * (1 << 20),
	],
	ids=lambda content: repr(content[:40]),
)
def test_a_state_that_is_not_ours_is_said_and_counts_as_none(
	run_agent: Run, bench: Path, content: bytes
) -> None:
	folder = bench / "sites" / ".prego-metrics"
	folder.mkdir(0o700)
	(folder / "state.json").write_bytes(content)
	result = run_agent("status", "--bench", bench)
	assert result.returncode == 3
	assert result.stdout.startswith("PREGO UNKNOWN - no push was ever delivered as node-1")
	assert re.fullmatch(r"Warning: [^\n]+/\.prego-metrics/state\.json [^\n]+\n", result.stderr)
	assert "\x1b" not in result.stdout + result.stderr
	assert (folder / "state.json").read_bytes() == content


def test_a_state_of_the_largest_numbers_is_shown(run_agent: Run, bench: Path) -> None:
	push = pushed(9.9e10, "failed", error="x", attempts=10**11, duration_ms=10**11, status_code=10**11)
	write(bench, pushed(9.9e10), push)
	for option in ("--json", "--max-age=5"):
		result = run_agent("status", option, "--bench", bench)
		assert (result.returncode, result.stderr) == (2, "")


def test_a_link_in_place_of_the_state_is_not_followed(run_agent: Run, bench: Path, tmp_path: Path) -> None:
	write(bench, pushed(time.time() - 20))
	folder = bench / "sites" / ".prego-metrics"
	folder.rename(tmp_path / "elsewhere")
	folder.symlink_to(tmp_path / "elsewhere")
	result = run_agent("status", "--bench", bench)
	assert result.returncode == 3
	assert "cannot be read" in result.stderr


def test_the_figures_of_the_host_are_performance_data_too(config: Config) -> None:
	payload = {
		"node_id": "node-1",
		"cpu_pct": 12.5,
		"memory_pct": 48.0,
		"tenant_count": 3,
		"source": "node_push",
	}
	data = perfdata(judge_status(after(pushed(NOW - 5, payload=payload, duration_ms=12_345)), config, NOW))
	assert (data["cpu"], data["memory"], data["disk"]) == ("12.5%;;;0;100", "48%;;;0;100", "U;;;0;100")
	assert (data["tenants"], data["duration"]) == ("3;;;0", "12.345s;;;0")


def test_json_without_a_bench_is_json_too(run_agent: Run, tmp_path: Path) -> None:
	result = run_agent("status", "--json", "--bench", tmp_path)
	assert result.returncode == 2
	written = json.loads(result.stdout)
	assert list(written) == [*STATUS_KEYS, "error", "error_code"]
	assert (written["status"], written["error_code"]) == ("unknown", "not_a_bench")
	assert "is not a bench" in result.stderr
