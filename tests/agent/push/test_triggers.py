"""Which trigger a push is by: what somebody types into a terminal is none, though it says `--if-due`."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pushing import ENVIRON, KEY, folder_of, kept, leaked, push_now, scheduled, spare_the_sample
from terminals import on_a_terminal

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.triggers import started_by_systemd
from prego_metrics.sandbox.server import LocalControlPlane

# A daemon that has a terminal and hands it on to its jobs; the shell that a copy of is called so runs the rest.
_DAEMON = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


# Each process leads a group of its own, and the last one says which processes it finds above it, and which there are.
_ANCESTORS = """
import json, psutil
from prego_metrics.agent.push.triggers import _ancestors
print(json.dumps([list(_ancestors()), [one.name()[:15] for one in psutil.Process().parents()]]))
"""


_IS_PERSON = "import sys; from prego_metrics.agent.push.triggers import *; sys.exit(started_by_a_person())"


def pushed_on_a_terminal(bench: Path, *, below: str = "") -> list[str]:
	"""Push if due on a terminal, as a child of a process of this name; return the triggers of the history."""
	spare_the_sample(bench)
	arguments = ["push", "--if-due", "--bench", str(bench)]
	if below:
		shell = bench.parent / below
		shutil.copy(os.path.realpath("/bin/sh"), shell)
		line = shlex.join([sys.executable, "-m", "prego_metrics.cli", *arguments])
		seen = on_a_terminal(str(shell), "-c", f"{line}; true", program=["-c", _DAEMON], **ENVIRON)
	else:
		seen = on_a_terminal(*arguments, **ENVIRON)
	assert seen.code == 0, seen
	return [push.trigger for push in folder_of(bench).history()]


def test_a_push_that_is_typed_is_a_manual_one_and_no_trigger(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	assert pushed_on_a_terminal(bench) == ["manual"]
	assert folder_of(bench).ticks() == []


@pytest.mark.parametrize(
	("parent", "trigger"), [("supercronic", "cron"), ("crond", "cron"), ("mysh", "manual")]
)
def test_a_cron_daemon_on_a_terminal_is_cron(
	parent: str, trigger: str, bench: Path, control_plane: LocalControlPlane
) -> None:
	assert pushed_on_a_terminal(bench, below=parent) == [trigger]
	assert [tick.trigger for tick in folder_of(bench).ticks()] == [trigger][: trigger == "cron"]


def test_each_trigger_notes_where_its_key_comes_from_and_nothing_of_it(
	bench: Path, control_plane: LocalControlPlane, tmp_path: Path
) -> None:
	(tmp_path / "internal_api_key").write_text(KEY)
	push_now(bench, scheduled("cron"))
	push(open_bench(str(bench)), scheduled("timer"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
	push(open_bench(str(bench)), scheduled("frappe"), {})
	assert {tick.trigger: (tick.outcome, tick.key_from) for tick in folder_of(bench).ticks()} == {
		"cron": ("delivered", "INTERNAL_API_KEY"),
		"timer": ("not_due", "$CREDENTIALS_DIRECTORY/internal_api_key"),
		"frappe": ("not_due", ""),
	}
	assert not leaked(kept(bench))


def test_a_unit_is_the_timer_on_a_terminal_too(bench: Path, control_plane: LocalControlPlane) -> None:
	spare_the_sample(bench)
	seen = on_a_terminal("push", "--if-due", "--bench", str(bench), INVOCATION_ID="01", **ENVIRON)
	assert seen.code == 0
	assert [tick.trigger for tick in folder_of(bench).ticks()] == ["timer"]


def test_the_names_of_the_processes_above_are_read_whatever_they_hold(tmp_path: Path) -> None:
	shell = tmp_path / "s) R 1 (h"
	shutil.copy(os.path.realpath("/bin/sh"), shell)
	line = shlex.join([sys.executable, "-c", _ANCESTORS])
	result = subprocess.run(
		[shell, "-c", f"set -m; {line}; true"], capture_output=True, check=True, start_new_session=True
	)
	found, above = json.loads(result.stdout)
	assert found[:2] == ["s) R 1 (h", above[1]]
	assert found == above[:20]


@pytest.mark.parametrize(
	("environ", "is_systemd"),
	[
		({}, False),
		({"INVOCATION_ID": "01"}, True),
		({"INVOCATION_ID": "01", "SYSTEMD_EXEC_PID": str(os.getpid())}, True),
		({"INVOCATION_ID": "01", "SYSTEMD_EXEC_PID": str(os.getppid())}, False),
		({"SYSTEMD_EXEC_PID": str(os.getpid())}, False),
	],
)
def test_a_services_own_process_is_the_timers(environ: dict[str, str], is_systemd: bool) -> None:
	assert started_by_systemd(environ) is is_systemd


@pytest.mark.parametrize("on_terminal", [{0}, {1}, {2}, set()])
def test_a_person_has_a_terminal_for_input_output_or_errors(on_terminal: set[int]) -> None:
	terminal, inside = pty.openpty()
	stdin, stdout, stderr = (inside if number in on_terminal else subprocess.DEVNULL for number in range(3))
	result = subprocess.run([sys.executable, "-c", _IS_PERSON], stdin=stdin, stdout=stdout, stderr=stderr)
	os.close(terminal)
	os.close(inside)
	assert result.returncode == len(on_terminal)


@pytest.mark.parametrize(("entered", "is_person"), [(False, False), (True, True)])
def test_a_containers_own_process_starts_no_person_s_push_and_who_enters_it_does(
	entered: bool, is_person: bool
) -> None:
	program = [sys.executable, "-c", _IS_PERSON]
	if not entered:
		program = [sys.executable, "-c", _DAEMON, *program]
	seen = on_a_terminal(program=["-c", _DAEMON, "unshare", "--pid", "--fork", "--mount-proc", *program])
	if "unshare" in seen.screen:
		pytest.skip("no process namespaces here")
	assert seen.code == is_person, seen
