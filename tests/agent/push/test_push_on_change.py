"""A push that is due since the tenant count is not the delivered one."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from push_processes import command, finish, rewind, start, wait_until
from pushing import ENVIRON, aim, earlier_reading, folder_of, push_now, scheduled, state_of
from watched_control_plane import WatchedControlPlane

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push import attempt
from prego_metrics.agent.push.push import push_on_change
from prego_metrics.agent.push.request import ON_CHANGE, Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.lock import PushLock

POOL = {"push_interval": 300, "exclude_sites": ["pool-*"]}


@pytest.fixture
def pool(bench: Path, control_plane: WatchedControlPlane, make_site: Callable[..., Path]) -> Path:
	"""A bench of three tenants and two pool sites, whose count of 3 was delivered."""
	for name in ("pool-a", "pool-b"):
		make_site(bench, name)
	aim(bench, control_plane.url, **POOL)
	assert tenants(push_now(bench, scheduled())) == 3
	return bench


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
	"""Let a change count as settled as soon as it is over."""
	monkeypatch.setattr("prego_metrics.agent.collectors.stamp.SETTLING_SECONDS", 0.0)


def tenants(result: Result) -> int | None:
	return result.payload["tenant_count"] if result.payload else None


def delivered(bench: Path) -> list[int]:
	"""The counts that were delivered, in order."""
	return [push.payload["tenant_count"] for push in folder_of(bench).history() if push.payload]


def assign(bench: Path, pool_site: str = "pool-a", name: str = "tenant.example.com") -> None:
	time.sleep(0.02)  # the times of folders have steps
	(bench / "sites" / pool_site).rename(bench / "sites" / name)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
	"""What the census counted, in the order of its runs."""
	from prego_metrics.agent.collectors import tenant_count

	counted: list[int] = []
	count = tenant_count.count_tenants

	def counting(config: Config, *marks: tuple[str, ...]) -> Census:
		census = count(config, *marks)
		counted.append(census.tenant_count)
		return census

	monkeypatch.setattr(tenant_count, "count_tenants", counting)
	return counted


@pytest.mark.parametrize("trigger", ["cron", "timer", "frappe", "manual"])
def test_a_renamed_pool_site_is_pushed_by_every_trigger_15_s_after_the_last_push(
	pool: Path, trigger: str
) -> None:
	rewind(pool, 14)
	assign(pool)
	assert push_now(pool, scheduled(trigger)).outcome == "not_due"
	rewind(pool, 1.1)
	assert tenants(push_now(pool, scheduled(trigger))) == 4
	rewind(pool, 16)
	assert push_now(pool, scheduled(trigger)).outcome == "not_due"


@pytest.mark.usefixtures("settled")
def test_nothing_is_counted_while_nothing_changes(pool: Path, counts: list[int]) -> None:
	push_now(pool, scheduled())
	rewind(pool, 20)
	assign(pool, "pool-a", "pool-c")
	for _ in range(3):
		assert push_now(pool, scheduled()).outcome == "not_due"
	assert counts == [3], "one look at what changed, though it did not change the count"


def test_a_push_s_own_count_is_not_made_again(
	pool: Path, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr("prego_metrics.agent.collectors.stamp.SETTLING_SECONDS", 0.0)
	rewind(pool, 400)
	push_now(pool, scheduled())
	rewind(pool, 20)
	assert push_now(pool, scheduled()).outcome == "not_due"
	assert counts == [3]


def test_a_change_that_may_go_on_is_counted_once_to_look_and_once_to_push(
	pool: Path, counts: list[int]
) -> None:
	rewind(pool, 20)
	assign(pool)
	assert tenants(push_now(pool, scheduled())) == 4
	assert counts == [4, 4]


def test_what_is_taken_back_during_the_wait_is_not_pushed(
	pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	rewind(pool, 10)
	assign(pool)

	def sleep(seconds: float) -> None:
		if seconds > 1:
			rewind(pool, seconds)
			assign(pool, "tenant.example.com", "pool-a")

	monkeypatch.setattr("prego_metrics.agent.push.push.time.sleep", sleep)
	assert push_now(pool, scheduled("timer")._replace(spread=True)).outcome == "not_due"
	assert delivered(pool) == [3]


def test_a_site_whose_configuration_comes_later_than_its_folder_is_not_missed(pool: Path) -> None:
	rewind(pool, 20)
	time.sleep(0.02)
	site = pool / "sites" / "new.example.com"
	site.mkdir()
	assert push_now(pool, scheduled()).outcome == "not_due", "half of `bench new-site`"
	(site / "site_config.json").write_text("{}")
	assert tenants(push_now(pool, scheduled())) == 4


def test_a_changed_exclusion_is_pushed(pool: Path, control_plane: WatchedControlPlane) -> None:
	rewind(pool, 20)
	aim(pool, control_plane.url, push_interval=300)
	assert tenants(push_now(pool, scheduled())) == 5


def test_what_is_pending_is_pushed_though_it_was_counted_already(
	pool: Path, monkeypatch: pytest.MonkeyPatch, counts: list[int]
) -> None:
	monkeypatch.setattr("prego_metrics.agent.collectors.stamp.SETTLING_SECONDS", 0.0)
	assign(pool)
	rewind(pool, 5)
	spreading = scheduled()._replace(spread=True)
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", lambda _: None)
		assert push_now(pool, spreading).outcome == "not_due", "it did not wait"
	rewind(pool, 10.1)
	assert tenants(push_now(pool, scheduled())) == 4
	assert counts == [4, 4], "once to look, once to push"


def test_a_trigger_waits_what_is_left_of_the_15_s_and_frappe_s_does_not(
	pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	assign(pool)
	rewind(pool, 5)
	slept: list[float] = []

	def sleep(seconds: float) -> None:
		if seconds > 0.1:
			slept.append(seconds)
			rewind(pool, seconds)

	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", sleep)
		assert push_now(pool, scheduled("frappe")).outcome == "not_due"
		assert slept == []
		assert tenants(push_now(pool, scheduled("timer")._replace(spread=True))) == 4
	assert slept == [pytest.approx(10, abs=1)]


def test_cron_keeps_its_share_of_the_minute(
	pool: Path, control_plane: WatchedControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	from prego_metrics.agent.state.schedule import spread_share_seconds

	aim(pool, control_plane.url, **POOL, spread=55)
	rewind(pool, 60)
	assign(pool)
	slept: list[float] = []
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", slept.append)
		assert tenants(push_now(pool, scheduled()._replace(spread=True))) == 4
	assert spread_share_seconds("node-1", 55.0) in slept


def test_a_failing_node_is_not_driven_by_changes(pool: Path, counts: list[int]) -> None:
	with HostileServer(answer(503)) as server:
		aim(pool, server.url, **POOL)
		rewind(pool, 300)
		assert push_now(pool, scheduled()).outcome == "failed"
		requests = len(server.bodies)
		assign(pool)
		rewind(pool, 40)
		assert push_now(pool, scheduled()).outcome == "not_due"
		assert push_now(pool, ON_CHANGE).outcome == "not_due"
		assert len(server.bodies) == requests
	assert counts == [3], "nor does it count for them"


def test_a_failed_push_for_a_change_is_followed_by_the_regular_ones(pool: Path) -> None:
	with HostileServer(answer(503)) as server:
		aim(pool, server.url, **POOL)
		rewind(pool, 20)
		assign(pool)
		assert push_now(pool, scheduled()).outcome == "failed"
		rewind(pool, 20)
		assign(pool, "pool-b", "other.example.com")
		assert push_now(pool, scheduled()).outcome == "not_due"


def test_an_obeying_node_is_not_driven_by_changes(pool: Path) -> None:
	with HostileServer(answer(200, b"{}", "Retry-After: 600")) as server:
		aim(pool, server.url, **POOL)
		rewind(pool, 300)
		assert push_now(pool, scheduled()).outcome == "delivered"
		assign(pool)
		rewind(pool, 500)
		for request in (scheduled(), ON_CHANGE):
			assert push_now(pool, request).outcome == "not_due"
		assert len(server.bodies) == 1
		rewind(pool, 101)
		assert tenants(push_now(pool, ON_CHANGE)) == 4


def test_regular_pushes_stay_where_they_were(bench: Path, control_plane: WatchedControlPlane) -> None:
	aim(bench, control_plane.url, push_interval=60)
	push_now(bench, scheduled())
	rewind(bench, 30)
	(bench / "sites/new.example.com").mkdir()
	(bench / "sites/new.example.com/site_config.json").write_text("{}")
	assert push_now(bench, scheduled()).outcome == "delivered"
	state = state_of(bench)
	assert state.last_attempt_at and state.last_regular_at
	assert state.last_attempt_at - state.last_regular_at == pytest.approx(30, abs=2)
	folder_of(bench).write(
		state._replace(last_attempt_at=state.last_attempt_at - 20, last_regular_at=state.last_regular_at - 20)
	)
	assert push_now(bench, scheduled()).outcome == "delivered"
	assert state_of(bench).last_regular_at is None


def test_a_push_for_a_change_is_no_regular_one_though_one_is_due(pool: Path) -> None:
	"""Else the next regular one would be due after the timer's next run, and come with the one after it."""
	rewind(pool, 290)
	began = state_of(pool).last_attempt_at
	assign(pool)
	assert tenants(push_now(pool, ON_CHANGE)) == 4
	assert state_of(pool).last_regular_at == began


