"""Frappe's scheduler beside a timer or cron: it leaves the pushes to one that is alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from push_processes import rewind
from pushing import aim, folder_of, push_now, scheduled

from prego_metrics.agent.state.model import Tick
from prego_metrics.sandbox.server import LocalControlPlane

# When Frappe's run finds a push due without another trigger: 45 s after the last one.
DUE, MISSED = 50.0, 106.0


@pytest.fixture
def after_a_push(bench: Path, control_plane: LocalControlPlane) -> Callable[..., str]:
	"""Let Frappe run so many seconds after a push, beside signs of life of another; returns the outcome."""
	aim(bench, control_plane.url, push_interval=60)
	push_now(bench)

	def run(
		seconds: float,
		trigger: str = "timer",
		outcome: str = "delivered",
		ago: float = 30.0,
		ran: float = 120.0,
	) -> str:
		for at in (time.time() - ago - ran, time.time() - ago):
			assert folder_of(bench).write_tick(Tick(trigger, at, 60.0, "node-1", outcome)) is None
		rewind(bench, seconds)
		return push_now(bench, scheduled("frappe")).outcome

	return run


@pytest.mark.parametrize("trigger", ["timer", "cron"])
@pytest.mark.parametrize("outcome", ["delivered", "not_due", "busy"])
def test_a_push_that_is_due_is_left_to_a_trigger_that_is_alive(
	after_a_push: Callable[..., str], trigger: str, outcome: str
) -> None:
	assert after_a_push(DUE, trigger=trigger, outcome=outcome) == "not_due"


def test_a_push_that_it_missed_is_made_by_frappe(after_a_push: Callable[..., str]) -> None:
	assert after_a_push(MISSED) == "delivered"


@pytest.mark.parametrize(
	"of_timer",
	[
		{"outcome": "failed"},
		{"outcome": "refused"},
		{"outcome": "not_sent"},
		{"ago": 151.0},
		{"ago": -10.0},
		{"ran": 1.0},
		{"trigger": "frappe"},
	],
	ids=["failed", "refused", "not sent", "dead", "in the future", "once by hand", "itself"],
)
def test_nothing_is_left_to_a_trigger_that_does_not_push(
	after_a_push: Callable[..., str], of_timer: dict[str, object]
) -> None:
	assert after_a_push(DUE, **of_timer) == "delivered"


def test_no_other_trigger_waits_for_it(bench: Path, after_a_push: Callable[..., str]) -> None:
	assert after_a_push(DUE) == "not_due"
	assert push_now(bench, scheduled("cron")).outcome == "delivered"
