"""`push --if-due` as cron and systemd run it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_lines import RESULT_KEYS, Run, no_traceback
from push_processes import rewind
from pushing import folder_of, state_of

from prego_metrics.agent.state import schedule as due
from prego_metrics.agent.state.lock import PushLock

# --- push --if-due -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["the quick way in", "any other way in"])
def test_a_scheduled_push_is_silent_when_delivered_and_when_nothing_is_due(
	run_agent: Run, bench: Path, key: str, control_plane: Any, order: str
) -> None:
	arguments = ["push", "--if-due", "--bench", bench]
	if order == "any other way in":
		arguments = ["push", "--bench", bench, "--if-due"]
	for _ in range(2):
		result = run_agent(*arguments)
		assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	assert [tick.trigger for tick in folder_of(bench).ticks()] == ["cron"]


@pytest.mark.parametrize("order", ["the quick way in", "any other way in"])
def test_under_systemd_a_scheduled_push_speaks_to_the_journal(
	run_agent: Run, bench: Path, key: str, order: str
) -> None:
	arguments = ["push", "--if-due", "--bench", bench]
	if order == "any other way in":
		arguments = ["push", "--bench", bench, "--if-due"]
	assert run_agent(*arguments, INVOCATION_ID="0123").stdout.startswith("Delivered in ")
	assert run_agent(*arguments, INVOCATION_ID="0123").stdout == "Not due yet: nothing sent\n"
	assert [tick.trigger for tick in folder_of(bench).ticks()] == ["timer"]


def test_a_scheduled_push_as_json_says_not_due(run_agent: Run, bench: Path, key: str) -> None:
	run_agent("push", "--bench", bench)
	result = run_agent("push", "--if-due", "--json", "--bench", bench)
	written = json.loads(result.stdout)
	assert result.returncode == 0
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["payload"], written["attempts"]) == ("not_due", None, 0)


def test_a_scheduled_push_beside_a_running_one_is_done(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		result = run_agent("push", "--if-due", "--json", "--bench", bench)
		silent = run_agent("push", "--if-due", "--bench", bench)
	assert (result.returncode, json.loads(result.stdout)["outcome"]) == (0, "busy")
	assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
	assert control_plane.answers == []


@pytest.mark.parametrize("order", ["the quick way in", "any other way in"])
def test_a_scheduled_push_that_is_not_sent_is_one_error_and_exit_2(
	run_agent: Run, bench: Path, tmp_path: Path, order: str
) -> None:
	flags = (
		["--if-due", "--bench"] if order == "the quick way in" else ["--save-snapshot", "--if-due", "--bench"]
	)
	for folder, words in ((bench, "there is no key"), (tmp_path / "nowhere", "is not a bench")):
		result = run_agent("push", *flags, folder)
		assert (result.returncode, result.stdout) == (2, "")
		assert result.stderr.startswith("Not sent: ") and words in result.stderr
		assert no_traceback(result)


@pytest.mark.parametrize("trigger", [{}, {"INVOCATION_ID": "0123"}], ids=["cron", "timer"])
def test_a_scheduled_push_asks_for_a_snapshot_only_when_one_is_due(
	run_agent: Run, bench: Path, key: str, trigger: dict[str, str]
) -> None:
	for asks in (True, False, False):
		assert run_agent("push", "--if-due", "--bench", bench, **trigger).returncode == 0
		assert ("save_snapshot" in state_of(bench).last.payload) is asks
		rewind(bench, 60)


def imported_by(*arguments: object) -> set[str]:
	"""Run the command line and return the top-level packages that it imported."""
	result = subprocess.run(
		[sys.executable, "-X", "importtime", "-m", "prego_metrics.cli", *map(str, arguments)],
		capture_output=True,
		text=True,
		check=True,
	)
	modules = re.findall(r"^import time: .*\| +(\S+)$", result.stderr, re.MULTILINE)
	return {module.partition(".")[0] for module in modules}


def test_a_tick_that_is_not_due_imports_neither_click_nor_what_sends_and_samples(
	bench: Path, key: str, control_plane: Any
) -> None:
	when_due = imported_by("push", "--if-due", "--bench", bench)
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	assert {"prego_metrics", "requests"} <= when_due
	assert not {"click", "rich", "werkzeug"} & when_due

	not_due = imported_by("push", "--if-due", "--bench", bench)
	assert len(control_plane.pushes) == 1
	assert "prego_metrics" in not_due
	assert not {"click", "rich", "werkzeug", "requests", "urllib3", "psutil", "ssl"} & not_due


def test_ctrl_c_while_a_scheduled_push_waits_its_share_ends_without_a_traceback(
	bench: Path, settings: Callable[..., Path], key: str, control_plane: Any
) -> None:
	assert due.spread_share_seconds("node-2", 60) > 10
	settings(bench, node_id="node-2", control_plane_url=control_plane.url, spread=60)
	process = subprocess.Popen(
		[sys.executable, "-m", "prego_metrics.cli", "push", "--if-due", "--bench", str(bench)],
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)
	time.sleep(1)
	process.send_signal(signal.SIGINT)
	assert process.communicate(timeout=10) == ("", "")
	assert process.returncode == 130
	assert control_plane.answers == []