def test_where_there_is_no_count_a_change_brings_nothing_forward(pool: Path) -> None:
	rewind(pool, 20)
	for site in list((pool / "sites").glob("*/site_config.json")):
		site.unlink()
	time.sleep(0.02)
	(pool / "sites/new").mkdir()
	result = push_now(pool, scheduled())
	assert (result.outcome, result.warnings) == ("not_due", ())


def test_a_count_of_another_node_says_nothing(pool: Path) -> None:
	rewind(pool, 20)
	assign(pool)
	assert push_now(pool, scheduled(), PREGO_METRICS_NODE_ID="other").outcome == "not_due"


@pytest.mark.parametrize(
	"kept", ["", "[]", '{"stamp": 1}', '{"stamp": "x", "tenants": -1}', '{"stamp": "x"}']
)
def test_a_kept_count_that_is_not_ours_is_not_believed(pool: Path, kept: str) -> None:
	rewind(pool, 20)
	(pool / "sites/.prego-metrics/count.json").write_text(kept)
	assert push_now(pool, scheduled()).outcome == "not_due"
	assign(pool)
	assert tenants(push_now(pool, scheduled())) == 4


# --- as the path unit starts it --------------------------------------------------------------------


def on_change(bench: Path) -> Result:
	folder_of(bench).write(state_of(bench)._replace(cpu=earlier_reading()))
	return push_on_change(open_bench(str(bench)), ENVIRON)


