"""Hostile names, encodings that lack characters, and readers that have gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_lines import HOSTILE, KOREAN, RAW, Run, no_traceback
from terminals import on_a_terminal

# --- what a terminal gets to see ---------------------------------------------------------------------


@pytest.fixture
def hostile_bench(bench: Path, make_site: Callable[..., Path], settings: Callable[..., Path]) -> Path:
	"""A bench whose folders are named to be obeyed, half of whose configurations cannot be parsed."""
	for number, name in enumerate((*HOSTILE, KOREAN)):
		site = make_site(bench, name)
		if number % 2:
			(site / "site_config.json").write_text("{")
	(bench / "sites" / "link\x1b]0;title\x07").symlink_to("acme.example")
	path = bench / "sites" / "common_site_config.json"
	content = json.loads(path.read_text())
	content["prego_metrics"].update(exclude_sites=["pool\x1b[5m-*", KOREAN], site="red\x1b[31m.example")
	path.write_text(json.dumps(content))
	return bench


@pytest.mark.parametrize(
	"arguments",
	[["tenants"], ["tenants", "--json"], ["push"], ["push", "--json"], ["doctor"], ["configure", "--show"]],
	ids=" ".join,
)
def test_hostile_names_are_shown_and_not_obeyed(
	run_agent: Run, hostile_bench: Path, key: str, arguments: list[str]
) -> None:
	result = run_agent(*arguments, "--bench", hostile_bench)
	for raw in RAW:
		assert raw not in result.stdout + result.stderr
	assert no_traceback(result)
	if arguments == ["tenants", "--json"]:
		names = {site["site"] for site in json.loads(result.stdout)["sites"]}
		assert {"red\\x1b[31m.example", "two\\x0alines.example", "bytes\\xff.example", KOREAN} <= names
	if arguments == ["push"]:
		assert "Warning: site two\\x0alines.example: counted although" in result.stderr
	if arguments == ["configure", "--show"]:
		assert KOREAN in result.stdout


def test_a_pipe_gets_no_colour_and_a_terminal_does(run_agent: Run, mixed_bench: Path) -> None:
	assert "\x1b" not in run_agent("tenants", "--bench", mixed_bench).stdout
	assert "\x1b[" in on_a_terminal("tenants", "--bench", mixed_bench).screen
	assert "\x1b[3" in on_a_terminal("doctor", "--offline", "--bench", mixed_bench).screen


def test_no_color_is_obeyed_on_a_terminal(mixed_bench: Path) -> None:
	screen = on_a_terminal("doctor", "--offline", "--bench", mixed_bench, NO_COLOR="1").screen
	assert not re.search(r"\x1b\[[0-9;]*3[0-9]", screen)


def test_the_words_are_the_same_with_and_without_a_terminal(run_agent: Run, mixed_bench: Path) -> None:
	screen = on_a_terminal("tenants", "--bench", mixed_bench).screen
	plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
	assert plain == run_agent("tenants", "--bench", mixed_bench).stdout


def test_hostile_names_are_shown_on_a_terminal_too(hostile_bench: Path) -> None:
	screen = on_a_terminal("tenants", "--bench", hostile_bench, NO_COLOR="1", TERM="dumb").screen
	for raw in RAW:
		assert raw not in screen
	assert "red\\x1b[31m.example" in screen


# --- output that somebody else cannot take -----------------------------------------------------------

ENCODINGS = {
	"ascii": {"PYTHONIOENCODING": "ascii"},
	"latin-1": {"PYTHONIOENCODING": "latin-1"},
	"the C locale": {"LANG": "C", "LC_ALL": "C"},
	"the C locale, taken at its word": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
	"arguments",
	[["tenants"], ["push"], ["doctor", "--offline"], ["configure", "--show"], ["configure", "--help"]],
	ids=" ".join,
)
def test_an_encoding_that_lacks_characters_costs_an_escape_and_not_the_output(
	hostile_bench: Path, key: str, arguments: list[str], encoding: str
) -> None:
	if "PYTHONUTF8" in ENCODINGS[encoding]:
		# There a Korean name is no name of files, and a setting that holds one is refused.
		path = hostile_bench / "sites" / "common_site_config.json"
		path.write_text(path.read_text().replace(f", {json.dumps(KOREAN)}", ""))
	where = [] if "--help" in arguments else ["--bench", str(hostile_bench)]
	result = subprocess.run(
		[sys.executable, "-m", "prego_metrics.cli", *arguments, *where],
		env={**os.environ, **ENCODINGS[encoding]},
		capture_output=True,
	)
	assert b"Traceback" not in result.stderr and b"Error" not in result.stderr
	assert result.returncode == (1 if "doctor" in arguments else 0)
	assert result.stdout
	if arguments == ["tenants"]:
		seen = result.stdout.decode("latin-1" if encoding == "latin-1" else "utf-8")
		shown = {"ascii": "\\ud55c\\uad6d", "latin-1": "\\ud55c\\uad6d", "the C locale": "한국"}
		assert shown.get(encoding, "\\xed\\x95\\x9c") in seen
		assert f"{9 if 'PYTHONUTF8' in ENCODINGS[encoding] else 8} tenants of 9 sites" in seen


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
	"arguments",
	[["tenants"], ["tenants", "--json"], ["status"], ["push"], ["push", "--dry-run"], ["--help"]],
	ids=" ".join,
)
def test_a_reader_that_has_gone_leaves_no_traceback(
	bench: Path, key: str, arguments: list[str], unbuffered: str
) -> None:
	reading, writing = os.pipe()
	os.close(reading)
	result = subprocess.run(
		[sys.executable, "-m", "prego_metrics.cli", *arguments],
		cwd=bench,
		env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
		stdout=writing,
		stderr=subprocess.PIPE,
		text=True,
	)
	os.close(writing)
	assert result.stderr == ""
	# How a push ended does not depend on who reads it.
	assert result.returncode == (0 if arguments[0] == "push" else 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
	"arguments", [["tenants"], ["status"], ["push"], ["push", "--if-due"], ["--help"]], ids=" ".join
)
def test_a_full_disk_under_the_output_leaves_no_traceback(
	bench: Path, key: str, control_plane: Any, arguments: list[str], unbuffered: str
) -> None:
	with open("/dev/full", "w") as full:
		result = subprocess.run(
			[sys.executable, "-m", "prego_metrics.cli", *arguments],
			cwd=bench,
			env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "INVOCATION_ID": "0123"},
			stdout=full,
			stderr=subprocess.PIPE,
			text=True,
		)
	if arguments[0] == "push":
		assert (result.returncode, result.stderr) == (0, "")
		assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	else:
		assert (result.returncode, result.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
	"arguments", [["push", "--if-due"], ["push"], ["tenants"], ["configure"]], ids=" ".join
)
def test_closed_standard_streams_change_nothing_of_the_exit_code(
	bench: Path, key: str, arguments: list[str], closed: str
) -> None:
	script = f'exec "{sys.executable}" -m prego_metrics.cli "$@" {closed}'
	result = subprocess.run(["sh", "-c", script, "sh", *arguments], cwd=bench, capture_output=True, text=True)
	assert result.returncode == 0
	assert no_traceback(result)


def test_without_stderr_its_words_do_not_end_up_among_the_results(bench: Path) -> None:
	script = f'exec "{sys.executable}" -m prego_metrics.cli push 2>&-'
	result = subprocess.run(["sh", "-c", script], cwd=bench, capture_output=True, text=True)
	assert (result.returncode, result.stdout) == (2, "")
