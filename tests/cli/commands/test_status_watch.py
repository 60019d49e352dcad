"""`status --watch`: again and again, on a terminal and elsewhere, until Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from pushing import folder_of
from terminals import on_a_terminal

from prego_metrics.agent.state.model import Push, State
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.cli.commands.status import status

PAYLOAD = {"node_id": "node-1", "tenant_count": 42, "source": "node_push"}


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path]) -> Path:
	settings(bench_folder, node_id="node-1", control_plane_url="https://control-plane.example")
	return bench_folder


def deliver(bench: Path, ago: float) -> None:
	push = Push("0123456789abcdef", time.time() - ago, "frappe", "delivered", PAYLOAD, 200, 1, 12, None)
	assert folder_of(bench).write(State().recorded(push, 3)) is None


def watch(bench: Path, *options: str, seconds: float = 2.5) -> tuple[int, str, str]:
	process = subprocess.Popen(
		[sys.executable, "-m", "prego_metrics.cli", "status", "--bench", str(bench), *options],
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)
	time.sleep(seconds)
	process.send_signal(signal.SIGINT)
	out, err = process.communicate(timeout=10)
	return process.returncode, out, err


def test_watching_elsewhere_than_on_a_terminal_prints_a_line_each_time_until_ctrl_c(bench: Path) -> None:
	deliver(bench, 20)
	code, out, err = watch(bench, "--watch", "0.3")
	assert (code, err) == (0, "")
	lines = out.splitlines()
	assert len(lines) >= 3
	assert all(re.match(r"\d{4}-\d\d-\d\dT[0-9:]{8}Z PREGO OK - delivered 2\d s ago", line) for line in lines)


def test_watching_ends_with_the_code_of_what_was_seen_last(bench: Path) -> None:
	code, out, _ = watch(bench, "--json", "--watch", "0.3")
	assert code == 3
	assert [json.loads(line)["status"] for line in out.splitlines()][:2] == ["never", "never"]


def test_watching_on_a_terminal_redraws_it(bench: Path) -> None:
	deliver(bench, 20)
	seen = on_a_terminal("status", "--watch", "0.5", "--bench", bench, typed_later=[(2.5, "\x03")])
	assert seen.code == 0
	assert seen.screen.count("\x1b[H\x1b[J") >= 2
	assert "Traceback" not in seen.screen and "PREGO OK" in seen.screen and "Triggers" in seen.screen


@pytest.mark.parametrize("as_json", [False, True])
def test_a_state_that_does_not_answer_ends_the_status(
	bench: Path, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
	over = threading.Event()
	monkeypatch.setattr("prego_metrics.agent.base.time_limits.FILE_SECONDS", 0.3)
	monkeypatch.setattr(StateFolder, "read", lambda folder: over.wait(20))
	began = time.monotonic()
	result = CliRunner().invoke(status, ["--bench", str(bench), *(["--json"] if as_json else [])])
	over.set()
	assert result.exit_code == 2 and time.monotonic() - began < 10
	if as_json:
		assert json.loads(result.stdout.splitlines()[0])["error_code"] == "state_late"
