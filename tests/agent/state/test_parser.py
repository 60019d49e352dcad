"""The state comes back as it was written, and is read as hostile input."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pushing import earlier_reading
from raw_states import PUSH, in_one_folder, write_raw, written
from strategies_push import json_values, mutated, pushes, states

from prego_metrics.agent.alerts.rendering import description, title
from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.agent.state.parser import parse_state
from prego_metrics.agent.state.store import StateFolder, as_stored

PAYLOAD = dict(PUSH.payload or {})

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
	for event in following.events:
		assert event.kind in ALERTS
		assert title(event, "n").isprintable() and description(event, str).isprintable()


def test_the_largest_state_of_ours_can_be_read_again(folder: StateFolder) -> None:
	error = coded("unexpected", error="\U0001f4a5" * 970)
	payload = {"node_id": "\U0001f4a5" * 255, "tenant_count": 10**9, "source": "node_push"}
	push = Push("0" * 16, 1e9, "frappe", "failed", payload, 503, 3, 120000, error)
	events = tuple(
		AlertEvent("0" * 16, 1e9, "tenants_fell", 10**6, error, 1e9, 10**9, 10**9, 99.9) for _ in range(20)
	)
	state = State(last=push, last_delivered=push, events=events, cpu=earlier_reading())
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
	assert (warning.code, warning.params["fate"].code) == ("state_invalid", "set_aside_later")
	assert warning.isprintable()
	assert path.read_bytes() == content
	assert folder.read(set_aside=True)[1][0].params["fate"].code == "set_aside"
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
		assert found.unfinished in (True, False) and found.pace.failures >= 0
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
		b'{"version": 3}',
		b'{"version": "1"}',
		b'{"version": true}',
		b'{"version": 1.5}',
		b'{"version": 2, "last_attempt_at": NaN}',
		b'{"version": 2, "last_attempt_at": Infinity}',
		b'{"version": 2, "last_attempt_at": -1}',
		b'{"version": 2, "last_attempt_at": true}',
		b'{"version": 2, "last_attempt_at": "1"}',
		b'{"version": 2, "last_attempt_at": 1e300}',
		b'{"version": 2, "last_attempt_at": ' + b"9" * 5000 + b"}",
		b'{"version": 2, "failures_in_a_row": -1}',
		b'{"version": 2, "failures_in_a_row": 1.5}',
		b'{"version": 2, "alerted": 1}',
		b'{"version": 2, "events": {}}',
		b'{"version": 2, "events": [1]}',
		b'{"version": 2, "events": [' + b",".join([b"{}"] * 21) + b"]}",
		b'{"version": 2, "cpu": {"boot_id": "x"}}',
		b'{"version": 2, "last": {"id": "x"}}',
		b'{"version": 2, "totals": {"delivered": "many"}}',
		b'{"version": 2, "unknown": 1, "new": "' + b"x" * 40_000 + b'"}',
		b'{"version": 2, "events": [{"kind": "\\u001b[2J"}]}',
		b'{"version": 1, "transitions": {}}',
		b"[" * 100_000,
		b'{"version": 2, "ballast": "' + b"x" * (1 << 20) + b'"}',
	],
	ids=lambda content: repr(content[:50]),
)
def test_what_no_state_of_ours_holds_is_set_aside(folder: StateFolder, content: bytes) -> None:
	assert_ignored_and_set_aside(folder, content)


LAST = as_stored(PUSH)
READING = {"boot_id": "b", "boot_seconds": 1.0, "cpus": 2, "times": {}}
EVENT = {"id": "0" * 16, "at": 1e9, "kind": "failing"}


def numbered(count: int) -> dict[str, int]:
	return {f"field_{number}": number for number in range(count)}


@pytest.mark.parametrize(
	("most", "more", "name", "place"),
	[
		({"last_attempt_at": 1e11}, {"last_attempt_at": 1.1e11}, "last_attempt_at", "the state"),
		({"last_attempt_at": 0}, {"last_attempt_at": -1}, "last_attempt_at", "the state"),
		({"failures_in_a_row": 10**11}, {"failures_in_a_row": 10**11 + 1}, "failures_in_a_row", "the state"),
		({"row_mark": "x" * 2000}, {"row_mark": "x" * 2001}, "row_mark", "the state"),
		(
			{"site_marks": ["0a1b2c3d"] * 3},
			{"site_marks": ["0a1b2c3d", "0a1b2c3d4"]},
			"site_marks",
			"the state",
		),
		({"site_marks": []}, {"site_marks": [7]}, "site_marks", "the state"),
		({"totals": numbered(50)}, {"totals": numbered(51)}, "its size", "totals"),
		({"totals": {"x" * 64: 1}}, {"totals": {"x" * 65: 1}}, "its size", "totals"),
		({"last": {**LAST, "error": "x" * 2000}}, {"last": {**LAST, "error": "x" * 2001}}, "error", "last"),
		({"last": {**LAST, "who": "x" * 2000}}, {"last": {**LAST, "who": "x" * 2001}}, "who", "last"),
		({"last": {**LAST, "trigger": "x" * 64}}, {"last": {**LAST, "trigger": "x" * 65}}, "trigger", "last"),
		(
			{"last": {**LAST, "status_code": None}},
			{"last": {**LAST, "status_code": "200"}},
			"status_code",
			"last",
		),
		(
			{"last": {**LAST, "payload": {**numbered(48), "node_id": "n", "tenant_count": 1}}},
			{"last": {**LAST, "payload": {**numbered(49), "node_id": "n", "tenant_count": 1}}},
			"its size",
			"payload",
		),
		(
			{"cpu": {**READING, "times": numbered(50)}},
			{"cpu": {**READING, "times": numbered(51)}},
			"times",
			"cpu",
		),
		({"events": [EVENT] * 20}, {"events": [EVENT] * 21}, "events", "the state"),
		({"events": []}, {"events": [EVENT, 1]}, "events", "the state"),
		# 32 KiB of JSON, with the name and the quotes.
		({"new": "x" * 32_757}, {"new": "x" * 32_758}, "its size", "the state"),
	],
)
def test_what_another_wrote_has_limits_and_what_is_beyond_them_is_named(
	most: dict[str, object], more: dict[str, object], name: str, place: str
) -> None:
	parse_state(json.dumps({"version": 2, **most}))
	with pytest.raises(ValueError) as raised:
		parse_state(json.dumps({"version": 2, **more}))
	assert raised.value.args[0].params == {"name": name, "place": place}


def test_who_asked_for_a_push_is_cut_and_an_odd_name_in_an_error_too() -> None:
	last = {**LAST, "who": "x" * 141}
	assert parse_state(json.dumps({"version": 2, "last": last})).last == PUSH._replace(who="x" * 140)
	last = {**LAST, "payload": {**PAYLOAD, "X" * 50: 1}}
	with pytest.raises(ValueError) as raised:
		parse_state(json.dumps({"version": 2, "last": last}))
	assert raised.value.args[0].params["name"] == "X" * 39 + "…"


@pytest.mark.parametrize(
	("version", "shown"), [(3, "3"), (0, "0"), (True, "True"), (None, "None"), ("x" * 30, "x" * 19 + "…")]
)
def test_another_version_is_named(version: object, shown: str) -> None:
	with pytest.raises(ValueError) as raised:
		parse_state(json.dumps({"version": version}))
	assert raised.value.args[0].params == {"version": shown, "ours": 2}


@pytest.mark.parametrize("absent", ["failures", "since", "error", "tenants_before", "tenants", "disk_pct"])
def test_of_an_alert_only_what_applies_is_required(absent: str) -> None:
	whole = {**EVENT, "failures": 3, "since": 1.0, "tenants_before": 9, "tenants": 4, "disk_pct": 95.5}
	written = {name: value for name, value in {**whole, "error": "no"}.items() if name != absent}
	(event,) = parse_state(json.dumps({"version": 2, "events": [written]})).events
	assert {name: value for name, value in event._asdict().items() if value} == written


def test_a_state_of_a_future_version_says_which(folder: StateFolder) -> None:
	write_raw(folder, b'{"version": 7}')
	(warning,) = folder.read()[1]
	assert warning.code == "state_invalid"
	assert warning.params["problem"] == "has version 7, but this prego_metrics writes 2"


def test_names_of_fields_that_a_later_version_may_add_are_no_reason_to_start_anew(
	folder: StateFolder,
) -> None:
	path = write_raw(folder, b'{"version": 2, "last_attempt_at": 5, "new": {"a": 1}}')
	state, warnings = folder.read()
	assert (state.last_attempt_at, warnings) == (5.0, [])
	assert folder.write(state.recorded(PUSH, 3)) is None
	stored = json.loads(path.read_bytes())
	assert (stored["new"], stored["last"]["id"]) == ({"a": 1}, PUSH.id)


def test_an_alert_of_another_version_is_ignored_and_kept_until_newer_ones_take_its_place(
	folder: StateFolder,
) -> None:
	event = {"id": "0" * 16, "at": 1e9, "kind": "swap_full", "swap_pct": [99.5]}
	ours = {"id": "1" * 16, "at": 1e9, "kind": "failing", "failures": 3}
	path = write_raw(folder, json.dumps({"version": 2, "alerted": True, "events": [event, ours]}).encode())
	state, warnings = folder.read()
	assert warnings == [] and state.alerted
	assert [known.id for known in state.events] == ["1" * 16]
	assert folder.write(state) is None
	kinds = [stored["kind"] for stored in json.loads(path.read_bytes())["events"]]
	assert kinds == ["swap_full", "failing"] and json.loads(path.read_bytes())["events"][0] == event
	assert folder.write(state._replace(events=state.events * 20)) is None
	assert [stored["kind"] for stored in json.loads(path.read_bytes())["events"]] == ["failing"] * 20
	assert folder.read()[1] == []


def test_a_push_by_a_trigger_and_with_an_outcome_of_another_version_is_read(folder: StateFolder) -> None:
	push = PUSH._replace(trigger="webhook", outcome="unproven")
	state = State(alerted=True, totals={"unproven": 4})._replace(last=push)
	assert folder.write(state) is None and folder.read() == (state, [])
	assert folder.append_history(push) is None and folder.history() == [push]
	assert state.pace.failures == 1


def test_the_largest_state_of_another_version_can_be_read_again(folder: StateFolder) -> None:
	event = {"id": "0" * 16, "at": 1e9, "kind": "swap_full", "x": "x" * 32_000}
	state = {"version": 2, "events": [event] * 20, "more": "x" * 32_000}
	write_raw(folder, json.dumps(state).encode())
	read, warnings = folder.read()
	assert warnings == [] and folder.write(read) is None and folder.read() == (read, [])


def test_a_field_that_another_version_pushed_stays_in_the_payload(folder: StateFolder) -> None:
	payload = {**PAYLOAD, "swap_pct": 3.5, "region": "sg", "drained": True}
	push = PUSH._replace(payload=payload)
	folder.write(State(last=push, last_delivered=push))
	folder.append_history(push)
	state, warnings = folder.read()
	assert warnings == [] and state.last_delivered
	assert state.last_delivered.payload == folder.history()[0].payload == payload


@pytest.mark.parametrize(
	"odd",
	[
		{"node_id": 5},
		{"tenant_count": "many"},
		{"tenant_count": True},
		{"cpu_pct": "a lot"},
		{"cpu_pct": float("nan")},
		{"a field": 1},
		{"\x1b[2J": 1},
		{"nested": {}},
		{"words": "x" * 2001},
		{f"field_{number}": number for number in range(60)},
	],
	ids=range(10),
)
def test_a_payload_that_no_version_pushes_is_no_state_of_ours(
	folder: StateFolder, odd: dict[str, object]
) -> None:
	last = {**as_stored(PUSH), "payload": {**PAYLOAD, **odd}}
	assert_ignored_and_set_aside(folder, json.dumps({"version": 2, "last": last}).encode())


def test_a_state_of_version_1_is_read(folder: StateFolder) -> None:
	shutil.copytree(Path(__file__).parent / "version_1", folder.path)
	state, warnings = folder.read()
	assert warnings == []
	assert state.last and state.last_delivered
	assert (state.failures_in_a_row, state.alerted, state.disk_alerted) == (1, True, True)
	assert (state.last.trigger, state.last_delivered.trigger) == ("frappe", "timer")
	assert [(event.kind, event.at) for event in state.events] == [
		("failing", 1795000060.25),
		("disk_full", 1795000060.25),
	]
	assert folder.history() == [state.last_delivered, state.last]
	assert folder.ticks() == [Tick("timer", 1795000061.0, 60.0, "sg-1", "refused")]
	# Its errors had no codes: they stay as they were written.
	assert state.last.error and state.last.error.code == ""
	assert state.last.error.startswith("the control plane refuses the key")
	assert folder.write(state) is None and folder.read() == (state, [])


def test_an_error_comes_back_with_its_code_and_can_be_translated(folder: StateFolder) -> None:
	push = PUSH._replace(outcome="refused", error=coded("key_refused", answer=401))
	folder.write(State().recorded(push, 1))
	folder.append_history(push)
	state, _ = folder.read()
	assert state.last
	for error in (state.last.error, state.events[0].error, folder.history()[0].error):
		assert error and (error.code, error.params) == ("key_refused", {"answer": 401})
		assert error.template == coded("key_refused", answer=401).template


@pytest.mark.parametrize("code", ["\x1b[2J", "", 3, ["key_refused"], "k" * 100])
def test_a_code_that_is_none_is_not_kept(folder: StateFolder, code: object) -> None:
	last = {**as_stored(PUSH), "outcome": "failed", "error": "abc", "error_code": code}
	write_raw(folder, json.dumps({"version": 2, "last": last}).encode())
	state, warnings = folder.read()
	assert warnings == [] and state.last and state.last.error
	assert (state.last.error, state.last.error.code) == ("abc", "")


@pytest.mark.parametrize(
	"params", [None, 3, [], {"reason": "x"}, {"answer": "\x1b[2J"}, {"answer": {"code": 1}}]
)
def test_an_error_whose_parameters_are_not_ours_is_shown_as_it_was_written(
	folder: StateFolder, params: object
) -> None:
	last = {**as_stored(PUSH), "outcome": "failed", "error": "abc"}
	last |= {"error_code": "key_refused", "error_params": params}
	write_raw(folder, json.dumps({"version": 2, "last": last}).encode())
	state, warnings = folder.read()
	assert warnings == [] and state.last and state.last.error
	assert (state.last.error, state.last.error.code, state.last.error.template) == ("abc", "key_refused", "")


@pytest.mark.parametrize("push_id", ["../../etc/passwd", "0123", "0123456789ABCDEF", "0" * 17, "", None, 5])
def test_an_id_that_becomes_a_files_name_is_one_of_ours_or_refused(
	folder: StateFolder, push_id: object
) -> None:
	event = {"id": push_id, "at": 1e9, "kind": "failing", "failures": 3}
	assert_ignored_and_set_aside(folder, json.dumps({"version": 2, "events": [event]}).encode())


def test_a_symlink_in_place_of_the_file_is_not_followed(folder: StateFolder, tmp_path: Path) -> None:
	victim = tmp_path / "victim"
	victim.write_text(json.dumps(written(State(last_attempt_at=1.0))))
	before = victim.read_bytes()
	os.mkdir(folder.path)
	os.symlink(victim, os.path.join(folder.path, "state.json"))
	state, (warning,) = folder.read(set_aside=True)
	assert (state, warning.code) == (State(), "state_unreadable")
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
	for problem in (folder.write(State()), folder.append_history(PUSH), folder.unwritable()):
		assert "cannot be written" in problem
	assert folder.write_tick(Tick("cron", 1.0, 60.0, "n", "not_due")) is not None
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
	assert folder.write_tick(Tick("cron", 1.0, 60.0, "n", "not_due")) is None
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
	assert "is larger than 1048576 bytes" in folder.read()[1][0]


def test_warnings_about_hostile_content_are_fit_to_show(tmp_path: Path) -> None:
	folder = StateFolder(str(tmp_path / "b\x1b[2J\nench"))
	os.makedirs(folder.path)
	write_raw(folder, b'{"version": "\\u001b[2J\\n\\u202e"}')
	(warning,) = folder.read()[1]
	assert warning.isprintable()