def test_on_change_alone_pushes_nothing_else_though_a_push_is_due(pool: Path) -> None:
	rewind(pool, 3000)
	assert on_change(pool).outcome == "not_due"


def test_after_a_delivery_it_looks_again_at_once(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	rewind(pool, 20)
	assign(pool)
	slept: list[float] = []
	with monkeypatch.context() as patch:
		patch.setattr("prego_metrics.agent.push.push.time.sleep", slept.append)
		assert tenants(on_change(pool)) == 4
	assert 1.0 not in slept


def test_it_leaves_no_sign_of_a_timer_that_is_alive(pool: Path) -> None:
	rewind(pool, 20)
	assign(pool)
	assert tenants(on_change(pool)) == 4
	assert [tick.trigger for tick in folder_of(pool).ticks()] == ["cron"]


def test_what_changes_while_it_pushes_is_pushed_15_s_later(
	pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	rewind(pool, 20)
	assign(pool)

	def sleep(seconds: float) -> None:
		if seconds > 10:
			rewind(pool, seconds)

	keep = attempt.keep_count

	def changing(*arguments: object) -> None:
		keep(*arguments)  # type: ignore[arg-type]
		if (pool / "sites/pool-b").exists():
			assign(pool, "pool-b", "other.example.com")

	monkeypatch.setattr(attempt, "keep_count", changing)
	monkeypatch.setattr("prego_metrics.agent.push.push.time.sleep", sleep)
	assert tenants(on_change(pool)) == 5
	assert delivered(pool) == [3, 4, 5]


def test_it_waits_for_a_push_that_is_under_way(pool: Path) -> None:
	rewind(pool, 20)
	assign(pool)
	lock = PushLock(str(pool / "sites"))
	with lock:
		assert lock.acquire()
		process = start(pool, "--on-change")
		wait_until(lambda: list((pool / "sites/.prego-metrics").glob("busy-*")))
	code, _, err = finish(process)
	assert (code, err) == (0, "")
	assert delivered(pool) == [3, 4]


def test_the_command_says_what_it_did(pool: Path) -> None:
	assert "--on-change" in command(pool, "--on-change")
	rewind(pool, 20)
	assert finish(start(pool, "--on-change"))[0] == 0
	with HostileServer(answer(503)) as server:
		aim(pool, server.url, **POOL)
		assign(pool)
		code, _, err = finish(start(pool, "--on-change"))
	assert code == 1 and "Failed" in err


def test_a_count_that_flaps_is_pushed_once_in_15_s(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	"""Eight seconds of real time, with 2 s in place of 15."""
	monkeypatch.setattr("prego_metrics.agent.state.schedule.CHANGE_SECONDS", 2.0)
	monkeypatch.setattr("prego_metrics.agent.push.push.ON_CHANGE_SECONDS", 3.0)
	over, began = threading.Event(), []
	rewind(pool, 20)

	def flap() -> None:
		while not over.wait(0.11):
			assign(pool)
			over.wait(0.13)
			assign(pool, "tenant.example.com", "pool-a")

	flapping = threading.Thread(target=flap)
	flapping.start()
	try:
		give_up_at = time.monotonic() + 8
		while time.monotonic() < give_up_at:
			for request in (ON_CHANGE, Request("timer", if_due=True, spread=True), scheduled("frappe")):
				push_now(pool, request)
				at = state_of(pool).last_attempt_at
				assert at
				began.append(at)
	finally:
		over.set()
		flapping.join()
	moments = sorted(set(began))
	assert len(moments) > 2
	assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(moments))
