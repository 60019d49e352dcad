"""Maintenance holds alerts while pushes go on, and ends by itself; what still lasts then is sent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from pushing import aim, folder_of, push_now, spare_the_sample, state_of

from prego_metrics.agent.alerts.receipts import take_unsent
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.maintenance import (
	FRAPPE,
	MAX_SECONDS,
	OPERATOR,
	Maintenance,
	holding,
	maintenances,
	stop_maintenances,
	write_maintenance,
)
from prego_metrics.agent.state.status import judge_status
from prego_metrics.sandbox.server import LocalControlPlane

HOUR = 3600.0


@pytest.fixture
def bench(bench_folder: Path) -> Path:
	spare_the_sample(bench_folder)
	return bench_folder


def sent(bench: Path, channel: str = "mail", *, after: float = 0.0) -> list[str]:
	"""The kinds that a channel sends `after` so many seconds from now; a reminder ends with its number."""
	config = load_config(open_bench(str(bench)), {})
	events = take_unsent(folder_of(bench), channel, config, clock=lambda: time.time() + after)
	return [event.kind + (f" {event.repeat}" if event.repeat else "") for event in events]


def maintain(bench: Path, since: float = 0.0, until: float = HOUR) -> None:
	now = time.time()
	assert write_maintenance(folder_of(bench), Maintenance(OPERATOR, now + since, now + until)) is None


def frappe_mode(bench: Path, value: object) -> None:
	path = bench / "sites" / "common_site_config.json"
	path.write_text(json.dumps({**json.loads(path.read_text()), "maintenance_mode": value}))


def fail(bench: Path, **settings: object) -> None:
	with HostileServer(answer(400)) as server:
		assert push_now(aim(bench, server.url, alert_after=1, **settings)).outcome == "refused"


def held_until(bench: Path, after: float = 0.0) -> float | None:
	"""In how many seconds from then the maintenance ends, None for none."""
	now = time.time() + after
	mode = load_config(open_bench(str(bench)), {}).bench_in_maintenance
	held = holding(maintenances(folder_of(bench), mode, now), now)
	return None if held is None else held.until - now


def test_an_alert_is_held_and_sent_at_the_end_if_it_still_lasts(bench: Path) -> None:
	maintain(bench)
	fail(bench)
	assert state_of(bench).last.outcome == "refused"  # pushes go on
	assert sent(bench) == sent(bench, after=HOUR - 60) == []
	assert sent(bench, after=HOUR + 1) == ["failing"]
	assert sent(bench, after=HOUR + 2) == []


def test_an_alert_that_was_held_has_the_figures_of_when_it_is_sent(bench: Path) -> None:
	maintain(bench)
	for _ in range(3):
		fail(bench)
	config = load_config(open_bench(str(bench)), {})
	(alert,) = take_unsent(folder_of(bench), "mail", config, clock=lambda: time.time() + HOUR + 1)
	assert (alert.kind, alert.failures, alert.since) == ("failing", 3, state_of(bench).failing_since)


def test_an_alert_that_came_and_went_meanwhile_is_never_sent(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	maintain(bench)
	fail(bench)
	assert sent(bench) == []
	maintain(bench, -HOUR, 0)  # over, and nobody looked before the next push
	push_now(aim(bench, control_plane.url))
	assert [event.kind for event in state_of(bench).events] == ["failing", "recovered"]
	assert sent(bench, after=1) == []
	os.remove(Path(folder_of(bench).path) / "maintenance-operator.json")
	assert sent(bench, after=2) == []


def test_a_channel_that_sent_the_failure_sends_the_recovery_after_the_maintenance(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	fail(bench)
	assert sent(bench) == ["failing"]
	maintain(bench)
	push_now(aim(bench, control_plane.url, push_interval=86400))
	assert sent(bench) == []
	assert sent(bench, after=HOUR + 1) == ["recovered"]


def test_a_day_of_maintenance_loses_no_alert(bench: Path) -> None:
	maintain(bench, until=MAX_SECONDS)
	fail(bench, alert_repeat=0)
	assert sent(bench, after=MAX_SECONDS + 600) == ["failing"]


@pytest.mark.parametrize(
	"record",
	[
		"",
		"{",
		"[]",
		"[" * 100_000,
		'{"since": 0, "until": 1e11}',
		'{"since": "now", "until": 1e10}',
		'{"since": NaN, "until": NaN}',
		"endless",
		"in the future",
		"backwards",
		"fifo",
		"symlink",
		"folder",
		"1 MB",
	],
)
def test_a_record_that_is_not_ours_silences_nothing(record: str, bench: Path, tmp_path: Path) -> None:
	fail(bench)
	now = time.time()
	good = {"since": now - 1, "until": now + HOUR, "reason": "", "over": False}
	path = Path(folder_of(bench).path) / "maintenance-operator.json"
	contents = {
		"endless": {**good, "until": now + MAX_SECONDS + 1},
		"in the future": {**good, "since": now + 60},
		"backwards": {**good, "since": now + 2, "until": now + 1},
		"1 MB": {**good, "more": "x" * (1 << 20)},
	}
	if record == "fifo":
		os.mkfifo(path)
	elif record == "folder":
		path.mkdir()
	elif record == "symlink":
		(tmp_path / "elsewhere").write_text(json.dumps(good))
		path.symlink_to(tmp_path / "elsewhere")
	else:
		path.write_text(json.dumps(contents[record]) if record in contents else record)
	assert held_until(bench) is None
	assert sent(bench) == ["failing"]


@pytest.mark.parametrize("step", [-3 * HOUR, -400 * 86400.0, 3 * HOUR, 400 * 86400.0])
def test_no_step_of_the_clock_prolongs_a_maintenance(step: float, bench: Path) -> None:
	fail(bench, alert_repeat=0)
	maintain(bench, since=-60)
	frappe_mode(bench, 1)
	assert held_until(bench) == pytest.approx(MAX_SECONDS, abs=5)
	frappe_mode(bench, 0)
	assert held_until(bench) == pytest.approx(HOUR, abs=5)
	assert held_until(bench, after=step) is None


@pytest.mark.parametrize(("value", "holds"), [(1, True), (True, True), (0, False), (None, False)])
def test_frappes_mode_for_the_whole_bench_holds_alerts(value: object, holds: bool, bench: Path) -> None:
	fail(bench)
	frappe_mode(bench, value)
	assert sent(bench) == ([] if holds else ["failing"])
	frappe_mode(bench, 0)
	assert sent(bench) == (["failing"] if holds else [])


def test_the_mode_of_a_single_site_holds_nothing(bench: Path, make_site: Callable[..., Path]) -> None:
	make_site(bench, "one.example", maintenance_mode=1)
	fail(bench)
	assert sent(bench) == ["failing"]


def test_frappes_mode_left_on_ends_a_day_after_it_was_first_seen_and_is_not_begun_again(bench: Path) -> None:
	fail(bench)
	frappe_mode(bench, 1)
	push_now(bench)  # whatever comes first sees it
	assert maintenances(folder_of(bench), None, time.time())[0].source == FRAPPE
	assert sent(bench) == sent(bench, after=MAX_SECONDS - 5) == []
	assert sent(bench, after=MAX_SECONDS + 5) == ["failing"]
	assert held_until(bench, after=2 * MAX_SECONDS) is None
	frappe_mode(bench, 0)
	assert held_until(bench, after=2 * MAX_SECONDS + 1) is None
	frappe_mode(bench, 1)
	assert held_until(bench, after=2 * MAX_SECONDS + 2) == MAX_SECONDS


def test_a_push_notes_the_end_of_frappes_mode_so_that_the_next_one_holds_alerts_for_its_own_day(
	bench: Path,
) -> None:
	"""Where no channel looks for alerts while all is well, as with systemd's OnFailure=, nobody else sees its end."""
	for mode in (1, 0):
		frappe_mode(bench, mode)
		push_now(bench)
	fail(bench)
	frappe_mode(bench, 1)
	assert sent(bench, after=2 * MAX_SECONDS) == []


