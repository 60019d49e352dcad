"""Help, wrong command lines, and which bench a command is about."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_lines import COMMANDS, ON_A_BENCH, Run, no_traceback

from prego_metrics import __version__
from prego_metrics.cli.app import cli

# --- help and usage ----------------------------------------------------------------------------------


def test_help_names_every_command_and_the_exit_codes(run_agent: Run) -> None:
	result = run_agent("--help")
	assert (result.returncode, result.stderr) == (0, "")
	for command in COMMANDS:
		# click cuts what does not fit; half a sentence says nothing.
		assert re.search(rf"^  {command} [^\n]*[^.]\.$", result.stdout, re.MULTILINE), result.stdout
	assert "Exit codes: 0 done or nothing to do, 1 not delivered, 2 nothing could be" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_says_what_it_does_within_80_columns(run_agent: Run, command: str) -> None:
	result = run_agent(command, "--help")
	assert (result.returncode, result.stderr) == (0, "")
	assert max(map(len, result.stdout.splitlines())) <= 80
	assert f"Usage: prego-metrics {command} " in result.stdout
	assert COMMANDS[command] in result.stdout
	for option in re.findall(r"^  (--[a-z-]+)(?: [A-Z]+)?$", result.stdout, re.MULTILINE):
		# An option without its help alone on a line would be one without words.
		assert re.search(rf"^  {option}[^\n]*\n {{6,}}\S", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", [*COMMANDS, "fleet freshness", "fleet reconcile", "hetzner push"])
def test_help_ends_with_examples_that_can_be_typed_and_an_existing_page(command: str) -> None:
	found: click.Command = cli
	for name in command.split():
		assert isinstance(found, click.Group)
		found = found.get_command(click.Context(found), name) or found
	if isinstance(found, click.Group):
		return  # its commands have examples
	examples = re.findall("^  prego-metrics (.*)$", found.epilog or "", re.MULTILINE)
	assert examples
	for example in examples:
		assert example.startswith(command)
		found.make_context(command, shlex.split(example)[len(command.split()) :])
	(page,) = re.findall(r"^More: (docs/[a-z-]+\.md)$", found.epilog or "", re.MULTILINE)
	assert (Path(__file__).parents[2] / page).is_file()


@pytest.mark.parametrize("command", ON_A_BENCH)
def test_every_command_that_looks_at_a_bench_takes_bench_and_json(run_agent: Run, command: str) -> None:
	words = run_agent(command, "-h").stdout
	assert "--bench PATH" in words and "--json" in words


def test_without_a_command_the_help_is_shown(run_agent: Run) -> None:
	result = run_agent()
	assert "Usage: prego-metrics" in result.stdout + result.stderr
	assert no_traceback(result)


def test_the_version_is_the_packages(run_agent: Run) -> None:
	assert run_agent("--version").stdout == f"prego-metrics, version {__version__}\n"


@pytest.mark.parametrize(
	"arguments",
	[
		["--no-such"],
		["no-such"],
		["push", "--no-such"],
		["push", "--if-due", "--no-such"],
		["push", "--if-due", "--bench"],
		["push", "a-word-too-many"],
		["push", "--dry-run", "--if-due"],
		["push", "--dry-run", "--save-snapshot"],
		["status", "--max-age", "soon"],
		["configure", "--show", "--node-id", "x"],
	],
	ids=" ".join,
)
def test_a_wrong_command_line_is_one_error_with_a_hint_and_exit_2(
	run_agent: Run, bench: Path, arguments: list[str]
) -> None:
	result = run_agent(*arguments, cwd=bench)
	assert (result.returncode, result.stdout) == (2, "")
	assert len(re.findall(r"^Error: ", result.stderr, re.MULTILINE)) == 1
	# click gives no hint where an option lacks its value.
	assert "--help' for help." in result.stderr or "requires an argument" in result.stderr
	assert no_traceback(result)


@pytest.mark.parametrize(
	"arguments",
	[["push", "--no-such"], ["status", "--max-age", "soon"], ["fleet", "reconcile"], ["no-such"]],
	ids=" ".join,
)
def test_a_wrong_command_line_with_json_is_json_too(
	run_agent: Run, bench: Path, arguments: list[str]
) -> None:
	result = run_agent(*arguments, "--json", cwd=bench)
	assert result.returncode == 2
	written = json.loads(result.stdout)
	assert list(written) == ["error", "error_code"]
	assert written["error_code"] == "option_invalid"
	assert f"Error: {written['error']}" in result.stderr


@pytest.mark.parametrize(
	("typed", "meant"), [("statsu", "status"), ("configrue", "configure"), ("pusch", "push")]
)
def test_a_mistyped_command_names_the_near_one(run_agent: Run, typed: str, meant: str) -> None:
	assert f"No such command '{typed}'. Did you mean '{meant}'?" in run_agent(typed).stderr


# --- which bench -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", "sites", "sites/acme.example", "apps/an_app/deeper"])
def test_the_bench_is_found_from_the_working_directory_and_its_parents(
	run_agent: Run, bench: Path, place: str
) -> None:
	(bench / place).mkdir(parents=True, exist_ok=True)
	result = run_agent("tenants", "--json", cwd=bench / place)
	assert json.loads(result.stdout)["tenant_count"] == 3


@pytest.mark.parametrize("name", ["", "sites/"])
@pytest.mark.parametrize("command", ON_A_BENCH)
def test_bench_names_the_bench_or_its_sites_folder_after_any_command(
	run_agent: Run, bench: Path, key: str, tmp_path: Path, command: str, name: str
) -> None:
	(tmp_path / "elsewhere").mkdir()
	result = run_agent(command, "--json", "--bench", f"{bench}/{name}", cwd=tmp_path / "elsewhere")
	assert json.loads(result.stdout)
	assert result.returncode in ({"status": (3,), "doctor": (0, 1)}.get(command, (0,)))
	assert no_traceback(result)


@pytest.mark.parametrize(
	"arguments",
	[
		["push"],
		["push", "--if-due"],
		["push", "--dry-run"],
		["tenants"],
		["status"],
		["configure", "--show"],
		["configure", "--node-id", "x"],
	],
	ids=" ".join,
)
def test_what_is_no_bench_is_one_error_and_exit_2(
	run_agent: Run, tmp_path: Path, arguments: list[str]
) -> None:
	for extra, words in (
		([], "or above it: change into the bench"),
		(["--bench", tmp_path], "is not a bench"),
		(["--bench", tmp_path / "no\x1b[31mwhere"], "no\\x1b[31mwhere is not a bench"),
	):
		result = run_agent(*arguments, *extra, cwd=tmp_path)
		assert (result.returncode, result.stdout) == (2, "")
		assert words in result.stderr
		assert len(result.stderr.splitlines()) == 1
		assert no_traceback(result)
	assert list(tmp_path.iterdir()) == []


def test_a_working_directory_that_is_gone_is_one_error(bench: Path, tmp_path: Path) -> None:
	(tmp_path / "gone").mkdir()
	script = (
		f'cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec "{sys.executable}" -m prego_metrics.cli "$@"'
	)
	for arguments in (["push", "--if-due"], ["tenants"]):
		(tmp_path / "gone").mkdir(exist_ok=True)
		result = subprocess.run(["sh", "-c", script, "sh", *arguments], capture_output=True, text=True)
		assert (result.returncode, result.stdout) == (2, "")
		assert "--bench" in result.stderr
		assert no_traceback(result)


@pytest.mark.parametrize(
	("arguments", "code"),
	[
		(["push"], 2),
		(["push", "--dry-run"], 2),
		(["push", "--if-due"], 2),
		(["tenants"], 2),
		(["tenants", "--sizes"], 2),
		(["status"], 2),
		(["doctor"], 1),
		(["configure", "--show"], 2),
		(["configure", "--node-id", "sg-1"], 2),
		(["fleet", "freshness", "--nodes", "/none", "--metrics", "/none"], 2),
		(["fleet", "reconcile", "--metrics", "/none", "--tenants", "/none"], 2),
		(["hetzner", "push", "--counts", "/none"], 2),
	],
	ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_who_asked_for_json_gets_it_where_there_is_no_bench_too(
	run_agent: Run, tmp_path: Path, arguments: list[str], code: int
) -> None:
	result = run_agent(*arguments, "--json", cwd=tmp_path)
	assert result.returncode == code
	(line,) = result.stdout.splitlines()
	written = json.loads(line)
	error_code = written["checks"][0]["code"] if arguments == ["doctor"] else written["error_code"]
	assert error_code in ("bench_not_found", "export_invalid", "option_missing")
	assert no_traceback(result)
