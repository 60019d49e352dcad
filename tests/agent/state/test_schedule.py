"""When a push is due: the promise about the smallest and the largest gap, under anything that time does."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_push import World, worlds

from prego_metrics.agent.state import schedule as due

HOURS = 6 * 3600.0


def slowed(interval: float, failed: bool) -> float:
	return min(interval, due.RETRY_INTERVAL_SECONDS) if failed else interval


def live(world: World) -> list[tuple[float, bool]]:
	"""Let a node live for six hours; returns when it pushed, and whether that failed.

	One push at a time, as the lock has it: a tick while another push is sent has nothing to do.
	"""
	chance = random.Random(world.seed + 1)
	pushed: list[tuple[float, bool]] = []
	free_at = 0.0
	for now in world.ticks(HOURS):
		last, failed = pushed[-1] if pushed else (None, False)
		if now >= free_at and due.is_due(now, last, world.interval, last_failed=failed):
			pushed.append((now, chance.random() < world.failing))
			free_at = now + min(world.send_seconds, due.deadline_seconds(world.interval))
	return pushed


def longest_wait_for_a_tick(world: World) -> float:
	"""The longest that the fastest trigger ever leaves between two of its ticks."""
	return min(trigger.every * (1 + trigger.drift) + trigger.jitter for trigger in world.triggers)


@given(worlds(failing=st.just(0.0)))
def test_no_two_pushes_are_closer_than_the_interval_less_the_slack(world: World) -> None:
	moments = [moment for moment, _ in live(world)]
	smallest = world.interval - due.slack_seconds(world.interval)
	assert all(later - earlier >= smallest - 1e-6 for earlier, later in itertools.pairwise(moments))


@given(worlds(failing=st.just(0.0)))
def test_no_two_pushes_are_further_apart_than_the_interval_and_the_fastest_tick(world: World) -> None:
	moments = [moment for moment, _ in live(world)]
	largest = world.interval + longest_wait_for_a_tick(world)
	assert moments[0] <= min(trigger.every * trigger.phase + trigger.jitter for trigger in world.triggers)
	assert all(later - earlier <= largest + 1e-6 for earlier, later in itertools.pairwise(moments))
	assert HOURS - moments[-1] <= largest + max(trigger.jitter for trigger in world.triggers)


@given(worlds(failing=st.floats(0, 1)))
def test_after_a_failure_both_promises_hold_with_a_minute_in_place_of_a_longer_interval(world: World) -> None:
	wait = longest_wait_for_a_tick(world)
	for (earlier, failed), (later, _) in itertools.pairwise(live(world)):
		interval = slowed(world.interval, failed)
		assert interval - due.slack_seconds(interval) - 1e-6 <= later - earlier
		assert later - earlier <= interval + wait + 1e-6


@given(
	st.lists(st.floats(-400, 400) | st.floats(-1e5, 1e5), min_size=1, max_size=5),
	st.sampled_from((60.0, 300.0)),
	st.integers(0, 2**32),
)
def test_whatever_the_clock_does_pushes_go_on(jumps: list[float], interval: float, seed: int) -> None:
	chance = random.Random(seed)
	wall = 2e9
	last: float | None = None
	waited = 0.0
	jumps_since_push = 0
	for _ in range(600):
		step = 60 + chance.uniform(-2, 2)
		waited += step
		wall += step
		if jumps and chance.random() < 0.02:
			wall += jumps.pop()
			jumps_since_push += 1
		if due.is_due(wall, last, interval):
			last, waited, jumps_since_push = wall, 0.0, 0
		# A jump back by less than the last attempt's age cannot be seen: it costs up to an interval more.
		assert waited <= (1 + jumps_since_push) * interval + 62


@pytest.mark.parametrize("every", [57.0, 60.0, 63.0])
def test_with_one_driver_that_ticks_every_minute_every_tick_pushes(every: float) -> None:
	last: float | None = None
	for number in range(1000):
		now = 1e9 + number * every
		assert due.is_due(now, last, 60.0)
		last = now


@pytest.mark.parametrize(
	("interval", "slack"), [(5, 1.25), (20, 5), (60, 15), (61, 15), (300, 15), (86400, 15)]
)
def test_the_slack_is_a_quarter_and_at_most_fifteen_seconds(interval: float, slack: float) -> None:
	assert due.slack_seconds(interval) == slack
	assert not due.is_due(1000 + interval - slack - 0.01, 1000, interval)
	assert due.is_due(1000 + interval - slack, 1000, interval)


def test_the_first_push_and_one_whose_last_attempt_lies_in_the_future_are_due() -> None:
	assert due.is_due(1000, None, 86400)
	assert due.is_due(1000, 1000.001, 86400)
	assert not due.is_due(1000, 1000, 60)


@pytest.mark.parametrize(("interval", "after"), [(300, 45), (3600, 45), (60, 45), (20, 15)])
def test_a_failure_shortens_a_long_interval_to_a_minute_and_no_short_one(
	interval: float, after: float
) -> None:
	assert due.is_due(1000 + after, 1000, interval, last_failed=True)
	assert not due.is_due(1000 + after - 0.1, 1000, interval, last_failed=True)


def test_a_snapshot_is_due_as_a_push_is_and_never_with_zero() -> None:
	assert due.is_snapshot_due(1000, None, 3600)
	assert not due.is_snapshot_due(1000 + 3584, 1000, 3600)
	assert due.is_snapshot_due(1000 + 3585, 1000, 3600)
	assert not due.is_snapshot_due(1000, None, 0)


@given(st.text(min_size=1).filter(str.isprintable), st.floats(0, 60))
def test_a_nodes_share_of_the_spread_is_fixed_and_within_it(node_id: str, spread: float) -> None:
	share = due.spread_share_seconds(node_id, spread)
	assert 0 <= share <= spread
	assert share == due.spread_share_seconds(node_id, spread)


def test_a_fleet_spreads_evenly() -> None:
	shares = [due.spread_share_seconds(f"sg-{number}", 5.0) for number in range(1000)]
	for second in range(5):
		assert 150 <= sum(second <= share < second + 1 for share in shares) <= 250


@pytest.mark.parametrize(
	("interval", "deadline", "fresh"), [(5, 4, 300), (60, 48, 300), (150, 120, 360), (3600, 120, 7260)]
)
def test_a_push_is_over_before_the_next_is_due_and_fresh_is_two_intervals(
	interval: float, deadline: float, fresh: float
) -> None:
	assert due.deadline_seconds(interval) == pytest.approx(deadline)
	assert due.fresh_seconds(interval) == fresh