def test_frappes_mode_that_cannot_be_noted_holds_nothing(bench: Path) -> None:
	fail(bench)
	frappe_mode(bench, 1)
	(Path(folder_of(bench).path) / "maintenance-frappe.json").mkdir()
	assert sent(bench) == ["failing"]


def test_stop_ends_every_maintenance_and_frappes_mode_stays_ended(bench: Path) -> None:
	fail(bench)
	maintain(bench)
	frappe_mode(bench, 1)
	assert sent(bench) == []
	now = time.time()
	assert stop_maintenances(folder_of(bench), maintenances(folder_of(bench), True, now), now) is None
	assert sent(bench, after=1) == ["failing"]


def test_the_status_shows_what_holds_alerts(bench: Path, control_plane: LocalControlPlane) -> None:
	push_now(aim(bench, control_plane.url))
	now = 1_800_000_000.0
	folder, config = folder_of(bench), load_config(open_bench(str(bench)), {})
	assert judge_status(state_of(bench), config, now, folder=folder).as_dict()["maintenance"] is None
	write_maintenance(folder, Maintenance(OPERATOR, now, now + HOUR, "new | disk"))
	status = judge_status(state_of(bench), config, now + 1, folder=folder)
	assert status.as_dict()["maintenance"] == {
		"source": "operator",
		"since": "2027-01-15T08:00:00Z",
		"until": "2027-01-15T09:00:00Z",
		"reason": "new | disk",
	}
	assert "alerts are held until 2027-01-15T09:00:00Z: maintenance, new \\x7c disk |" in status.plugin_line


