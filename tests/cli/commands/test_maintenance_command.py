"""`maintenance` as a command: what it starts and stops, what `status --json` shows of it, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
HOUR = 3600.0


@pytest.fixture
def maintenance(run_agent: Run, bench: Path) -> Callable[..., int]:
	"""Run the command; return its exit code."""
	return lambda *arguments: run_agent("maintenance", *arguments, "--bench", bench).returncode


@pytest.fixture
def shown(run_agent: Run, bench: Path) -> Callable[[], dict[str, str | None] | None]:
	"""What `status --json` shows of the maintenance."""
	return lambda: json.loads(run_agent("status", "--json", "--bench", bench).stdout)["maintenance"]


def seconds_left(shown: dict[str, str]) -> float:
	return datetime.fromisoformat(shown["until"].replace("Z", "+00:00")).timestamp() - time.time()


@pytest.mark.parametrize(
	("options", "hours", "reason"),
	[
		((), 2, None),
		(("--for", "1h30m", "--reason", "disk swap"), 1.5, "disk swap"),
		(("--for", "24h", "--reason", "x" * 200), 24, "x" * 140),
	],
)
def test_it_holds_alerts_for_as_long_as_asked_and_status_shows_it(
	maintenance: Callable[..., int],
	shown: Callable,
	options: tuple[str, ...],
	hours: float,
	reason: str | None,
) -> None:
	assert shown() is None
	assert maintenance("start", *options) == 0
	held = shown()
	assert (held["source"], held["reason"]) == ("operator", reason)
	assert hours * HOUR - 60 < seconds_left(held) <= hours * HOUR
	assert maintenance() == maintenance("status") == 0
	assert shown() == held  # looking changes nothing


def test_it_is_replaced_by_the_next_start_and_ended_by_stop(
	maintenance: Callable[..., int], shown: Callable
) -> None:
	assert maintenance("stop") == 0  # nothing to stop
	assert maintenance("start", "--for", "3h") == maintenance("start", "--for", "10m") == 0
	assert seconds_left(shown()) <= 600
	assert maintenance("stop") == 0
	assert shown() is None


def test_stop_ends_the_maintenance_mode_of_frappe_too(
	maintenance: Callable[..., int], shown: Callable, bench: Path
) -> None:
	path = bench / "sites/common_site_config.json"
	path.write_text(json.dumps({**json.loads(path.read_text()), "maintenance_mode": 1}))
	assert shown()["source"] == "frappe"
	assert maintenance("start", "--for", "10m") == 0
	assert shown()["source"] == "frappe"  # the one that ends last
	assert maintenance("stop") == 0
	assert shown() is None


@pytest.mark.parametrize(
	"arguments",
	[
		("start", "--for", "0m"),
		("start", "--for", "24h1m"),
		("start", "--for", "2 hours"),
		("stop", "--for", "1h"),
		("status", "--reason", "x"),
		("pause",),
	],
)
def test_what_it_cannot_do_is_a_usage_error_and_starts_nothing(
	maintenance: Callable[..., int], shown: Callable, arguments: tuple[str, ...]
) -> None:
	assert maintenance(*arguments) == 2
	assert shown() is None


def test_one_that_cannot_be_recorded_fails(maintenance: Callable[..., int], bench: Path) -> None:
	shutil.rmtree(bench / "sites/.prego-metrics", ignore_errors=True)
	(bench / "sites/.prego-metrics").write_text("a file where the folder belongs")
	assert maintenance("start") == 2


def test_a_bench_that_is_not_there_fails(run_agent: Run, tmp_path: Path) -> None:
	assert run_agent("maintenance", "start", "--bench", tmp_path / "none").returncode == 2
