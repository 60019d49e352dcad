"""What is worth telling is told once by each means, whoever sees it first, and holds up no push."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from pushing import aim, folder_of, push_now, scheduled, spare_the_sample, state_of

from prego_metrics.agent.alerts.receipts import current_events, take_unsent, withdraw_receipt
from prego_metrics.agent.alerts.rendering import description, title
from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.base.messages import Message, translated
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.model import Push, State
from prego_metrics.sandbox.server import LocalControlPlane

NOW = 1.7e9
MINUTE = 60.0


@pytest.fixture
def bench(bench_folder: Path) -> Path:
	spare_the_sample(bench_folder)
	return bench_folder


def config_of(bench_folder: Path) -> Config:
	return load_config(open_bench(str(bench_folder)), {})


def claim(bench_folder: Path, channel: str, **options) -> list[str]:
	"""The kinds that a channel claims now."""
	config = config_of(bench_folder)
	return [one.kind for one in take_unsent(folder_of(bench_folder), channel, config, **options)]


def pushed(at: float, outcome: str = "delivered", tenants: int = 10, disk: float | None = 50.0) -> Push:
	payload = {"node_id": "node-1", "tenant_count": tenants, "source": "node_push"}
	if disk is not None:
		payload["disk_pct"] = disk
	error = None if outcome == "delivered" else "no connection"
	return Push(f"{int(at * 1000) % 16**16:016x}", at, "cron", outcome, payload, None, 1, 12, error)


def kinds_after(*pushes: Push, alert_after: int = 3, disk_alert_pct: float = 90.0) -> list[str]:
	state = State()
	for push in pushes:
		state = state.recorded(push, alert_after, disk_alert_pct)
	return [one.kind for one in state.events]


# --- what is worth telling -------------------------------------------------------------------------


def test_an_hour_without_the_control_plane_is_two_transitions_in_all() -> None:
	minutes = [pushed(NOW + MINUTE * n, "delivered" if n < 5 or n > 65 else "failed") for n in range(120)]
	state = State()
	for push in minutes:
		state = state.recorded(push, 3, 90.0)
		assert state.stale_event("node-1", push.at + 30, 300.0) is None
	failing, recovered = state.events
	assert (failing.kind, failing.failures, failing.since) == ("failing", 3, NOW + 5 * MINUTE)
	assert (recovered.kind, recovered.failures, recovered.since) == ("recovered", 61, NOW + 5 * MINUTE)


@pytest.mark.parametrize(
	("counts", "told"),
	[
		([10, 9, 5, 4, 3], []),
		([10, 5], []),
		([10, 4], ["tenants_fell"]),
		([1, 0], ["tenants_fell"]),
		([2, 1], []),
		([10, 0, 0, 0], ["tenants_fell"]),
		([0, 0, 5], []),
		([100, 40, 15, 100], ["tenants_fell", "tenants_fell"]),
	],
)
def test_a_count_that_falls_to_nothing_or_by_more_than_half_is_told(
	counts: list[int], told: list[str]
) -> None:
	assert kinds_after(*(pushed(NOW + n, tenants=count) for n, count in enumerate(counts))) == told


def test_the_counts_of_delivered_pushes_alone_are_compared() -> None:
	pushes = [pushed(NOW, tenants=10), pushed(NOW + 1, "failed", 0), pushed(NOW + 2, tenants=4)]
	assert kinds_after(*pushes) == ["tenants_fell"]
	assert kinds_after(*pushes[:2]) == []


def test_another_node_id_is_another_nodes_count() -> None:
	other = pushed(NOW + 1, tenants=1)
	other = other._replace(payload={**other.payload, "node_id": "node-2"})
	assert kinds_after(pushed(NOW, tenants=10), other) == []


@pytest.mark.parametrize(
	("percents", "told"),
	[
		([89.9, 90.0, 95.0, 89.0, 91.0, 85.0], ["disk_full"]),
		([91.0, 84.9, 91.0], ["disk_full", "disk_freed", "disk_full"]),
		([91.0, None, 91.0], ["disk_full"]),
		([None, 50.0], []),
	],
)
def test_a_full_disk_is_told_once_until_it_fell_well_below(
	percents: list[float | None], told: list[str]
) -> None:
	pushes = [pushed(NOW + n, disk=percent) for n, percent in enumerate(percents)]
	assert kinds_after(*pushes) == told
	assert kinds_after(*pushes, disk_alert_pct=0) == []


def test_a_disk_is_told_of_while_the_control_plane_is_away() -> None:
	assert kinds_after(pushed(NOW, "failed", disk=99.0)) == ["disk_full"]


def test_stale_is_when_nothing_was_delivered_or_even_tried_for_too_long() -> None:
	state = State().recorded(pushed(NOW), 3)
	assert state.stale_event("node-1", NOW + 300, 300.0) is None
	stale = state.stale_event("node-1", NOW + 301, 300.0)
	assert stale == AlertEvent(pushed(NOW).id, NOW + 300, "stale", since=NOW)
	assert state.stale_event("node-1", NOW + 9000, 300.0) == stale
	assert state.stale_event("node-2", NOW + 301, 300.0) is None
	assert state.stale_event("", NOW + 301, 300.0) == stale  # the hardened mode: only the push knows its node
	assert State().stale_event("node-1", NOW, 300.0) is None
	tried = state.recorded(pushed(NOW + 250, "failed"), 10)
	assert tried.stale_event("node-1", NOW + 301, 300.0) is None
	asked = tried._replace(not_before=NOW + 900)
	# An attempt that was answered with a time to wait is no sign that the row will be written soon.
	assert asked.stale_event("node-1", NOW + 299, 300.0) is None
	assert asked.stale_event("node-1", NOW + 301, 300.0) == stale
	assert state.recorded(pushed(NOW + 1, "failed"), 1).stale_event("node-1", NOW + 9000, 300.0) is None


def test_silence_is_told_too_when_the_clock_went_back_by_hours_before_it() -> None:
	state = State().recorded(pushed(NOW, "delivered"), 3)
	assert state.stale_event("node-1", NOW - 4, 300.0) is None  # the clock is being set right
	silent = state.stale_event("node-1", NOW - 90_000, 300.0)
	assert silent and silent.kind == "stale"
	tried = state.recorded(pushed(NOW - 89_990, "failed"), 3)
	assert tried.stale_event("node-1", NOW - 89_980, 300.0) is None


@pytest.mark.parametrize("kind", ALERTS)
def test_each_sentence_can_be_translated_and_shows_hostile_text_as_escapes(kind: str) -> None:
	event = AlertEvent("0" * 16, NOW, kind, 3, "a\x1b[2J\u202e{failures}\nmore", NOW - 60, 9, 1, 93.5)
	for sentence in (title(event, "n\u202e\n{x}"), description(event)):
		assert isinstance(sentence, Message) and sentence.isprintable()
		assert translated(sentence, lambda template: template) == sentence


# --- claims ----------------------------------------------------------------------------------------


def test_each_channel_tells_failing_and_recovered_once(bench: Path, control_plane: LocalControlPlane) -> None:
	told: list[list[str]] = []
	with HostileServer(answer(400)) as server:
		for url in [server.url] * 5 + [control_plane.url] * 3:
			push_now(aim(bench, url, alert_after=3))
			told.append(claim(bench, "error-log"))
	assert told == [[], [], ["failing"], [], [], ["recovered"], [], []]
	assert claim(bench, "mail") == ["failing", "recovered"]
	assert claim(bench, "mail") == []


def test_a_claim_by_several_at_once_is_granted_to_one(bench: Path) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, alert_after=1))
	program = (
		"import sys\n"
		"from prego_metrics.agent.bench.locate import open_bench\n"
		"from prego_metrics.agent.alerts.receipts import take_unsent\n"
		"from prego_metrics.agent.config.config import load_config\n"
		"from prego_metrics.agent.state.store import StateFolder\n"
		"bench = open_bench(sys.argv[1])\n"
		"print(len(take_unsent(StateFolder(bench.sites), 'mail', load_config(bench, {}))))\n"
	)
	processes = [
		subprocess.Popen([sys.executable, "-c", program, str(bench)], stdout=subprocess.PIPE, text=True)
		for _ in range(6)
	]
	assert sorted(process.communicate(timeout=30)[0] for process in processes) == ["0\n"] * 5 + ["1\n"]


def test_a_claim_that_is_given_back_is_granted_again(bench: Path) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, alert_after=1))
	config = config_of(bench)
	(failing,) = take_unsent(folder_of(bench), "mail", config)
	withdraw_receipt(folder_of(bench), "mail", failing)
	assert claim(bench, "mail") == ["failing"]


def test_a_claim_waits_for_no_push_and_holds_up_none(bench: Path, control_plane: LocalControlPlane) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, alert_after=1))
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		began = time.monotonic()
		assert claim(bench, "mail") == ["failing"]
		assert time.monotonic() - began < 0.2


def test_what_lies_more_than_a_day_back_is_told_no_more(bench: Path) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, alert_after=1, alert_repeat=0))
	assert claim(bench, "mail", clock=lambda: time.time() + 86500) == []
	assert claim(bench, "mail", clock=lambda: time.time() + 86000) == ["failing"]


def test_claims_are_removed_after_two_days(bench: Path) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, alert_after=1))
	old = Path(folder_of(bench).path) / "sent-mail-failing-0000000000000000"
	old.touch()
	os.utime(old, (time.time() - 3 * 86400,) * 2)
	assert claim(bench, "mail") == ["failing"]
	left = [name for name in os.listdir(folder_of(bench).path) if name.startswith("sent-")]
	assert left == [f"sent-mail-failing-{state_of(bench).last.id}"]


def test_what_cannot_be_claimed_is_not_told(bench: Path) -> None:
	with HostileServer(answer(400)) as server:
		push_now(aim(bench, server.url, alert_after=1))
	os.mkdir(Path(folder_of(bench).path) / f"sent-mail-failing-{state_of(bench).last.id}")
	assert claim(bench, "mail") == []


# --- stale, by real pushes -------------------------------------------------------------------------


def delivered_long_ago(bench: Path, control_plane: LocalControlPlane, **settings: object) -> None:
	push_now(aim(bench, control_plane.url, **settings))
	state = state_of(bench)
	assert state.last is not None
	old = state.last._replace(at=time.time() - 1000)
	folder_of(bench).write(state._replace(last=old, last_delivered=old, last_attempt_at=old.at))


def test_a_tick_that_does_not_push_tells_that_nobody_does_and_a_delivery_that_it_is_over(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	delivered_long_ago(bench, control_plane, scheduler_pushes=False)
	for expected in (["stale"], [], []):
		assert push_now(bench, scheduled("frappe")).outcome == "not_due"
		assert claim(bench, "mail") == expected
	assert push_now(bench).outcome == "delivered"
	assert [claim(bench, "mail") for _ in range(2)] == [["recovered"], []]


def test_one_that_holds_the_lock_and_never_ends_is_told_as_stale(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	delivered_long_ago(bench, control_plane)
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		assert push_now(bench, scheduled()).outcome == "busy"
		assert claim(bench, "mail") == ["stale"]


def test_an_outage_that_was_told_as_stale_is_not_told_as_failing_too(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	delivered_long_ago(bench, control_plane, alert_after=2)
	assert claim(bench, "mail") == ["stale"]
	with HostileServer(answer(400)) as server:
		for _ in range(4):
			push_now(aim(bench, server.url, alert_after=2))
			assert claim(bench, "mail") == []
	push_now(aim(bench, control_plane.url, alert_after=2))
	assert claim(bench, "mail") == ["recovered"]


def test_what_nobody_was_told_of_is_not_told_to_have_ended(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	delivered_long_ago(bench, control_plane)
	assert push_now(bench).outcome == "delivered"
	assert current_events(folder_of(bench), state_of(bench), config_of(bench), time.time()) == []


def test_a_lock_held_for_a_moment_costs_a_tick_nothing(bench: Path, control_plane: LocalControlPlane) -> None:
	import threading

	aim(bench, control_plane.url)
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		threading.Timer(0.05, lock.release).start()
		assert push_now(bench, scheduled()).outcome == "delivered"


# --- who -------------------------------------------------------------------------------------------


def test_who_pushed_by_hand_is_kept_fit_to_show_and_bounded(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url)
	push_now(bench, Request(who="ops@example.com"))
	push_now(bench, Request(who="x\u202e\n" * 100))
	push_now(bench)
	first, second, third = (push.who for push in folder_of(bench).history())
	assert (first, third) == ("ops@example.com", None)
	assert second is not None and second.isprintable() and len(second) <= 140
