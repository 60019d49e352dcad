"""When a push is due: the promise about the smallest and the largest gap, under anything that time does."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_push import World, worlds

from prego_metrics.agent.state import schedule as due
from prego_metrics.agent.state.model import Push, State

HOURS = 6 * 3600.0


NODE = "sg-1"


def is_due(now: float, pace: due.Pace, interval: float, node_id: str = NODE) -> bool:
	return due.seconds_until_due(now, pace, interval, node_id) <= 0


def slowed(interval: float, failures: int) -> float:
	if failures == 0:
		return interval
	return min(interval, due.RETRY_INTERVAL_SECONDS if failures == 1 else due.FAILING_INTERVAL_SECONDS)


def shortest_gap(interval: float) -> float:
	shortest = min(interval, due.TRIGGER_SECONDS)
	return shortest - due.slack_seconds(shortest)


def live(world: World) -> list[tuple[float, int]]:
	"""Let a node live for six hours; returns when it pushed, and how many have failed in a row then.

	One push at a time, as the lock has it: a tick while another push is sent has nothing to do.
	"""
	chance = random.Random(world.seed + 1)
	pushed: list[tuple[float, int]] = []
	free_at = 0.0
	for now in world.ticks(HOURS):
		pace = due.Pace(*pushed[-1]) if pushed else due.Pace()
		if now >= free_at and is_due(now, pace, world.interval):
			pushed.append((now, pace.failures + 1 if chance.random() < world.failing else 0))
			free_at = now + min(world.send_seconds, due.deadline_seconds(world.interval))
	return pushed


def longest_wait_for_a_tick(world: World) -> float:
	"""The longest that the fastest trigger ever leaves between two of its ticks."""
	return min(trigger.every * (1 + trigger.drift) + trigger.jitter for trigger in world.triggers)


@given(worlds(failing=st.just(0.0)))
def test_no_two_pushes_are_closer_than_the_interval_or_a_minute_less_the_slack(world: World) -> None:
	moments = [moment for moment, _ in live(world)]
	smallest = shortest_gap(world.interval)
	assert all(later - earlier >= smallest - 1e-6 for earlier, later in itertools.pairwise(moments))


@given(worlds(failing=st.just(0.0)))
def test_no_two_pushes_are_further_apart_than_the_interval_and_the_fastest_tick(world: World) -> None:
	moments = [moment for moment, _ in live(world)]
	largest = world.interval + longest_wait_for_a_tick(world)
	assert moments[0] <= min(trigger.every * trigger.phase + trigger.jitter for trigger in world.triggers)
	assert all(later - earlier <= largest + 1e-6 for earlier, later in itertools.pairwise(moments))
	assert HOURS - moments[-1] <= largest + max(trigger.jitter for trigger in world.triggers)


@given(worlds(failing=st.floats(0, 1)))
def test_after_failures_both_promises_hold_with_a_shorter_time_in_place_of_a_longer_interval(
	world: World,
) -> None:
	wait = longest_wait_for_a_tick(world)
	for (earlier, failures), (later, _) in itertools.pairwise(live(world)):
		interval = slowed(world.interval, failures)
		assert shortest_gap(interval) - 1e-6 <= later - earlier <= interval + wait + 1e-6


def live_with_changes(world: World) -> list[tuple[float, bool]]:
	"""Let a node live for six hours whose count changes again and again; returns when it pushed, and if regularly."""
	chance = random.Random(world.seed + 2)
	looks = [(now, False) for now in world.ticks(HOURS)]
	# A path unit looks at any time, and where a count flaps, all the time.
	looks += [(chance.uniform(0, HOURS), True) for _ in range(chance.choice((10, 300, 20_000)))]
	pushed: list[tuple[float, bool]] = []
	state = State()
	free_at = 0.0
	for now, on_change in sorted(looks):
		regular = not on_change and is_due(now, state.pace, world.interval)
		changed = due.seconds_until_due(now, state.pace, world.interval, NODE, changed=True) <= 0
		if now >= free_at and (regular or (changed and (on_change or chance.random() < 0.5))):
			pushed.append((now, regular))
			state = delivered_at(state, now, regular)
			free_at = now + min(world.send_seconds, due.deadline_seconds(world.interval))
	return pushed


def delivered_at(state: State, now: float, regular: bool) -> State:
	return state.attempted(now, regular).recorded(
		Push("0" * 16, now, "cron", "delivered", None, 200, 1, 9, None), 3
	)


@settings(max_examples=50)
@given(worlds(failing=st.just(0.0)))
def test_changes_keep_15_s_between_pushes_and_leave_the_regular_ones_their_gaps(world: World) -> None:
	pushed = live_with_changes(world)
	closest = min(due.CHANGE_SECONDS, world.interval - due.slack_seconds(world.interval))
	moments = [moment for moment, _ in pushed]
	assert all(later - earlier >= closest - 1e-6 for earlier, later in itertools.pairwise(moments))
	largest = world.interval + longest_wait_for_a_tick(world)
	assert all(later - earlier <= largest + 1e-6 for earlier, later in itertools.pairwise(moments))
	regular = [moment for moment, is_regular in pushed if is_regular]
	smallest = shortest_gap(world.interval)
	assert all(later - earlier >= smallest - 1e-6 for earlier, later in itertools.pairwise(regular))


@pytest.mark.parametrize("interval", [60.0, 300.0])
def test_a_changed_count_is_pushed_after_15_s_and_no_sooner(interval: float) -> None:
	pace = due.Pace(1000.0)
	assert due.seconds_until_due(1010.0, pace, interval, NODE, changed=True) == 5.0
	assert due.seconds_until_due(1015.0, pace, interval, NODE, changed=True) == 0.0


def test_a_changed_count_does_not_bring_forward_what_fails_or_was_asked_to_wait() -> None:
	for pace in (due.Pace(1000.0, 1), due.Pace(1000.0, 5), due.Pace(1000.0, 0, 1600.0)):
		unchanged = due.seconds_until_due(1020.0, pace, 300.0, NODE)
		assert unchanged > 20
		assert due.seconds_until_due(1020.0, pace, 300.0, NODE, changed=True) == unchanged


def test_a_push_for_a_change_does_not_move_the_regular_ones() -> None:
	state = delivered_at(State(), 1000.0, True)
	state = delivered_at(state, 1020.0, False)
	state = delivered_at(state, 1044.0, False)
	assert not is_due(1045.0, state.pace, 60.0), "only a second after the last one"
	assert is_due(1059.0, state.pace, 60.0)
	assert not is_due(1104.0, delivered_at(state, 1060.0, True).pace, 60.0)
	assert is_due(1105.0, delivered_at(state, 1060.0, True).pace, 60.0)


@pytest.mark.parametrize("interval", [60.0, 90.0, 120.0, 300.0, 3600.0])
@pytest.mark.parametrize("phase", [0.0, 17.0, 44.0])
def test_a_node_that_missed_its_moment_comes_back_to_it_and_stays(interval: float, phase: float) -> None:
	for number in range(20):
		last, pushed = phase, []
		for now in itertools.takewhile(lambda now: now < 6 * interval, itertools.count(phase + 60, 60)):
			if is_due(now, due.Pace(last), interval, f"sg-{number}"):
				pushed.append(now)
				last = now
		gaps = [later - earlier for earlier, later in itertools.pairwise(pushed)]
		# A run each minute keeps an interval of 90 s only on average.
		assert all(gap == interval for gap in gaps[1:]) or interval % 60
		assert interval - 1 <= (pushed[-1] - pushed[0]) / len(gaps) <= interval + 30


@pytest.mark.parametrize("failed", [False, True])
def test_a_fleet_that_pushed_in_one_minute_is_apart_within_two_intervals(failed: bool) -> None:
	minutes = [0] * 10
	for number in range(2000):
		last, now = number % 50, 600.0
		while now < 900:
			now = last + 60
			while not is_due(now, due.Pace(last, int(failed and last < 60)), 300.0, f"sg-{number}"):
				now += 60
			last = now
			if 300 <= now < 900:
				minutes[int(now // 60) - 5] += 1
	# 400 each, if chance did not matter.
	assert all(320 < count < 480 for count in minutes), minutes


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
		if is_due(wall, due.Pace(last), interval):
			last, waited, jumps_since_push = wall, 0.0, 0
		# A jump back by less than the last attempt's age cannot be seen: it costs up to an interval more.
		assert waited <= (1 + jumps_since_push) * interval + 62


@pytest.mark.parametrize("every", [57.0, 60.0, 63.0])
def test_with_one_driver_that_ticks_every_minute_every_tick_pushes(every: float) -> None:
	last: float | None = None
	for number in range(1000):
		now = 1e9 + number * every
		assert is_due(now, due.Pace(last), 60.0)
		last = now


@pytest.mark.parametrize(
	("interval", "slack"), [(5, 1.25), (20, 5), (60, 15), (61, 15), (300, 15), (86400, 15)]
)
def test_the_slack_is_a_quarter_and_at_most_fifteen_seconds(interval: float, slack: float) -> None:
	assert due.slack_seconds(interval) == slack
	at = moment(interval)
	assert not is_due(at + interval - slack - 0.01, due.Pace(at), interval)
	assert is_due(at + interval - slack, due.Pace(at), interval)


def moment(interval: float) -> float:
	"""A moment that is the node's own."""
	return 1000 * interval + due.spread_share_seconds(f"{NODE} interval", interval)


