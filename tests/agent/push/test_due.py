"""How long a run waits before its push, by trigger, and to which other trigger it leaves it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from push_processes import rewind
from pushing import aim, folder_of, push_now
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
