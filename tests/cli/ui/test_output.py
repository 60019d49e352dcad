"""Who is told what: results on stdout, the rest on stderr, and nothing to cron when all is well."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from pushing import ENVIRON, KEY, aim, leaked, spare_the_sample

from prego_metrics.agent.base.messages import coded, plain
from prego_metrics.agent.push.result import Result, summary
from prego_metrics.cli.ui.push_result import print_result

PAYLOAD = {
	"node_id": "sg-1",
	"cpu_pct": 12.5,
	"memory_pct": 48.1,
	"tenant_count": 42,
	"save_snapshot": True,
	"source": "node_push",
}
DELIVERED = Result("delivered", 0.0, PAYLOAD, 200, 1, 87)
ENDED = {
	"delivered": DELIVERED,
	"refused": Result("refused", 0.0, PAYLOAD, 401, 1, 5, coded("key_refused", answer=401)),
	"failed": Result("failed", 0.0, PAYLOAD, 503, 3, 900, coded("server_error", answer=503)),
	"not_sent": Result("not_sent", 0.0, error=plain("node_id is not set\ncontrol_plane_url is not set")),
	"not_due": Result("not_due", 0.0),
	"busy": Result("busy", 0.0, error=plain("another push is running")),
	"dry_run": Result("dry_run", 0.0, PAYLOAD),
}
SENTENCES = {
	"delivered": "Delivered in 87 ms: sg-1 has 42 tenants, cpu 12.5 %, memory 48.1 %, disk unknown, with a snapshot",
	"refused": "Refused: the control plane refuses the key (HTTP 401)",
	"failed": "Failed: the control plane answers HTTP 503 (after 3 attempts)",
	"not_sent": "Not sent: node_id is not set\ncontrol_plane_url is not set",
	"not_due": "Not due yet: nothing sent",
	"busy": "Busy: another push is running",
}
CODES = {"delivered": 0, "refused": 1, "failed": 1, "not_sent": 2, "not_due": 0, "busy": 1, "dry_run": 0}


@pytest.mark.parametrize("outcome", SENTENCES)
def test_a_person_reads_one_sentence_on_the_right_stream(
	outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
	print_result(ENDED[outcome])
	written = capsys.readouterr()
	expected = SENTENCES[outcome] + "\n"
	assert (written.out, written.err) == ((expected, "") if CODES[outcome] == 0 else ("", expected))


@pytest.mark.parametrize("outcome", CODES)
def test_the_exit_code_is_the_designs(outcome: str) -> None:
	assert ENDED[outcome].exit_code == CODES[outcome]
	scheduled = ENDED[outcome]._replace(scheduled=True)
	assert scheduled.exit_code == (0 if outcome == "busy" else CODES[outcome])


@pytest.mark.parametrize("outcome", ["delivered", "not_due", "busy"])
def test_a_scheduled_push_that_went_well_says_nothing_to_cron(
	outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
	print_result(ENDED[outcome]._replace(scheduled=True))
	assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("outcome", ["delivered", "not_due", "busy"])
def test_a_scheduled_push_tells_systemds_journal(
	outcome: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("INVOCATION_ID", "0123456789abcdef")
	print_result(ENDED[outcome]._replace(scheduled=True))
	assert capsys.readouterr() == (SENTENCES[outcome] + "\n", "")


@pytest.mark.parametrize("outcome", ["refused", "failed", "not_sent"])
def test_a_scheduled_push_that_failed_speaks_up_on_stderr(
	outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
	print_result(ENDED[outcome]._replace(scheduled=True))
	assert capsys.readouterr() == ("", SENTENCES[outcome] + "\n")


@pytest.mark.parametrize("outcome", CODES)
@pytest.mark.parametrize("scheduled", [False, True])
def test_json_is_one_object_on_stdout_whatever_the_outcome(
	outcome: str, scheduled: bool, capsys: pytest.CaptureFixture[str]
) -> None:
	result = ENDED[outcome]._replace(scheduled=scheduled, warnings=("look here",))
	print_result(result, as_json=True)
	written = capsys.readouterr()
	assert json.loads(written.out) == result.as_dict()
	assert written.out.count("\n") == 1
	assert written.err == "Warning: look here\n"


def test_warnings_come_first_and_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
	print_result(ENDED["failed"]._replace(warnings=("one", "two")))
	assert capsys.readouterr().err.splitlines()[:2] == ["Warning: one", "Warning: two"]


def test_a_dry_run_prints_the_payload_and_as_json_the_result(capsys: pytest.CaptureFixture[str]) -> None:
	print_result(ENDED["dry_run"])
	assert json.loads(capsys.readouterr().out) == PAYLOAD
	print_result(ENDED["dry_run"], as_json=True)
	assert json.loads(capsys.readouterr().out)["payload"] == PAYLOAD


def test_a_node_id_that_a_terminal_would_obey_is_shown_instead() -> None:
	result = DELIVERED._replace(payload={**PAYLOAD, "node_id": "sg\u202e-1\u200b"})
	assert r"sg\u202e-1\u200b has 42 tenants" in summary(result)


# --- real processes --------------------------------------------------------------------------------


@pytest.fixture
def pushed(bench_folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
	"""`pushed(status, *options, **environ)` pushes to a server that answers so, as a real process."""

	def run(status: int, *options: str, node_id: str = "node-1", **environ: str):
		spare_the_sample(bench_folder)
		with HostileServer(answer(status, b"{}" if status == 200 else b'{"error": "no"}')) as server:
			aim(bench_folder, server.url, node_id=node_id, push_interval=60)
			return subprocess.run(
				[sys.executable, "-m", "prego_metrics.cli", "push", *options, "--bench", str(bench_folder)],
				env={**os.environ, **ENVIRON, **environ},
				capture_output=True,
				text=True,
				timeout=30,
			)

	return run


def test_cron_gets_no_mail_while_all_is_well(pushed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
	done = pushed(200, "--if-due")
	assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_cron_gets_a_mail_when_a_push_is_refused(
	pushed: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
	done = pushed(401, "--if-due")
	assert (done.returncode, done.stdout) == (1, "")
	assert done.stderr == 'Refused: the control plane refuses the key (HTTP 401: {"error": "no"})\n'


def test_a_push_by_hand_prints_what_it_delivered(
	pushed: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
	done = pushed(200)
	assert (done.returncode, done.stderr) == (0, "")
	assert done.stdout.startswith("Delivered in ") and "node-1 has 3 tenants" in done.stdout


@pytest.mark.parametrize(("status", "outcome", "code"), [(200, "delivered", 0), (400, "refused", 1)])
def test_json_by_the_command_line_is_the_result(
	status: int, outcome: str, code: int, pushed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
	done = pushed(status, "--json")
	assert done.returncode == code
	result = json.loads(done.stdout)
	assert (result["outcome"], result["status_code"]) == (outcome, status)
	assert done.stderr == ""


@pytest.mark.parametrize("options", [(), ("--if-due",), ("--json",), ("--dry-run",)])
def test_a_terminal_or_log_that_knows_only_ascii_gets_no_traceback(
	options: tuple[str, ...], pushed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
	done = pushed(200, *options, node_id="노드-1", PYTHONIOENCODING="ascii", INVOCATION_ID="0123456789abcdef")
	assert (done.returncode, done.stderr) == (0, "")
	assert r"\ub178\ub4dc-1" in done.stdout


def test_a_reader_who_left_changes_neither_exit_code_nor_prints_a_traceback(
	bench_folder: Path,
) -> None:
	spare_the_sample(bench_folder)
	reading, writing = os.pipe()
	os.close(reading)
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url, push_interval=60)
		for options in (["--if-due"], []):
			done = subprocess.run(
				[sys.executable, "-m", "prego_metrics.cli", "push", *options, "--bench", str(bench_folder)],
				env={**os.environ, **ENVIRON, "INVOCATION_ID": "0123456789abcdef"},
				stdout=writing,
				stderr=subprocess.PIPE,
				text=True,
				timeout=30,
			)
			assert (done.returncode, done.stderr) == (0, "")
	os.close(writing)


def test_at_a_terminal_a_scheduled_push_answers(bench_folder: Path) -> None:
	spare_the_sample(bench_folder)
	screen, terminal = pty.openpty()
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url, push_interval=60)
		code = subprocess.run(
			[sys.executable, "-m", "prego_metrics.cli", "push", "--if-due", "--bench", str(bench_folder)],
			env={**os.environ, **ENVIRON},
			stdout=terminal,
			timeout=30,
		).returncode
	os.close(terminal)
	shown = os.read(screen, 4096).decode()
	os.close(screen)
	assert code == 0
	assert shown.startswith("Delivered in ")


def test_no_way_of_printing_a_result_shows_the_key(
	pushed: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
	for options in ((), ("--json",), ("--if-due",)):
		done = pushed(401, *options)
		assert not leaked(done.stdout + done.stderr, KEY)


def test_without_any_stdout_a_push_ends_as_it_ended(bench_folder: Path) -> None:
	spare_the_sample(bench_folder)
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url, push_interval=60)
		for options in ("--if-due", "--json"):
			command = f'"{sys.executable}" -m prego_metrics.cli push {options} --bench "{bench_folder}" >&-'
			done = subprocess.run(
				["sh", "-c", command],
				env={**os.environ, **ENVIRON},
				stderr=subprocess.PIPE,
				text=True,
				timeout=30,
			)
			assert (done.returncode, done.stderr) == (0, "")