# --- reminders --------------------------------------------------------------------------------------


def test_a_failure_is_repeated_once_per_period_and_channel_while_it_lasts(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	fail(bench, alert_repeat=2)
	assert sent(bench) == ["failing"]
	assert sent(bench, after=2 * HOUR - 5) == []
	assert sent(bench, after=2 * HOUR + 5) == ["failing 1"]
	assert sent(bench, after=2 * HOUR + 6) == []
	assert sent(bench, "other", after=2 * HOUR + 7) == ["failing"]
	assert sent(bench, after=90 * HOUR) == ["failing 2"]  # what was missed meanwhile is not made up for
	assert sent(bench, after=200 * HOUR) == ["failing 3"]
	push_now(aim(bench, control_plane.url, alert_repeat=2))
	assert sent(bench, after=300 * HOUR) == ["stale"]


def test_with_a_period_of_0_nothing_is_repeated(bench: Path) -> None:
	fail(bench, alert_repeat=0)
	assert sent(bench) == ["failing"]
	assert [sent(bench, after=hours * HOUR) for hours in (23, 25, 49, 1000)] == [[], [], [], []]


def test_a_recovery_is_not_repeated(bench: Path, control_plane: LocalControlPlane) -> None:
	fail(bench)
	push_now(aim(bench, control_plane.url, alert_repeat=1, push_interval=86400))
	assert sent(bench) == ["failing", "recovered"]
	assert sent(bench, after=2 * HOUR) == []


def test_silence_is_repeated_and_so_is_what_fails_after_it(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	push_now(aim(bench, control_plane.url, alert_repeat=1))
	assert sent(bench, after=HOUR) == ["stale"]
	assert sent(bench, after=2 * HOUR + 5) == ["stale 1"]
	fail(bench, alert_repeat=1)
	assert [event.kind for event in state_of(bench).events] == []
	assert sent(bench, after=3 * HOUR + 10) == ["stale 2"]


def test_a_full_disk_is_repeated_with_the_figure_of_now(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	push_now(aim(bench, control_plane.url, disk_alert_pct=1, alert_repeat=1, push_interval=86400))
	assert sent(bench) == ["disk_full"]
	state = state_of(bench)
	last = state.last._replace(payload={**state.last.payload, "disk_pct": 99.5})
	folder_of(bench).write(state._replace(last=last))
	config = load_config(open_bench(str(bench)), {})
	(again,) = take_unsent(folder_of(bench), "mail", config, clock=lambda: time.time() + HOUR + 1)
	assert (again.kind, again.repeat, again.disk_pct) == ("disk_full", 1, 99.5)


def test_a_clock_that_was_years_ahead_does_not_stop_the_reminders(bench: Path) -> None:
	fail(bench, alert_repeat=1)
	assert sent(bench, after=1000 * 86400.0) == ["failing"]
	assert sent(bench) == ["failing 1"]
	assert sent(bench) == []
