"""The pace that the control plane asks for by Retry-After: kept for every trigger, and shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from push_processes import rewind
from pushing import aim, push_now, scheduled, state_of

from prego_metrics.agent.base.messages import code_of
from prego_metrics.sandbox.server import LocalControlPlane

ASKED = "Retry-After: 600"


@pytest.fixture(params=[429, 503, 200])
def asking(request: pytest.FixtureRequest) -> Iterator[HostileServer]:
	with HostileServer(answer(request.param, b"{}", ASKED)) as server:
		yield server


@pytest.fixture
def asked(bench: Path, asking: HostileServer) -> Path:
	"""A bench whose last push was asked to wait."""
	aim(bench, asking.url, push_interval=60)
	push_now(bench, scheduled())
	return bench


def test_no_trigger_pushes_before_the_time_that_was_asked(asked: Path, asking: HostileServer) -> None:
	requests = len(asking.bodies)
	assert state_of(asked).not_before == pytest.approx(time.time() + 600, abs=30)
	for trigger in ("cron", "timer", "frappe", "cron"):
		rewind(asked, 140)
		assert push_now(asked, scheduled(trigger)).outcome == "not_due"
	assert len(asking.bodies) == requests
	rewind(asked, 60)
	assert push_now(asked, scheduled()).outcome in ("delivered", "failed")
	assert len(asking.bodies) == requests + 1


def test_a_manual_push_goes_out_and_says_what_was_asked(
	asked: Path, control_plane: LocalControlPlane
) -> None:
	aim(asked, control_plane.url, push_interval=60)
	result = push_now(asked)
	assert result.outcome == "delivered"
	assert [code_of(warning) for warning in result.warnings] == ["asked_to_wait"]
	# The answer to it asks for nothing.
	assert state_of(asked).not_before is None
	assert not any(code_of(warning) == "asked_to_wait" for warning in push_now(asked).warnings)


def test_it_is_bounded_at_a_quarter_of_an_hour(bench: Path) -> None:
	with HostileServer(answer(503, b"{}", "Retry-After: 86400")) as server:
		push_now(aim(bench, server.url), scheduled())
	assert state_of(bench).not_before == pytest.approx(time.time() + 900, abs=30)


def test_a_manual_push_without_an_answer_changes_nothing(bench: Path) -> None:
	with HostileServer(answer(503, b"{}", ASKED)) as server:
		push_now(aim(bench, server.url), scheduled())
	not_before = state_of(bench).not_before
	assert push_now(bench).outcome == "failed"
	assert not_before and state_of(bench).not_before == not_before


@pytest.mark.parametrize("status", [500, 404, 401])
def test_any_other_answer_asks_for_nothing(bench: Path, status: int) -> None:
	with HostileServer(answer(status, b"{}", ASKED)) as server:
		push_now(aim(bench, server.url), scheduled())
	assert state_of(bench).not_before is None


def test_a_node_that_obeys_alerts_only_once_its_row_is_stale(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	aim(bench, control_plane.url, push_interval=60, alert_after=1)
	push_now(bench)
	with HostileServer(answer(503, b"{}", "Retry-After: 100")) as server:
		aim(bench, server.url, push_interval=60, alert_after=1)
		rewind(bench, 101)
		assert push_now(bench, scheduled()).outcome == "failed"
		assert state_of(bench).events == () and not state_of(bench).alerted
	with HostileServer(answer(503, b"{}")) as server:
		aim(bench, server.url, push_interval=60, alert_after=1)
		rewind(bench, 101)
		assert push_now(bench, scheduled()).outcome == "failed"
	assert [event.kind for event in state_of(bench).events] == ["failing"]
