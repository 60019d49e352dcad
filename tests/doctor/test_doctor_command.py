"""`doctor` as a command: its lines, its JSON and its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from examining import NAMES, SKIPPED, Run, checks

from prego_metrics.agent.base.errors import TooLate
from prego_metrics.agent.base.messages import coded
from prego_metrics.cli.commands.doctor import doctor
from prego_metrics.doctor import runner, settings, triggers
from prego_metrics.doctor.check import Examination, Finding

# --- all of it ---------------------------------------------------------------------------------------


def test_a_node_that_delivers_passes_every_check_in_this_order(
	bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	made = checks(bench, environ, online=True)
	assert list(made) == NAMES
	assert {name for name, check in made.items() if check.state == "skip"} == SKIPPED
	assert {check.state for name, check in made.items() if name not in SKIPPED} == {"pass"}
	assert control_plane.answers == ["GET /internal/nodes/node-1 200"]


def test_a_node_without_problems_gets_a_line_for_each_group_and_a_summary(
	run_agent: Run, bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	result = run_agent("doctor", "--bench", bench, **environ)
	assert (result.returncode, result.stderr) == (0, "")
	*groups, empty, summary = result.stdout.splitlines()
	assert [line.split("  ")[0] for line in groups] == [
		"Settings",
		"Bench",
		"Triggers",
		"Control plane",
		"Frappe",
	]
	assert empty == "" and summary.startswith(f"No problems: {len(NAMES) - len(SKIPPED)} of {len(NAMES)} ")
	assert control_plane.key not in result.stdout


def test_verbose_shows_every_check_within_80_columns(
	run_agent: Run, bench: Path, environ: dict[str, str]
) -> None:
	result = run_agent("doctor", "--verbose", "--bench", bench, **environ)
	assert re.findall(r"^  (?:pass|skip) ([a-z_]+):", result.stdout, re.MULTILINE) == NAMES
	assert max(map(len, result.stdout.splitlines())) <= 80


def test_problems_are_shown_below_their_group_and_the_first_to_fix_is_a_failure(
	run_agent: Run, bench: Path, environ: dict[str, str], make_site: Callable[..., Path]
) -> None:
	(make_site(bench, "half.example") / "site_config.json").write_text("{")
	(bench / "sites" / ".prego-metrics" / "tick-frappe.json").unlink()
	result = run_agent("doctor", "--offline", "--bench", bench, **environ)
	assert result.returncode == 1
	problems = re.findall(r"^  (warn|fail) ([a-z_]+): ", result.stdout, re.MULTILINE)
	assert problems == [("warn", "tenants"), ("fail", "triggers")]
	assert "\n2 problems, fix the first: triggers (" in result.stdout
	(bench / "sites/half.example/site_config.json").write_text("{}")
	result = run_agent("doctor", "--offline", "--bench", bench, **environ)
	assert "\n1 problem, fix it: triggers (" in result.stdout
	result = run_agent("doctor", "--bench", bench, **environ | {"INTERNAL_API_KEY": "wrong-key-of-the-node"})
	assert "\n2 problems, fix the first: control_plane (" in result.stdout


def test_a_bench_without_the_app_sees_nothing_of_frappe(run_agent: Run, bench_folder: Path) -> None:
	for options in ([], ["--verbose"], ["--json"]):
		assert "Frappe" not in run_agent("doctor", *options, "--bench", bench_folder).stdout


def test_json_has_the_shape_of_the_design(run_agent: Run, bench: Path, environ: dict[str, str]) -> None:
	result = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert (result.returncode, result.stderr) == (0, "")
	written = json.loads(result.stdout)
	assert list(written) == ["ok", "checks"]
	assert written["ok"] is True
	assert [check["name"] for check in written["checks"]] == NAMES
	assert all(
		list(check) == ["group", "name", "state", "code", "seen", "action"] for check in written["checks"]
	)


def test_a_warning_alone_is_no_failure(
	run_agent: Run, bench: Path, environ: dict[str, str], make_site: Callable[..., Path]
) -> None:
	(make_site(bench, "half.example") / "site_config.json").write_text("{")
	result = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert {check["state"] for check in json.loads(result.stdout)["checks"]} == {"pass", "warn", "skip"}
	assert (result.returncode, json.loads(result.stdout)["ok"]) == (0, True)


def test_a_failure_exits_1_and_says_what_to_do_below_it(run_agent: Run, bench: Path) -> None:
	result = run_agent("doctor", "--bench", bench)
	assert (result.returncode, result.stderr) == (1, "")
	assert re.search(r"^  fail api_key: there is no key[^→]*\n +→ put the key", result.stdout, re.MULTILINE)
	assert re.search(r"^Control plane  skipped: needs ", result.stdout, re.MULTILINE)
	assert json.loads(run_agent("doctor", "--json", "--bench", bench).stdout)["ok"] is False


def test_a_fresh_install_is_told_everything_at_once(run_agent: Run, bench_folder: Path) -> None:
	result = run_agent("doctor", "--json", "--bench", bench_folder)
	assert result.returncode == 1
	states = {check["name"]: check["state"] for check in json.loads(result.stdout)["checks"]}
	assert [name for name, state in states.items() if state == "fail"] == [
		"configuration",
		"api_key",
		"triggers",
	]
	assert states["last_push"] == "warn"
	assert states["control_plane"] == "skip"


def test_what_is_no_bench_fails_that_check_and_exits_1(run_agent: Run, tmp_path: Path) -> None:
	result = run_agent("doctor", "--json", "--bench", tmp_path)
	assert (result.returncode, result.stderr) == (1, "")
	(check,) = json.loads(result.stdout)["checks"]
	assert (check["name"], check["state"]) == ("bench", "fail")
	assert "is not a bench" in check["seen"] and "--bench PATH" in check["action"]
	assert "\n  fail bench: " in run_agent("doctor", cwd=tmp_path).stdout


def test_what_stops_the_doctor_comes_after_the_checks_it_made(
	monkeypatch: pytest.MonkeyPatch, bench: Path, environ: dict[str, str]
) -> None:
	def stops(_: Examination) -> Finding:
		raise TooLate(coded("state_late", folder="/mnt", seconds="5"))

	groups = {"settings": (settings.configuration,), "triggers": (triggers.last_push, stops)}
	monkeypatch.setattr(runner, "GROUPS", groups)
	arguments = ["--offline", "--bench", str(bench)]
	result = CliRunner().invoke(doctor, [*arguments, "--json"], env=environ)
	made = [(check["group"], check["name"], check["code"]) for check in json.loads(result.stdout)["checks"]]
	assert [name for _, name, _ in made] == ["configuration", "last_push", "bench"]
	assert (result.exit_code, made[-1]) == (1, ("bench", "bench", "state_late"))
	lines = CliRunner().invoke(doctor, arguments, env=environ).stdout.splitlines()
	assert [line.split()[0] for line in lines if line[:1].isupper()] == ["Settings", "Triggers", "Bench"]
	assert [line.split()[1:3] for line in lines if line.startswith("Bench")] == [["1", "failed"]]


def test_the_doctor_sends_no_metrics_and_leaves_the_state_as_it_was(
	bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	folder = bench / "sites" / ".prego-metrics"
	before = {path.name: path.read_bytes() for path in folder.iterdir()}
	checks(bench, environ, online=True)
	checks(bench, {"INTERNAL_API_KEY": "wrong"}, online=True)
	assert all(line.startswith("GET ") for line in control_plane.answers)
	assert control_plane.store.server_metrics("node-1") is None
	assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_offline_asks_nobody(
	run_agent: Run, bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	result = run_agent("doctor", "--offline", "--json", "--bench", bench, **environ)
	assert result.returncode == 0
	made = {check["name"]: (check["state"], check["seen"]) for check in json.loads(result.stdout)["checks"]}
	assert {made[name] for name in ("control_plane", "clock", "tls")} == {
		("skip", "--offline skips network checks")
	}
	assert control_plane.answers == []
