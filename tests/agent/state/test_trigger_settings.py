"""A unit or a crontab may push at an interval of its own: everything that judges a push's age goes by it.

In the hardened mode it alone knows as which node it pushes, too.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pushing import folder_of, state_of
from scraping import openmetrics

from prego_metrics.agent.alerts.receipts import take_unsent
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.doctor.runner import examine

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PAYLOAD = {"node_id": "node-1", "cpu_pct": 12.5, "tenant_count": 3, "source": "node_push"}
# Fresh for 300 s at the file's interval, for 1,860 s at the unit's own.
OWN_SECONDS = 900.0
AGO_SECONDS = 1000.0


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path]) -> Path:
	settings(
		bench_folder,
		node_id="node-1",
		control_plane_url="https://control-plane.example",
		scheduler_pushes=False,
	)
	pushed(bench_folder, "timer")
	tick(bench_folder, "timer", OWN_SECONDS, ago=40)
	# It ticks, and pushes nothing: its interval is nobody's.
	tick(bench_folder, "frappe", 60.0, ago=5)
	return bench_folder


def pushed(bench: Path, trigger: str) -> None:
	push = Push("0" * 16, time.time() - AGO_SECONDS, trigger, "delivered", PAYLOAD, 200, 1, 12, None)
	folder_of(bench).write(State(last_attempt_at=push.at, last=push, last_delivered=push))


def tick(bench: Path, trigger: str, seconds: float, ago: float, node_id: str = "node-1") -> None:
	for when in (ago + 60, ago):
		folder_of(bench).write_tick(Tick(trigger, time.time() - when, seconds, node_id, "not_due"))


def seen(bench: Path) -> Config:
	return as_pushed(load_config(open_bench(str(bench)), {}), folder_of(bench), state_of(bench))


def test_a_push_within_its_units_own_interval_is_fresh(bench: Path, run_agent: Run) -> None:
	result = run_agent("status", "--bench", bench)
	assert result.returncode == 0, result.stdout
	assert "every 15 min" in result.stdout and ";;1860;" in result.stdout


def test_without_a_tick_that_says_otherwise_the_files_interval_holds(bench: Path, run_agent: Run) -> None:
	(Path(folder_of(bench).path) / "tick-timer.json").unlink()
	assert run_agent("status", "--bench", bench).returncode == 2


def test_a_push_by_hand_leaves_the_interval_to_the_driver_that_ticks(bench: Path) -> None:
	pushed(bench, "manual")
	assert seen(bench).push_interval == OWN_SECONDS
	claimed = take_unsent(folder_of(bench), "a", load_config(open_bench(str(bench)), {}))
	assert claimed == []


def test_of_two_drivers_the_one_that_pushed_last_tells_the_interval(bench: Path) -> None:
	tick(bench, "cron", 120.0, ago=1)
	assert seen(bench).push_interval == OWN_SECONDS
	pushed(bench, "cron")
	assert seen(bench).push_interval == 120.0


def test_the_doctor_judges_by_the_interval_that_pushes_have(bench: Path) -> None:
	names = ["triggers", "interval", "last_push"]
	checks = examine(open_bench(str(bench)), {}, online=False, only=names)
	assert {check.name: check.state for check in checks} == dict.fromkeys(names, "pass")


def test_the_figures_for_prometheus_stay_until_the_next_push_is_due(bench: Path) -> None:
	state = state_of(bench)
	assert "prego_cpu_ratio 0.125" in openmetrics(seen(bench), state)
	assert "prego_cpu_ratio" not in openmetrics(load_config(open_bench(str(bench)), {}), state)


@pytest.fixture
def hardened(bench: Path, settings: Callable[..., Path]) -> Path:
	"""A bench whose file names no node: the unit's environment does."""
	settings(bench, control_plane_url="https://control-plane.example", scheduler_pushes=False)
	tick(bench, "frappe", 60.0, ago=5, node_id="")
	return bench


def test_in_the_hardened_mode_the_units_ticks_tell_the_node(hardened: Path) -> None:
	assert load_config(open_bench(str(hardened)), {}).node_id == ""
	assert seen(hardened).node_id == "node-1"


def test_a_copied_bench_is_the_new_node_from_its_first_tick_on(hardened: Path, run_agent: Run) -> None:
	tick(hardened, "timer", OWN_SECONDS, ago=1, node_id="node-2")
	assert seen(hardened).node_id == "node-2"
	result = run_agent("status", "--bench", hardened)
	assert result.returncode == 3 and "no push was ever delivered as node-2" in result.stdout


def test_without_a_tick_the_last_delivered_push_tells_the_node(hardened: Path) -> None:
	for trigger in ("timer", "frappe"):
		(Path(folder_of(hardened).path) / f"tick-{trigger}.json").unlink()
	assert seen(hardened).node_id == "node-1"


def test_where_frappe_pushes_a_node_that_is_not_named_is_nobody(
	bench: Path, settings: Callable[..., Path]
) -> None:
	settings(bench, control_plane_url="https://control-plane.example")
	assert seen(bench).node_id == ""


@pytest.mark.parametrize("seconds", [1e11, 0.0, 4.9, 86401.0])
def test_an_interval_that_no_driver_can_have_keeps_nobody_from_hearing_that_pushes_stopped(
	bench: Path, run_agent: Run, seconds: float
) -> None:
	tick(bench, "timer", seconds, ago=1)
	assert seen(bench).push_interval == 60.0
	assert run_agent("status", "--bench", bench).returncode == 2
	claimed = take_unsent(folder_of(bench), "a", load_config(open_bench(str(bench)), {}))
	assert [one.kind for one in claimed] == ["stale"]
