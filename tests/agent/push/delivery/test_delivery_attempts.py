"""How often a push is tried, with which pauses, and when a retry may ask for a snapshot again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from delivering import (
	SNAPSHOT,
	asked_for_snapshot,
	deliver,
	http_date,
	sends,
)
from hostile_server import Behaviour, Exchange, HostileServer, answer

from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.push.delivery import scheduled_attempts

# --- attempts --------------------------------------------------------------------------------------


def test_attempts_and_pauses_are_bounded() -> None:
	pauses: list[float] = []
	with HostileServer(answer(500)) as server:
		result = deliver(server.url, sleep=pauses.append, deadline_seconds=30)
	assert result.attempts == server.connections == 3
	assert len(pauses) == 2
	assert all(0 <= pause <= 0.02 * 2**number for number, pause in enumerate(pauses, 1))


def test_the_number_of_attempts_can_be_limited() -> None:
	with HostileServer(answer(500)) as server:
		result = deliver(server.url, max_attempts=1)
	assert result.attempts == server.connections == 1


@pytest.mark.parametrize(
	("value", "least", "most"),
	[
		("7", 7, 7),
		(" 7 ", 7, 7),
		("0", 0, 0),
		(lambda: http_date(10), 8, 10),
		(lambda: http_date(10).replace("GMT", "-0000"), 8, 10),
		(lambda: http_date(-10), 0, 0),
		("-5", 0, 0.04),
		("1.5", 0, 0.04),
		("\u00b2", 0, 0.04),
		("soon", 0, 0.04),
		("", 0, 0.04),
	],
)
def test_retry_after_is_waited_for(value: str | Callable[[], str], least: float, most: float) -> None:
	pauses: list[float] = []
	text = value if isinstance(value, str) else value()
	with HostileServer(answer(429, b"", f"Retry-After: {text}"), answer(200)) as server:
		result = deliver(server.url, sleep=pauses.append, deadline_seconds=30)
	assert result.outcome == "delivered"
	assert least <= pauses[0] <= most


def test_a_push_with_no_time_left_for_a_pause_ends_at_once() -> None:
	with HostileServer(answer(429, b"", "Retry-After: 2")) as server:
		started = time.monotonic()
		result = deliver(server.url, deadline_seconds=1.0)
	assert result.attempts == 1 and result.status_code == 429
	assert time.monotonic() - started < 0.5


@pytest.mark.parametrize(("asked", "said"), [("5", None), ("29", None), ("30", 30), ("900", 900)])
@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "server_error")])
def test_a_pause_that_does_not_fit_is_said(asked: str, said: int | None, status: int, code: str) -> None:
	with HostileServer(answer(status, b"busy", f"Retry-After: {asked}")) as server:
		result = deliver(server.url, deadline_seconds=30, max_attempts=1)
	assert (result.outcome, result.asked_seconds) == ("failed", float(asked))
	assert result.error and result.error.code == code
	summary = result.error.params["answer"]
	assert isinstance(summary, Message)
	assert (summary.code == "answer_asks_to_wait", summary.params.get("seconds")) == (said is not None, said)


@pytest.mark.parametrize(
	("status", "asked"), [(200, 7), (201, 7), (429, 7), (503, 7), (500, None), (408, None), (400, None)]
)
def test_only_a_success_and_an_answer_of_a_busy_server_asks_the_next_push_to_wait(
	status: int, asked: float | None
) -> None:
	with HostileServer(answer(status, b"", "Retry-After: 7")) as server:
		result = deliver(server.url, max_attempts=1)
	assert (result.status_code, result.asked_seconds) == (status, asked)


@pytest.mark.parametrize(("failures", "attempts"), [(0, 3), (1, 1), (2, 1)])
def test_after_a_failure_a_trigger_tries_once(failures: int, attempts: int) -> None:
	assert scheduled_attempts(failures) == attempts


@pytest.mark.parametrize(("interval", "header"), [(60.0, "60"), (7.5, "7.5"), (None, None)])
def test_the_interval_of_the_node_is_a_header(interval: float | None, header: str | None) -> None:
	with HostileServer(answer(200)) as server:
		deliver(server.url, push_interval=interval)
	lines = server.requests[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
	assert dict(line.split(": ", 1) for line in lines).get("X-Prego-Push-Interval") == header


@pytest.mark.parametrize(
	("first", "kept_in_retry"),
	[
		(answer(429, b"", "Retry-After: 0"), True),
		(answer(408), True),
		(answer(500), False),
		(answer(503), False),
		(Exchange.reset, False),
		(Exchange.wait, False),
		(sends(b"garbage\r\n\r\n"), False),
	],
	ids=["429", "408", "500", "503", "reset", "silence", "garbage"],
)
def test_a_retry_asks_for_a_snapshot_again_only_after_a_clear_end(
	first: Behaviour, kept_in_retry: bool
) -> None:
	with HostileServer(first, answer(200)) as server:
		result = deliver(server.url, SNAPSHOT)
	assert asked_for_snapshot(server) == [True, kept_in_retry]
	assert result.outcome == "delivered" and result.snapshot_taken
	assert result.payload.save_snapshot is kept_in_retry


def test_a_refused_connection_keeps_the_snapshot() -> None:
	with HostileServer(answer(200), listens=False) as server:
		result = deliver(server.url, SNAPSHOT, sleep=lambda _: server.listen())
	assert result.attempts == 2
	assert asked_for_snapshot(server) == [True]
	assert result.snapshot_taken


@pytest.mark.parametrize(
	("behaviour", "taken"),
	[
		(answer(400), False),
		(answer(401), False),
		(answer(429), False),
		(answer(503), True),
		(Exchange.wait, True),
	],
	ids=["400", "401", "429", "503", "silence"],
)
def test_a_snapshot_counts_as_taken_if_it_may_have_been(behaviour: Behaviour, taken: bool) -> None:
	with HostileServer(behaviour) as server:
		result = deliver(server.url, SNAPSHOT, attempt_seconds=0.2, max_attempts=1)
	assert result.outcome != "delivered"
	assert result.snapshot_taken is taken


def test_a_snapshot_on_its_way_at_the_deadline_counts_as_taken() -> None:
	with HostileServer(Exchange.wait) as server:
		result = deliver(server.url, SNAPSHOT, attempt_seconds=60, deadline_seconds=0.4)
	assert result.snapshot_taken


def test_a_connection_that_was_never_made_takes_no_snapshot() -> None:
	with HostileServer(listens=False) as server:
		result = deliver(server.url, SNAPSHOT)
	assert (result.outcome, result.snapshot_taken, result.payload.save_snapshot) == ("failed", False, True)
