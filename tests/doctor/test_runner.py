"""Which checks are made, and in which order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from examining import Run
from terminals import on_a_terminal

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.doctor import runner
from prego_metrics.doctor.check import Examination, Finding
from prego_metrics.doctor.runner import NAMES, examine


def test_only_makes_the_checks_that_were_named(run_agent: Run, idle_bench: Path) -> None:
	result = run_agent("doctor", "--only", "host", "--only", "configuration", "--json", "--bench", idle_bench)
	assert result.returncode == 0
	assert [check["name"] for check in json.loads(result.stdout)["checks"]] == ["configuration", "host"]


def test_a_check_that_there_is_none_of_is_refused_with_those_there_are(
	run_agent: Run, idle_bench: Path
) -> None:
	result = run_agent("doctor", "--only", "hosts", "--bench", idle_bench)
	assert (result.returncode, result.stdout) == (2, "")
	assert all(name in " ".join(result.stderr.split()) for name in NAMES)


def test_on_a_terminal_a_line_says_what_is_looked_at_and_goes_away(idle_bench: Path) -> None:
	seen = on_a_terminal("doctor", "--offline", "--bench", idle_bench, stdout_elsewhere=True)
	assert "looking at " in seen.screen
	assert seen.screen.endswith("\x1b[2K")  # ECMA-48: erase the line
	assert "looking at" not in seen.stdout and "\x1b[2K" not in seen.stdout


def test_what_frappe_alone_can_tell_is_skipped_with_how_to_see_it(idle_bench: Path) -> None:
	made = list(examine(open_bench(str(idle_bench)), {}, online=False, only=["dormant", "job"]))
	assert [(check.name, check.state) for check in made] == [("dormant", "skip"), ("job", "skip")]
	assert "bench prego-metrics doctor" in made[0].seen


def test_a_fault_in_one_check_is_its_finding_and_the_others_are_made(
	idle_bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	def broken(node: Examination) -> Finding:
		raise KeyError("a value of the node")

	monkeypatch.setitem(runner.GROUPS, "settings", (broken, *runner.GROUPS["settings"]))  # type: ignore[arg-type]
	made = list(examine(open_bench(str(idle_bench)), {}, online=False, only=["broken", "configuration"]))
	assert [(check.name, check.state) for check in made] == [("broken", "fail"), ("configuration", "pass")]
	assert made[0].code == "check_failed"
	assert "KeyError at doctor/test_runner.py:" in made[0].seen and "a value" not in made[0].seen