@pytest.mark.parametrize(
	("late", "after"), [(0, 285), (64, 285), (66, 234), (200, 100), (254, 46), (260, 45), (299, 45)]
)
def test_a_push_that_missed_the_node_s_moment_is_followed_by_one_at_the_next(
	late: float, after: float
) -> None:
	last = moment(300) + late
	assert due.seconds_until_due(last, due.Pace(last), 300.0, NODE) == pytest.approx(after)


def test_the_moment_is_no_matter_up_to_an_interval_of_a_minute() -> None:
	assert {due.seconds_until_due(at, due.Pace(at), 60.0, NODE) for at in range(0, 600, 7)} == {45.0}


@pytest.mark.parametrize(
	("last", "failures", "seconds"),
	[(1000.001, 0, 0), (1000, 0, 15), (985, 0, 0), (984.9, 0, -0.1), (1000, 1, 45), (None, 0, 0)],
)
def test_a_changed_count_makes_a_push_due_15_s_after_any_other_unless_pushes_fail(
	last: float | None, failures: int, seconds: float
) -> None:
	found = due.seconds_until_due(1000, due.Pace(last, failures), 300, NODE, changed=True)
	assert found == pytest.approx(seconds)


def test_the_first_push_and_one_whose_last_attempt_lies_in_the_future_are_due() -> None:
	assert is_due(1000, due.Pace(), 86400)
	assert is_due(1000, due.Pace(1000.001), 86400)
	assert not is_due(1000, due.Pace(1000), 60)


