"""The state is read as hostile input, kept whole, and kept to its owner."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pushing import earlier_reading
from strategies_push import json_values, mutated, pushes, states

from prego_metrics.agent import state_folder as state_folder_module
from prego_metrics.agent.state import DRIVERS, VERSION, Push, State, Tick
from prego_metrics.agent.state_folder import StateFolder
from prego_metrics.agent.state_parser import parse_state
from prego_metrics.agent.transition import KINDS, Transition, description, title

# The folder is emptied at the start of each example.
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

PUSH = Push(
	"0123456789abcdef",
	1e9,
	"cron",
	"delivered",
	{"node_id": "n", "tenant_count": 3, "source": "node_push"},
	200,
	1,
	12,
	None,
)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
	return StateFolder(str(tmp_path))


def write_raw(folder: StateFolder, content: bytes, name: str = "state.json") -> Path:
	path = Path(folder.path)
	path.mkdir(exist_ok=True)
	(path / name).write_bytes(content)
	return path / name


def written(state: State) -> dict[str, object]:
	return {"version": VERSION, **asdict(state)}


# --- round trip ------------------------------------------------------------------------------------


@in_one_folder
@given(states)
def test_every_state_comes_back_as_it_was_written(folder: StateFolder, state: State) -> None:
	assert folder.write(state) is None
	assert folder.read() == (state, [])


@given(states, pushes, st.integers(1, 5), st.sampled_from((0.0, 50.0, 90.0)))
def test_every_state_that_follows_can_be_read_again_and_its_transitions_told(
	state: State, push: Push, alert_after: int, disk_alert_pct: float
) -> None:
	following = state.recorded(push, alert_after, disk_alert_pct)
	assert parse_state(json.dumps(written(following))) == following
	for transition in following.transitions:
		assert transition.kind in KINDS
		assert title(transition, "n").isprintable() and description(transition, str).isprintable()


def test_the_largest_state_of_ours_can_be_read_again(folder: StateFolder) -> None:
	error = "\U0001f4a5" * 1000
	payload = {"node_id": "\U0001f4a5" * 255, "tenant_count": 10**9, "source": "node_push"}
	push = Push("0" * 16, 1e9, "frappe", "failed", payload, 503, 3, 120000, error)
	transitions = tuple(
		Transition("0" * 16, 1e9, "tenants_fell", 10**6, error, 1e9, 10**9, 10**9, 99.9) for _ in range(20)
	)
	state = State(last=push, last_delivered=push, transitions=transitions, cpu=earlier_reading())
	assert folder.write(state) is None
	assert folder.read() == (state, [])


def test_without_a_state_there_is_an_empty_one_and_no_folder_is_made(folder: StateFolder) -> None:
	assert folder.read() == (State(), [])
	assert folder.history() == folder.ticks() == []
	assert not os.path.exists(folder.path)


# --- hostile input ---------------------------------------------------------------------------------


def assert_ignored_and_set_aside(folder: StateFolder, content: bytes) -> None:
	path = write_raw(folder, content)
	state, (warning,) = folder.read()
	assert state == State()
	assert warning.endswith("it is ignored, and the next push sets it aside")
	assert warning.isprintable()
	assert path.read_bytes() == content
	assert folder.read(set_aside=True)[1][0].endswith(
		"was set aside as state.json.set-aside, and a new one is begun"
	)
	assert not path.exists()
	assert path.with_name("state.json.set-aside").read_bytes() == content
	assert folder.read() == (State(), [])


@in_one_folder
@given(json_values)
def test_any_other_json_is_set_aside(folder: StateFolder, value: object) -> None:
	if isinstance(value, dict):
		value = {key: inner for key, inner in value.items() if key != "version"}
	assert_ignored_and_set_aside(folder, json.dumps(value).encode())


@in_one_folder
@given(st.binary(max_size=200))
def test_any_bytes_are_set_aside(folder: StateFolder, content: bytes) -> None:
	assert_ignored_and_set_aside(folder, content)


@in_one_folder
@given(st.data())
def test_a_state_that_was_tampered_with_never_raises_and_is_ours_or_set_aside(
	folder: StateFolder, data: st.DataObject
) -> None:
	state = data.draw(states)
	content = data.draw(mutated(written(state)))
	write_raw(folder, json.dumps(content).encode())
	found, warnings = folder.read(set_aside=True)
	if warnings:
		assert found == State()
		assert not os.path.exists(os.path.join(folder.path, "state.json"))
	else:
		# What was let in can be worked with, written, and read again.
		following = found.recorded(PUSH, 3)
		assert found.unfinished in (True, False) and found.last_failed in (True, False)
		assert folder.write(following) is None
		assert folder.read() == (following, [])


@pytest.mark.parametrize(
	"content",
	[
		b"",
		b"{",
		b"[]",
		b'"state"',
		b"\xff\xfe{}",
		b'{"version": 2}',
		b'{"version": "1"}',
		b'{"version": true}',
		b'{"version": 1.5}',
		b'{"version": 1, "last_attempt_at": NaN}',
		b'{"version": 1, "last_attempt_at": Infinity}',
		b'{"version": 1, "last_attempt_at": -1}',
		b'{"version": 1, "last_attempt_at": true}',
		b'{"version": 1, "last_attempt_at": "1"}',
		b'{"version": 1, "last_attempt_at": 1e300}',
		b'{"version": 1, "last_attempt_at": ' + b"9" * 5000 + b"}",
		b'{"version": 1, "failures_in_a_row": -1}',
		b'{"version": 1, "failures_in_a_row": 1.5}',
		b'{"version": 1, "alerted": 1}',
		b'{"version": 1, "transitions": {}}',
		b'{"version": 1, "transitions": [1]}',
		b'{"version": 1, "transitions": [' + b",".join([b"{}"] * 21) + b"]}",
		b'{"version": 1, "cpu": {"boot_id": "x"}}',
		b'{"version": 1, "last": {"id": "x"}}',
		b'{"version": 1, "totals": {"delivered": "many"}}',
		b"[" * 100_000,
		b'{"version": 1, "ballast": "' + b"x" * (1 << 20) + b'"}',
	],
	ids=lambda content: repr(content[:50]),
)
def test_what_no_state_of_ours_holds_is_set_aside(folder: StateFolder, content: bytes) -> None:
	assert_ignored_and_set_aside(folder, content)


def test_a_state_of_a_future_version_says_which(folder: StateFolder) -> None:
	write_raw(folder, b'{"version": 7}')
	assert "has version 7, and this prego_metrics writes 1" in folder.read()[1][0]


def test_names_of_fields_that_a_later_version_may_add_are_no_reason_to_start_anew(
	folder: StateFolder,
) -> None:
	write_raw(folder, b'{"version": 1, "last_attempt_at": 5, "new": {"a": 1}}')
	assert folder.read() == (State(last_attempt_at=5.0), [])


def test_a_state_of_before_there_were_claims_of_their_own_is_read(folder: StateFolder) -> None:
	transition = {
		"id": "0" * 16,
		"at": 1e9,
		"kind": "failing",
		"failures": 3,
		"error": "no",
		"claimed": {"x": 1},
	}
	push = {key: value for key, value in asdict(PUSH).items() if key != "who"}
	old = {"version": 1, "alerted": True, "last": push, "transitions": [transition]}
	write_raw(folder, json.dumps(old).encode())
	state, warnings = folder.read()
	assert (warnings, state.last, state.disk_alerted) == ([], PUSH, False)
	assert state.transitions == (Transition("0" * 16, 1e9, "failing", 3, "no"),)


@pytest.mark.parametrize("push_id", ["../../etc/passwd", "0123", "0123456789ABCDEF", "0" * 17, "", None, 5])
def test_an_id_that_becomes_a_files_name_is_one_of_ours_or_refused(
	folder: StateFolder, push_id: object
) -> None:
	transition = {"id": push_id, "at": 1e9, "kind": "failing", "failures": 3}
	assert_ignored_and_set_aside(folder, json.dumps({"version": 1, "transitions": [transition]}).encode())


def test_a_symlink_in_place_of_the_file_is_not_followed(folder: StateFolder, tmp_path: Path) -> None:
	victim = tmp_path / "victim"
	victim.write_text(json.dumps(written(State(last_attempt_at=1.0))))
	before = victim.read_bytes()
	os.mkdir(folder.path)
	os.symlink(victim, os.path.join(folder.path, "state.json"))
	state, (warning,) = folder.read(set_aside=True)
	assert state == State() and "cannot be read" in warning
	assert folder.write(State(last_attempt_at=2.0)) is None
	assert folder.read() == (State(last_attempt_at=2.0), [])
	assert victim.read_bytes() == before


@pytest.mark.parametrize("name", ["history.jsonl", ".state.json.tmp"])
def test_a_symlink_in_place_of_a_file_to_write_is_not_followed(
	name: str, folder: StateFolder, tmp_path: Path
) -> None:
	victim = tmp_path / "victim"
	victim.write_text("precious")
	os.mkdir(folder.path)
	os.symlink(victim, os.path.join(folder.path, name))
	for _ in range(2):
		folder.append_history(PUSH)
		folder.write(State())
	assert victim.read_text() == "precious"
	assert folder.write(State()) is None


def test_a_symlink_in_place_of_the_folder_is_not_followed(folder: StateFolder, tmp_path: Path) -> None:
	elsewhere = tmp_path / "elsewhere"
	elsewhere.mkdir()
	os.symlink(elsewhere, folder.path)
	assert folder.read(set_aside=True)[1]
	for trouble in (folder.write(State()), folder.append_history(PUSH), folder.unwritable()):
		assert "cannot be written" in trouble
	assert folder.tick(Tick("cron", 1.0, 60.0, "n", "not_due")) is not None
	assert folder.history() == folder.ticks() == []
	assert list(elsewhere.iterdir()) == []


def test_a_fifo_holds_nobody_up(folder: StateFolder) -> None:
	os.mkdir(folder.path)
	for name in ("state.json", "history.jsonl", "tick-cron.json", ".state.json.tmp"):
		os.mkfifo(os.path.join(folder.path, name))
	started = time.monotonic()
	assert "is not a regular file" in folder.read()[1][0]
	assert folder.history() == folder.ticks() == []
	folder.append_history(PUSH)
	folder.write(State())
	assert folder.write(State()) is None
	assert folder.tick(Tick("cron", 1.0, 60.0, "n", "not_due")) is None
	assert time.monotonic() - started < 1


def test_a_folder_in_place_of_the_file_is_set_aside_and_leaks_nothing(folder: StateFolder) -> None:
	os.makedirs(os.path.join(folder.path, "state.json"))
	before = len(os.listdir("/proc/self/fd"))
	for _ in range(20):
		assert "is not a regular file" in folder.read()[1][0]
	assert len(os.listdir("/proc/self/fd")) == before
	folder.read(set_aside=True)
	assert folder.write(State()) is None


def test_a_huge_file_is_not_read_whole(folder: StateFolder) -> None:
	path = write_raw(folder, b"{}")
	os.truncate(path, 1 << 40)
	assert "is larger than any state of ours" in folder.read()[1][0]


def test_warnings_about_hostile_content_are_fit_to_show(tmp_path: Path) -> None:
	folder = StateFolder(str(tmp_path / "b\x1b[2J\nench"))
	os.makedirs(folder.path)
	write_raw(folder, b'{"version": "\\u001b[2J\\n\\u202e"}')
	(warning,) = folder.read()[1]
	assert warning.isprintable()


# --- the history -----------------------------------------------------------------------------------


def test_the_history_holds_each_push_oldest_first(folder: StateFolder) -> None:
	pushed = [
		replace(PUSH, at=float(number), error="zwei\nZeilen\u2028\x85" if number % 2 else None)
		for number in range(5)
	]
	for push in pushed:
		assert folder.append_history(push) is None
	assert folder.history() == pushed


def test_the_history_is_bounded_and_keeps_the_newest(
	folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(state_folder_module, "MAX_HISTORY_BYTES", 10_000)
	largest = 0
	for number in range(300):
		assert folder.append_history(replace(PUSH, at=float(number))) is None
		largest = max(largest, os.path.getsize(os.path.join(folder.path, "history.jsonl")))
		found = [push.at for push in folder.history()]
		assert found == [float(at) for at in range(number - len(found) + 1, number + 1)]
	assert largest < 10_500
	assert len(found) > 15


def test_a_line_that_was_cut_does_not_take_the_next_with_it(folder: StateFolder) -> None:
	folder.append_history(PUSH)
	path = Path(folder.path) / "history.jsonl"
	whole = path.read_bytes()
	for cut in range(1, len(whole), 7):
		path.write_bytes(whole + whole[:cut])
		assert folder.append_history(replace(PUSH, at=2.0)) is None
		assert [push.at for push in folder.history()][-1] == 2.0
		assert 2 <= len(folder.history()) <= 3


@in_one_folder
@given(
	st.lists(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()), max_size=10)
)
def test_no_history_whatever_raises_and_ours_is_found_in_it(folder: StateFolder, lines: list[bytes]) -> None:
	write_raw(folder, b"\n".join(lines), "history.jsonl")
	assert folder.append_history(PUSH) is None
	assert all(isinstance(push, Push) for push in folder.history())
	try:
		b"\n".join(lines).decode()
	except UnicodeDecodeError:
		return
	assert folder.history()[-1] == PUSH


@pytest.mark.parametrize("size", [(1 << 20) - 10, 1 << 20, 2 << 20, 5 << 20])
def test_a_history_that_somebody_filled_is_cut_back(folder: StateFolder, size: int) -> None:
	path = write_raw(folder, b"\xff" * size, "history.jsonl")
	assert folder.append_history(PUSH) is None
	assert path.stat().st_size < 1 << 20
	assert folder.append_history(replace(PUSH, at=2.0)) is None
	assert [push.at for push in folder.history()] == [1e9, 2.0]


# --- ticks -----------------------------------------------------------------------------------------


def test_each_driver_has_its_last_tick(folder: StateFolder) -> None:
	for number, driver in enumerate(DRIVERS):
		for at in (number, number + 10):
			assert folder.tick(Tick(driver, float(at), 60.0, "노드-1", "not_due")) is None
	assert folder.ticks() == [
		Tick(driver, number + 10.0, 60.0, "노드-1", "not_due") for number, driver in enumerate(DRIVERS)
	]


@in_one_folder
@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
def test_a_tick_that_is_not_ours_is_left_out(folder: StateFolder, content: bytes) -> None:
	folder.tick(Tick("cron", 1.0, 60.0, "n", "not_due"))
	write_raw(folder, content, "tick-timer.json")
	assert [tick.driver for tick in folder.ticks()] == ["cron"]


def test_a_tick_leaves_no_other_file_behind(folder: StateFolder) -> None:
	folder.tick(Tick("cron", 1.0, 60.0, "n", "not_due"))
	folder.write(State())
	folder.append_history(PUSH)
	assert folder.unwritable() is None
	assert sorted(os.listdir(folder.path)) == ["history.jsonl", "state.json", "tick-cron.json"]


# --- modes -----------------------------------------------------------------------------------------


def modes(folder: StateFolder) -> dict[str, int]:
	found = {name: os.path.join(folder.path, name) for name in os.listdir(folder.path)}
	return {name: stat.S_IMODE(os.stat(path).st_mode) for name, path in found.items()}


def write_everything(folder: StateFolder) -> None:
	assert folder.write(State()) is None
	assert folder.append_history(PUSH) is None
	assert folder.tick(Tick("cron", 1.0, 60.0, "n", "not_due")) is None


EVERYTHING = ("state.json", "history.jsonl", "tick-cron.json")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folder_and_files_are_their_owners_alone(folder: StateFolder, umask: int) -> None:
	before = os.umask(umask)
	try:
		write_everything(folder)
	finally:
		os.umask(before)
	assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
	assert modes(folder) == dict.fromkeys(EVERYTHING, 0o600)


def test_a_file_that_lay_there_with_a_wider_mode_is_narrowed(folder: StateFolder) -> None:
	for name in (".state.json.tmp", "history.jsonl"):
		write_raw(folder, b"", name).chmod(0o666)
	write_everything(folder)
	assert modes(folder) == dict.fromkeys(EVERYTHING, 0o600)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_in_the_hardened_mode_the_group_reads_along(folder: StateFolder, umask: int) -> None:
	os.mkdir(folder.path)
	os.chmod(folder.path, 0o2770)
	before = os.umask(umask)
	try:
		write_everything(folder)
	finally:
		os.umask(before)
	assert modes(folder) == dict.fromkeys(EVERYTHING, 0o660)


def test_in_the_hardened_mode_bench_and_timer_write_in_turn(
	shared_folder: Path, as_user: Callable[..., object]
) -> None:
	bench_user, timer_user, group = 60001, 60002, 60003
	folder = StateFolder(str(shared_folder))
	os.mkdir(folder.path)
	os.chown(folder.path, bench_user, group)
	os.chmod(folder.path, 0o2770)

	def write_all() -> list[object]:
		state, warnings = folder.read()
		tick = Tick("cron", 1.0, 60.0, "n", "not_due")
		trouble = [folder.write(state.recorded(PUSH, 3)), folder.append_history(PUSH), folder.tick(tick)]
		return [state.totals.get("delivered", 0), warnings, trouble]

	for number, user in enumerate((timer_user, bench_user, timer_user)):
		assert as_user(user, write_all, gid=group) == [number, [], [None] * 3]
	assert modes(folder) == dict.fromkeys(EVERYTHING, 0o660)


# --- several at once -------------------------------------------------------------------------------


def test_a_reader_beside_a_writer_never_sees_half_a_state(folder: StateFolder) -> None:
	writer = (
		"import sys\n"
		"from prego_metrics.agent.state import State\n"
		"from prego_metrics.agent.state_folder import StateFolder\n"
		"folder = StateFolder(sys.argv[1])\n"
		"for number in range(400): assert folder.write(State(failures_in_a_row=number + 1)) is None\n"
	)
	folder.write(State())
	process = subprocess.Popen([sys.executable, "-c", writer, os.path.dirname(folder.path)])
	seen = []
	while process.poll() is None:
		state, warnings = folder.read()
		assert warnings == []
		seen.append(state.failures_in_a_row)
	assert process.returncode == 0
	assert seen == sorted(seen)
	assert folder.read()[0].failures_in_a_row == 400


def test_ticks_of_one_driver_in_many_processes_never_fail(folder: StateFolder) -> None:
	ticking = (
		"import sys\n"
		"from prego_metrics.agent.state import Tick\n"
		"from prego_metrics.agent.state_folder import StateFolder\n"
		"folder = StateFolder(sys.argv[1])\n"
		"for at in range(300):\n"
		"	assert folder.tick(Tick('cron', float(at), 60.0, 'n', 'not_due')) is None\n"
		"	assert len(folder.ticks()) == 1\n"
	)
	# In containers that share sites/, two processes may well have the same id.
	alike = "import os\nos.getpid = lambda: 7\n" + ticking
	processes = [
		subprocess.Popen([sys.executable, "-c", alike, os.path.dirname(folder.path)]) for _ in range(3)
	]
	assert [process.wait(30) for process in processes] == [0, 0, 0]
	assert os.listdir(folder.path) == ["tick-cron.json"]


# --- what a state says -----------------------------------------------------------------------------


def test_an_attempt_without_a_result_is_unfinished_and_counts_as_failed() -> None:
	assert not State().unfinished and not State().last_failed
	assert State(last_attempt_at=1.0).unfinished
	assert State(last_attempt_at=2.0, last=replace(PUSH, at=1.0)).unfinished
	finished = State(last_attempt_at=2.0, last=replace(PUSH, at=2.0))
	assert not finished.unfinished and not finished.last_failed
	assert replace(finished, last=replace(PUSH, at=2.0, outcome="refused")).last_failed


@given(
	st.lists(st.sampled_from(("delivered", "refused", "failed", "not_sent")), max_size=40), st.integers(1, 4)
)
def test_transitions_alternate_and_come_exactly_when_a_row_of_failures_is_long_enough(
	outcomes: list[str], alert_after: int
) -> None:
	state, row, expected = State(), 0, []
	for number, outcome in enumerate(outcomes):
		state = state.recorded(replace(PUSH, at=float(number), outcome=outcome), alert_after)
		if outcome == "delivered":
			if row >= alert_after:
				expected.append(("recovered", row, float(number)))
			row = 0
		else:
			row += 1
			if row == alert_after:
				expected.append(("failing", row, float(number)))
		assert state.failures_in_a_row == row
		assert (state.failing_since is None) == (row == 0)
	assert [(one.kind, one.failures, one.at) for one in state.transitions] == expected[-20:]
	assert sum(state.totals.values()) == len(outcomes)
