"""`demo`: what a newcomer runs first, in whatever environment there is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from terminals import Seen, on_a_terminal

from prego_metrics.sandbox.sample_bench import SAMPLE_ENTRIES

# One worker runs the demos for all.
pytestmark = pytest.mark.xdist_group("demo")

DEMO = [sys.executable, "-m", "prego_metrics.cli", "demo"]


@dataclass(frozen=True)
class Demos:
	"""The demo in three environments, and the folder in which each made its own."""

	seconds: float
	plain: subprocess.CompletedProcess[str]
	plain_folder: Path
	disturbed: subprocess.CompletedProcess[str]
	disturbed_folder: Path
	terminal: Seen


def start(folder: Path, *options: str, **environ: str) -> subprocess.Popen[str]:
	return subprocess.Popen(
		[*DEMO, *options],
		env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), **environ},
		cwd="/",
		stdin=subprocess.DEVNULL,
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
	out, err = process.communicate(timeout=60)
	return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Demos:
	"""As `env -i` with PATH and HOME leaves it, with settings of others about, and on 80 columns; all at once."""
	began = time.monotonic()
	folders = [tmp_path_factory.mktemp("demo") for _ in range(3)]
	plain = start(folders[0])
	disturbed = start(
		folders[1],
		"--keep",
		INTERNAL_API_KEY="another-key",
		PREGO_METRICS_NODE_ID="another-node",
		PREGO_METRICS_BENCHES="[]",
		HTTP_PROXY="http://127.0.0.1:9",
		http_proxy="http://127.0.0.1:9",
		PYTHONIOENCODING="ascii",
	)
	terminal = on_a_terminal("demo", COLUMNS="80", TMPDIR=str(folders[2]))
	return Demos(
		plain=finish(plain),
		plain_folder=folders[0],
		disturbed=finish(disturbed),
		disturbed_folder=folders[1],
		terminal=terminal,
		seconds=time.monotonic() - began,
	)


def test_it_succeeds_within_twenty_seconds_and_says_nothing_on_stderr(demos: Demos) -> None:
	assert (demos.plain.returncode, demos.plain.stderr) == (0, "")
	assert demos.seconds < 60, "three of them ran at once"


def test_it_leaves_no_temporary_folder(demos: Demos) -> None:
	assert list(demos.plain_folder.iterdir()) == []


def test_it_shows_each_kind_of_entry_with_its_verdict(demos: Demos) -> None:
	expected = demos.plain.stdout
	together = " ".join(expected.split())
	for entry in SAMPLE_ENTRIES:
		if entry.kind == "site":
			verdict = "yes" if entry.counted else "no"
			assert re.search(rf"^{re.escape(entry.name)} +{verdict} ", expected, re.MULTILINE), entry
		elif entry.kind != "file":
			assert f"{entry.name} (" in together
	for reason in (
		"tenant, in maintenance mode",
		"tenant, scheduler paused",
		"is not valid JSON (line 3, column 2), because it occupies",
		"excluded by exclude_sites: pool-*",
		'"prego_tenant" is false',
	):
		assert reason in together
	assert "7 tenants of 10 sites" in expected


def test_it_says_what_a_control_plane_is_and_each_act_proves_something(demos: Demos) -> None:
	assert " ".join(demos.plain.stdout.split()).startswith("A control plane is ")
	acts = re.findall(r"^(\d)\. ", demos.plain.stdout, re.MULTILINE)
	assert acts == ["1", "2", "3", "4"]
	assert len(re.findall("^→ Proves: ", demos.plain.stdout, re.MULTILINE)) == 4


def test_pushes_arrive_are_refused_recover_and_are_not_sent_in_this_order(demos: Demos) -> None:
	outcomes = re.findall(r"^\S+Z  (Delivered|Refused|Failed|Not sent)\b", demos.plain.stdout, re.MULTILINE)
	assert outcomes == ["Delivered", "Refused", "Delivered", "Not sent"]
	together = " ".join(demos.plain.stdout.split())
	assert "with a snapshot" in together and '"tenant_count": 7' in together


def test_the_wrong_key_alerts_once_and_so_does_its_end(demos: Demos) -> None:
	alerts = re.findall(r"^Node demo-1: (.*)$", demos.plain.stdout, re.MULTILINE)
	assert alerts == ["pushes are failing", "pushes are delivered again"]


def test_the_lost_mount_names_the_site_that_lay_there(demos: Demos) -> None:
	act = demos.plain.stdout.partition("\n4. ")[2].replace("\n", "")
	assert "sites/acme.prego.example" in act


def test_it_shows_the_rows_that_result(demos: Demos) -> None:
	expected = demos.plain.stdout
	assert re.search(r"^ +server_metrics +server_metrics_snapshots", expected, re.MULTILINE)
	assert re.search(r"^node_id +demo-1 +demo-1 *$", expected, re.MULTILINE)
	assert re.search(r"^tenant_count +7 +7 *$", expected, re.MULTILINE)
	assert re.search(r"^updated_at +\d{4}-\d\d-\d\dT", expected, re.MULTILINE)


def test_it_fits_80_columns_and_has_no_colours_without_a_terminal(demos: Demos) -> None:
	expected = demos.plain.stdout
	assert max(map(len, expected.splitlines())) <= 80
	assert "\x1b" not in expected


def test_on_a_terminal_it_says_the_same(demos: Demos) -> None:
	assert demos.terminal.code == 0
	plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", demos.terminal.screen)
	for line in demos.plain.stdout.splitlines():
		if not re.search(r"\d\d|cpu|pct|T\d|/", line):
			assert line.strip() in plain
	assert "Traceback" not in demos.terminal.screen


def test_it_is_not_disturbed_by_settings_a_key_or_a_proxy_in_the_environment(demos: Demos) -> None:
	assert (demos.disturbed.returncode, demos.disturbed.stderr) == (0, "")


def test_where_the_encoding_lacks_characters_escapes_are_shown(demos: Demos) -> None:
	assert demos.disturbed.stdout.isascii()
	assert "\\ud55c\\uad6d" in demos.disturbed.stdout


def test_the_sample_bench_is_kept_if_asked_for(demos: Demos) -> None:
	(kept,) = demos.disturbed_folder.iterdir()
	assert str(kept) in demos.disturbed.stdout.replace("\n", "")
	assert (kept / "frappe-bench" / "sites" / "apps.txt").is_file()


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_no_temporary_folder(tmp_path: Path, with_signal: signal.Signals) -> None:
	process = subprocess.Popen(
		DEMO,
		env={**os.environ, "TMPDIR": str(tmp_path)},
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)
	give_up_at = time.monotonic() + 30
	while not list(tmp_path.glob("*/frappe-bench/sites/.prego-metrics")):
		assert time.monotonic() < give_up_at
		time.sleep(0.05)
	process.send_signal(with_signal)
	_, errors = process.communicate(timeout=10)
	assert process.returncode == 1
	assert "Traceback" not in errors
	assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_gone_leaves_no_folder_and_no_traceback(tmp_path: Path) -> None:
	reading, writing = os.pipe()
	os.close(reading)
	result = subprocess.run(
		DEMO, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=writing, stderr=subprocess.PIPE, text=True
	)
	os.close(writing)
	assert result.stderr == ""
	assert list(tmp_path.iterdir()) == []


def test_without_a_place_for_the_sample_bench_it_says_so() -> None:
	# tempfile tries other places when TMPDIR cannot be used; a full disk is none of them.
	program = (
		"import sys, tempfile\n"
		"tempfile.tempdir = '/no/such/folder'\n"
		"sys.argv = ['prego-metrics', 'demo']\n"
		"from prego_metrics.cli.__main__ import main\n"
		"main()\n"
	)
	result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr == "Error: no temporary folder can be made: No such file or directory\n"
