"""How often something is tried, with which pauses, and what a Retry-After asks for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from delivering import http_date
from hypothesis import given
from hypothesis import strategies as st

from prego_metrics.agent.http.retry import (
	ATTEMPTS,
	Attempt,
	Ended,
	retry_after_seconds,
	with_retries,
)


class Clock:
	"""A deadline that only sleeping brings nearer."""

	def __init__(self, seconds: float) -> None:
		self.left = seconds
		self.pauses: list[float] = []

	def remaining(self) -> float:
		return self.left

	def sleep(self, seconds: float) -> None:
		self.pauses.append(seconds)
		self.left -= seconds


def run(clock: Clock, attempts: Iterator[Attempt[int]], **options: int) -> tuple[Ended[int], list[int]]:
	numbers: list[int] = []

	def attempt(number: int) -> Attempt[int]:
		numbers.append(number)
		return next(attempts)

	return with_retries(attempt, clock.remaining, sleep=clock.sleep, **options), numbers


def failing(asked_seconds: float | None = None) -> Iterator[Attempt[int]]:
	number = 0
	while True:
		number += 1
		yield Attempt(number, retry=True, asked_seconds=asked_seconds)


def test_a_success_is_not_tried_again() -> None:
	clock = Clock(100)
	result, numbers = run(clock, iter([Attempt(7)]))
	assert (result.last.result, result.late_seconds, numbers, clock.pauses) == (7, None, [1], [])


def test_attempts_are_numbered_and_the_last_one_counts() -> None:
	clock = Clock(100)
	result, numbers = run(clock, failing())
	assert numbers == list(range(1, ATTEMPTS + 1))
	assert (result.last.result, result.late_seconds) == (ATTEMPTS, None)
	assert len(clock.pauses) == ATTEMPTS - 1


def test_one_attempt_is_a_policy_too() -> None:
	clock = Clock(100)
	result, numbers = run(clock, failing(asked_seconds=5), max_attempts=1)
	assert (numbers, clock.pauses, result.late_seconds) == ([1], [], None)
	assert result.last.asked_seconds == 5


def test_pauses_are_spread_over_a_range_that_doubles_up_to_a_cap() -> None:
	rounds = []
	for _ in range(300):
		clock = Clock(10_000)
		run(clock, failing(), max_attempts=8)
		rounds.append(clock.pauses)
	for ceiling, pauses in zip((1, 2, 4, 8, 8, 8, 8), zip(*rounds, strict=True), strict=True):
		assert all(0 <= pause <= ceiling for pause in pauses)
		assert min(pauses) < ceiling * 0.1 and max(pauses) > ceiling * 0.9


def test_a_pause_that_the_server_asks_for_is_kept_exactly() -> None:
	clock = Clock(100)
	run(clock, failing(asked_seconds=30), max_attempts=3)
	assert clock.pauses == [30, 30]


@pytest.mark.parametrize(("asked", "pauses"), [(30, []), (29.9, [29.9])])
def test_a_pause_that_ends_after_the_deadline_is_not_begun(asked: float, pauses: list[float]) -> None:
	clock = Clock(30)
	result, numbers = run(clock, failing(asked_seconds=asked))
	assert clock.pauses == pauses
	assert result.late_seconds == asked
	assert len(numbers) == len(pauses) + 1


def test_no_attempt_follows_once_the_time_is_over() -> None:
	clock = Clock(0)
	result, numbers = run(clock, failing())
	assert (numbers, clock.pauses) == ([1], [])
	assert result.late_seconds is not None


@pytest.mark.parametrize(
	("value", "seconds"),
	[
		(None, None),
		("", None),
		("soon", None),
		("-5", None),
		("1.5", None),
		("0", 0),
		(" 7 ", 7),
		("9" * 40, 1e12),
	],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
	assert retry_after_seconds(value) == pytest.approx(seconds)


@given(
	st.one_of(
		st.text(), st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,5} [A-Z][a-z]{2} -?[0-9]{1,12} [0-9:]{1,9}.*")
	)
)
def test_no_retry_after_raises_and_none_is_negative(value: str) -> None:
	seconds = retry_after_seconds(value)
	assert seconds is None or seconds >= 0


def test_a_date_without_a_zone_is_in_utc_and_not_in_the_time_of_the_node(
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setenv("TZ", "Asia/Seoul")
	time.tzset()
	try:
		seconds = retry_after_seconds(http_date(10).replace("GMT", "-0000"))
		assert seconds is not None and 8 <= seconds <= 10
	finally:
		monkeypatch.undo()
		time.tzset()
