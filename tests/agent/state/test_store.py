"""The history is bounded, ticks and files are whole and their owner's, also with several writers at once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_states import PUSH, in_one_folder, write_raw
from strategies_push import json_values

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.state import store as state_folder_module
from prego_metrics.agent.state.model import TRIGGERS, Push, State, Tick
from prego_metrics.agent.state.schedule import Pace
from prego_metrics.agent.state.store import StateFolder

MOST = state_folder_module.MAX_HISTORY_BYTES

# --- the history -----------------------------------------------------------------------------------


def test_the_history_holds_each_push_oldest_first(folder: StateFolder) -> None:
	pushed = [
		PUSH._replace(at=float(number), error="zwei\nZeilen\u2028\x85" if number % 2 else None)
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
		assert folder.append_history(PUSH._replace(at=float(number))) is None
		largest = max(largest, os.path.getsize(os.path.join(folder.path, "history.jsonl")))
		found = [push.at for push in folder.history()]
		assert found == [float(at) for at in range(number - len(found) + 1, number + 1)]
	assert largest < 10_500
	assert len(found) > 15


def test_the_history_reaches_back_a_day_while_the_key_is_refused(folder: StateFolder) -> None:
	words = '{"error": "the Authorization header must be exactly: Bearer INTERNAL_API_KEY"}'
	error = coded("key_refused", answer=coded("answer_says", status_code=401, words=words))
	percents = {"cpu_pct": 12.5, "memory_pct": 48.1, "disk_pct": 61.0}
	payload = {"node_id": "sg-1", **percents, "tenant_count": 42, "source": "node_push"}
	refused = PUSH._replace(outcome="refused", payload=payload, status_code=401, error=error)
	sizes = [0]
	while len(sizes) < 2 or sizes[-1] > sizes[-2]:
		assert folder.append_history(refused._replace(at=1795567924.701 + 60 * len(sizes))) is None
		sizes.append(os.path.getsize(os.path.join(folder.path, "history.jsonl")))
	assert len(folder.history()) >= 24 * 60


def test_a_line_that_was_cut_does_not_take_the_next_with_it(folder: StateFolder) -> None:
	folder.append_history(PUSH)
	path = Path(folder.path) / "history.jsonl"
	whole = path.read_bytes()
	for cut in range(1, len(whole), 7):
		path.write_bytes(whole + whole[:cut])
		assert folder.append_history(PUSH._replace(at=2.0)) is None
		assert [push.at for push in folder.history()][-1] == 2.0
		assert 2 <= len(folder.history()) <= 3


def test_a_history_is_cut_to_less_than_half_once_it_has_its_full_size(
	folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
	folder.append_history(PUSH)
	line = os.path.getsize(os.path.join(folder.path, "history.jsonl"))
	monkeypatch.setattr(state_folder_module, "MAX_HISTORY_BYTES", 6 * line)
	lengths = []
	for _ in range(8):
		folder.append_history(PUSH)
		lengths.append(len(folder.history()))
	# Where the cut goes through is not known to be a line's beginning.
	assert lengths == [2, 3, 4, 5, 2, 3, 4, 5]


@pytest.mark.parametrize(("more", "count"), [(0, 1), (1, 0)])
def test_of_a_history_twice_the_size_and_more_nothing_is_read(
	folder: StateFolder, monkeypatch: pytest.MonkeyPatch, more: int, count: int
) -> None:
	folder.append_history(PUSH)
	path = Path(folder.path) / "history.jsonl"
	monkeypatch.setattr(state_folder_module, "MAX_HISTORY_BYTES", 4000)
	path.write_bytes(path.read_bytes().rjust(8000 + more, b"\n"))
	assert folder.history() == [PUSH] * count


@pytest.mark.parametrize(("bytes_more", "is_read"), [(0, True), (1, False)])
def test_a_state_may_have_a_mebibyte(folder: StateFolder, bytes_more: int, is_read: bool) -> None:
	write_raw(folder, b'{"version": 2, "failures_in_a_row": 7}'.ljust((1 << 20) + bytes_more))
	state, warnings = folder.read()
	assert (state.failures_in_a_row, len(warnings)) == ((7, 0) if is_read else (0, 1))


def test_a_push_is_looked_for_among_the_twenty_newest(folder: StateFolder) -> None:
	pushed = [PUSH._replace(id=f"{number:016x}", at=float(number)) for number in range(21)]
	for push in pushed:
		folder.append_history(push)
	assert folder.recent_push(pushed[1].id) == pushed[1] and folder.recent_push(pushed[20].id) == pushed[20]
	assert folder.recent_push(pushed[0].id) is None


@pytest.mark.parametrize(("largest", "is_writable"), [(8192, True), (8191, False)])
def test_a_disk_has_room_for_a_state_where_eight_kilobytes_can_be_written(
	folder: StateFolder, largest: int, is_writable: bool
) -> None:
	script = (
		"import resource, sys; from prego_metrics.agent.state.store import StateFolder\n"
		"resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
		"sys.exit(StateFolder(sys.argv[1]).unwritable() is not None)\n"
	)
	# Without bytecode, whose files are larger.
	command = [sys.executable, "-B", "-c", script, os.path.dirname(folder.path), str(largest)]
	assert subprocess.run(command).returncode == (not is_writable)
	assert os.listdir(folder.path) == []


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


@pytest.mark.parametrize("size", [MOST - 10, MOST, 2 * MOST, 5 * MOST])
def test_a_history_that_somebody_filled_is_cut_back(folder: StateFolder, size: int) -> None:
	path = write_raw(folder, b"\xff" * size, "history.jsonl")
	assert folder.append_history(PUSH) is None
	assert path.stat().st_size < MOST
	assert folder.append_history(PUSH._replace(at=2.0)) is None
	assert [push.at for push in folder.history()] == [1e9, 2.0]


# --- ticks -----------------------------------------------------------------------------------------


def test_each_driver_has_its_last_tick(folder: StateFolder) -> None:
	for number, trigger in enumerate(TRIGGERS):
		for at in (number, number + 10):
			assert folder.write_tick(Tick(trigger, float(at), 60.0, "노드-1", "not_due")) is None
	assert folder.ticks() == [
		Tick(trigger, number + 10.0, 60.0, "노드-1", "not_due", since=float(number))
		for number, trigger in enumerate(TRIGGERS)
	]


@pytest.mark.parametrize(
	("runs", "repeated"),
	[
		([0], False),
		([0, 2, 5], False),
		([0, 44], False),
		([0, 45], True),
		([0, 20, 40, 60], True),
		([0, 60, 361], False),
		([0, 60, 361, 421], True),
		([0, 60, 50], False),
	],
)
def test_a_trigger_is_what_ran_again_and_again(folder: StateFolder, runs: list[int], repeated: bool) -> None:
	for at in runs:
		folder.write_tick(Tick("cron", 1e9 + at, 60.0, "n", "not_due"))
	assert [tick.is_repeated for tick in folder.ticks()] == [repeated]


def test_a_tick_of_an_older_version_counts_as_one_that_ran_before(folder: StateFolder) -> None:
	written = {"trigger": "cron", "at": 1e9, "push_interval": 60.0, "node_id": "n", "outcome": "not_due"}
	write_raw(folder, json.dumps(written).encode(), "tick-cron.json")
	assert folder.ticks()[0].is_repeated
	folder.write_tick(Tick("cron", 1e9 + 60, 60.0, "n", "not_due"))
	assert folder.ticks()[0].is_repeated


@in_one_folder
@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
def test_a_tick_that_is_not_ours_is_left_out(folder: StateFolder, content: bytes) -> None:
	folder.write_tick(Tick("cron", 1.0, 60.0, "n", "not_due"))
	write_raw(folder, content, "tick-timer.json")
	assert [tick.trigger for tick in folder.ticks()] == ["cron"]


def test_a_tick_leaves_no_other_file_behind(folder: StateFolder) -> None:
	folder.write_tick(Tick("cron", 1.0, 60.0, "n", "not_due"))
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
	assert folder.write_tick(Tick("cron", 1.0, 60.0, "n", "not_due")) is None


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


@pytest.mark.parametrize("mode", [0o2750, 0o2700, 0o770])
def test_the_group_reads_along_only_where_the_folder_is_made_for_it(folder: StateFolder, mode: int) -> None:
	os.mkdir(folder.path)
	os.chmod(folder.path, mode)
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
		problems = [
			folder.write(state.recorded(PUSH, 3)),
			folder.append_history(PUSH),
			folder.write_tick(tick),
		]
		return [state.totals.get("delivered", 0), warnings, problems]

	for number, user in enumerate((timer_user, bench_user, timer_user)):
		assert as_user(user, write_all, gid=group) == [number, [], [None] * 3]
	assert modes(folder) == dict.fromkeys(EVERYTHING, 0o660)


# --- several at once -------------------------------------------------------------------------------


def test_a_reader_beside_a_writer_never_sees_half_a_state(folder: StateFolder) -> None:
	writer = (
		"import sys\n"
		"from prego_metrics.agent.state.model import State\n"
		"from prego_metrics.agent.state.store import StateFolder\n"
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
		"from prego_metrics.agent.state.model import Tick\n"
		"from prego_metrics.agent.state.store import StateFolder\n"
		"folder = StateFolder(sys.argv[1])\n"
		"for at in range(300):\n"
		"	assert folder.write_tick(Tick('cron', float(at), 60.0, 'n', 'not_due')) is None\n"
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
	assert not State().unfinished and State().pace == Pace()
	assert State(last_attempt_at=1.0).unfinished and State(last_attempt_at=1.0).pace == Pace(1.0, 1)
	assert State(last_attempt_at=2.0, last=PUSH._replace(at=1.0)).unfinished
	finished = State(last_attempt_at=2.0, last=PUSH._replace(at=2.0))
	assert not finished.unfinished and finished.pace == Pace(2.0)
	assert finished._replace(last=PUSH._replace(at=2.0, outcome="refused")).pace.failures == 1


@given(
	st.lists(st.sampled_from(("delivered", "refused", "failed", "not_sent")), max_size=40), st.integers(1, 4)
)
def test_transitions_alternate_and_come_exactly_when_a_row_of_failures_is_long_enough(
	outcomes: list[str], alert_after: int
) -> None:
	state, row, expected = State(), 0, []
	for number, outcome in enumerate(outcomes):
		state = state.recorded(PUSH._replace(at=float(number), outcome=outcome), alert_after)
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
	assert [(one.kind, one.failures, one.at) for one in state.events] == expected[-20:]
	assert sum(state.totals.values()) == len(outcomes)