@pytest.mark.parametrize(("interval", "after"), [(300, 45), (3600, 45), (60, 45), (20, 15)])
def test_one_failure_shortens_a_long_interval_to_a_minute_and_no_short_one(
	interval: float, after: float
) -> None:
	assert is_due(1000 + after, due.Pace(1000, 1), interval)
	assert not is_due(1000 + after - 0.1, due.Pace(1000, 1), interval)


@pytest.mark.parametrize(("interval", "after"), [(300, 285), (3600, 285), (60, 45), (20, 15)])
@pytest.mark.parametrize("failures", [2, 60])
def test_more_failures_shorten_it_to_five_minutes(interval: float, after: float, failures: int) -> None:
	at = moment(min(interval, 300))
	assert due.seconds_until_due(at, due.Pace(at, failures), interval, NODE) == pytest.approx(after)


@pytest.mark.parametrize(("asked", "until"), [(600.0, 1600), (86400.0, 1900), (0.0, None), (None, None)])
def test_the_control_plane_is_obeyed_for_fifteen_minutes_at_most(
	asked: float | None, until: float | None
) -> None:
	assert due.not_before(1000.0, asked) == until


@pytest.mark.parametrize(
	("now", "not_before", "seconds"),
	[(1000, 1600, 600), (1000, 1900, 900), (1600, 1600, 0), (1700, 1600, 0), (600, 1600, 0), (1000, None, 0)],
)
def test_what_it_asks_ends_with_its_time_and_with_a_clock_that_went_back(
	now: float, not_before: float | None, seconds: float
) -> None:
	assert due.seconds_asked(now, not_before) == seconds


@pytest.mark.parametrize("last", [None, 990.0, 10.0, 1001.0])
def test_no_push_is_due_before_the_time_that_was_asked(last: float | None) -> None:
	assert due.seconds_until_due(1000, due.Pace(last, 1, 1600), 60, NODE) == 600
	assert not is_due(1599, due.Pace(last, 1, 1600), 60)
	assert is_due(1600, due.Pace(last, 1, 1600), 60)


def test_a_snapshot_is_due_as_a_push_is_and_never_with_zero() -> None:
	assert due.is_snapshot_due(1000, None, 3600)
	assert not due.is_snapshot_due(1000 + 3584, 1000, 3600)
	assert due.is_snapshot_due(1000 + 3585, 1000, 3600)
	assert not due.is_snapshot_due(1000, None, 0)


@pytest.mark.parametrize(
	("interval", "spread", "most"), [(60, 55, 55), (20, 55, 20), (300, 30, 30), (60, 0, 0)]
)
def test_a_run_waits_its_share_of_the_spread_and_of_no_more_than_the_interval(
	interval: float, spread: float, most: float
) -> None:
	share = due.spread_share_seconds(NODE, most)
	last = moment(interval)
	at = last + interval - due.slack_seconds(interval) - share

	def wait(now: float, leads: bool) -> float | None:
		pace = due.Pace(last)
		return due.wait_before_push(
			now, pace, interval, NODE, spread_seconds=spread, other_trigger_leads=leads
		)

	assert wait(at + 1e-3, False) == share
	assert wait(at - 1e-3, False) is None
	# Another trigger that leads has a minute more to make it.
	assert wait(at + 60 + 1e-3, True) == share
	assert wait(at + 60 - 1e-3, True) is None


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
