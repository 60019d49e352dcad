"""How long a run waits before its push, by trigger, and to which other trigger it leaves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from push_processes import rewind
from pushing import aim, folder_of, push_now, state_of
from watched_control_plane import WatchedControlPlane

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.due import Wait, wait_before_push
from prego_metrics.agent.push.request import ON_CHANGE, Request
from prego_metrics.agent.state.model import Tick
from prego_metrics.agent.state.schedule import spread_share_seconds

CRON = Request("cron", if_due=True)


def wait(bench: Path, request: Request) -> Wait | None:
	return wait_before_push(load_config(open_bench(str(bench)), {}), folder_of(bench), request)


@pytest.mark.parametrize(("spread", "most"), [(0, 0), (30, 30), (60, 60)])
def test_the_first_push_waits_for_its_share_of_the_spread_or_not_at_all(
	bench: Path, control_plane: WatchedControlPlane, spread: int, most: int
) -> None:
	aim(bench, control_plane.url, spread=spread, push_interval=60)
	assert wait(bench, CRON) == Wait(0.0, regular=True)
	share = spread_share_seconds("node-1", most)
	assert wait(bench, CRON._replace(spread=True)) == Wait(share, regular=True)
	assert wait(bench, ON_CHANGE) is None


@pytest.mark.parametrize(
	("since", "frappe", "cron"), [(16.0, 0.0, 0.0), (14.5, None, 0.55), (5.0, None, 10.05)]
)
def test_a_changed_count_is_waited_for_by_who_has_the_time(
	bench: Path,
	control_plane: WatchedControlPlane,
	make_site: Callable[..., Path],
	since: float,
	frappe: float | None,
	cron: float,
) -> None:
	aim(bench, control_plane.url, push_interval=300)
	push_now(bench)
	make_site(bench, "new.example")
	last = time.time() - since
	state = state_of(bench)
	assert state.last
	last_push = state.last._replace(at=last)
	folder_of(bench).write(state._replace(last_attempt_at=last, last=last_push, last_delivered=last_push))
	by_frappe = wait(bench, Request("frappe", if_due=True))
	assert by_frappe == (None if frappe is None else Wait(frappe, regular=False))
	by_cron = wait(bench, CRON._replace(spread=True))
	assert by_cron and by_cron.seconds == pytest.approx(cron, abs=0.4) and not by_cron.regular
	assert by_cron.seconds > cron - 0.4 and (cron == 0.0) is (by_cron.seconds == 0.0)


@pytest.mark.parametrize("trigger", ["cron", "timer", "manual"])
def test_frappe_alone_leaves_a_push_to_another_trigger(
	bench: Path, control_plane: WatchedControlPlane, trigger: str
) -> None:
	aim(bench, control_plane.url, push_interval=60)
	push_now(bench)
	rewind(bench, 50)
	now = time.time()
	folder_of(bench).write_tick(Tick("timer", now - 130, 60.0, "node-1", "delivered"))
	folder_of(bench).write_tick(Tick("timer", now - 10, 60.0, "node-1", "delivered"))
	assert wait(bench, CRON._replace(trigger="frappe")) is None
	assert wait(bench, CRON._replace(trigger=trigger)) == Wait(0.0, regular=True)
