"""The command line as a person, cron and systemd meet it: real processes, their output and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pushing import folder_of, spare_the_sample, state_of
from terminals import on_a_terminal

from prego_metrics import __version__
from prego_metrics.agent import due
from prego_metrics.agent.lock import PushLock

Run = Callable[..., "subprocess.CompletedProcess[str]"]

COMMANDS = {
	"push": "Push once",
	"tenants": "Show every site, counted or not, and why",
	"status": "Say whether this node is delivering",
	"doctor": "Check everything a push depends on",
	"configure": "Write settings into the bench's common_site_config.json",
	"control-plane": "Run a local control plane",
	"demo": "Push from a sample bench to a local control plane",
}
ON_A_BENCH = ("push", "tenants", "status", "doctor", "configure")
RESULT_KEYS = ["outcome", "payload", "status_code", "attempts", "duration_ms", "error", "at"]
KOREAN = "한국상사.example"
HOSTILE = (
	"red\x1b[31m.example",
	"two\nlines.example",
	"\u202etxt.example",
	os.fsdecode(b"bytes\xff.example"),
	"bell\x07.example",
)
# What a terminal, or a reader's eye, would obey instead of show.
RAW = ("\x1b", "\x07", "\u202e", "\udcff")


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path], control_plane: Any) -> Path:
	"""A bench that is set up, and need not watch its CPU for a second."""
	settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url, spread=0)
	spare_the_sample(bench_folder)
	return bench_folder


@pytest.fixture
def key(control_plane: Any, monkeypatch: pytest.MonkeyPatch) -> str:
	monkeypatch.setenv("INTERNAL_API_KEY", control_plane.key)
	return str(control_plane.key)


def listing(folder: Path) -> dict[str, bytes]:
	return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def no_traceback(ended: subprocess.CompletedProcess[str]) -> bool:
	return "Traceback" not in ended.stdout + ended.stderr and "Exception" not in ended.stderr


# --- help and usage ----------------------------------------------------------------------------------


def test_help_names_every_command_and_the_exit_codes(run_agent: Run) -> None:
	ended = run_agent("--help")
	assert (ended.returncode, ended.stderr) == (0, "")
	for command in COMMANDS:
		assert re.search(rf"^  {command} ", ended.stdout, re.MULTILINE)
	assert "Exit codes: 0 done or nothing to do, 1 not delivered, 2 nothing could be" in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_says_what_it_does_within_80_columns(run_agent: Run, command: str) -> None:
	ended = run_agent(command, "--help")
	assert (ended.returncode, ended.stderr) == (0, "")
	assert max(map(len, ended.stdout.splitlines())) <= 80
	assert f"Usage: prego-metrics {command} " in ended.stdout
	assert COMMANDS[command] in ended.stdout
	for option in re.findall(r"^  (--[a-z-]+)(?: [A-Z]+)?$", ended.stdout, re.MULTILINE):
		# An option without its help alone on a line would be one without words.
		assert re.search(rf"^  {option}[^\n]*\n {{6,}}\S", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", ON_A_BENCH)
def test_every_command_that_looks_at_a_bench_takes_bench_and_json(run_agent: Run, command: str) -> None:
	words = run_agent(command, "-h").stdout
	assert "--bench PATH" in words and "--json" in words


def test_without_a_command_the_help_is_shown(run_agent: Run) -> None:
	ended = run_agent()
	assert "Usage: prego-metrics" in ended.stdout + ended.stderr
	assert no_traceback(ended)


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
	ended = run_agent(*arguments, cwd=bench)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert len(re.findall(r"^Error: ", ended.stderr, re.MULTILINE)) == 1
	# click gives no hint where an option lacks its value.
	assert "--help' for help." in ended.stderr or "requires an argument" in ended.stderr
	assert no_traceback(ended)


@pytest.mark.parametrize(
	("typed", "meant"), [("statsu", "status"), ("configrue", "configure"), ("pusch", "push")]
)
def test_a_mistyped_command_names_the_near_one(run_agent: Run, typed: str, meant: str) -> None:
	assert f"No such command '{typed}'. Did you mean '{meant}'?" in run_agent(typed).stderr


# --- push --------------------------------------------------------------------------------------------


def test_push_says_in_one_line_what_was_delivered(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	ended = run_agent("push", "--bench", bench)
	assert (ended.returncode, ended.stderr) == (0, "")
	assert re.fullmatch(
		r"Delivered in \d+ ms: node-1 has 3 tenants, cpu [\d.]+ %, memory [\d.]+ %, disk [\d.]+ %, "
		r"with a snapshot\n",
		ended.stdout,
	)
	assert control_plane.answers == ["POST /internal/server-metrics 200"]
	assert control_plane.store.server_metrics("node-1")["tenant_count"] == 3
	assert state_of(bench).last.driver == "manual"


def test_push_json_has_the_shape_of_the_design(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	ended = run_agent("push", "--json", "--bench", bench)
	assert (ended.returncode, ended.stderr) == (0, "")
	written = json.loads(ended.stdout)
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["status_code"], written["attempts"]) == ("delivered", 200, 1)
	assert written["error"] is None
	assert type(written["duration_ms"]) is int
	assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written["at"])
	assert list(written["payload"]) == [
		"node_id",
		"cpu_pct",
		"memory_pct",
		"disk_pct",
		"tenant_count",
		"save_snapshot",
		"source",
	]
	row = control_plane.store.server_metrics("node-1")
	assert all(row[name] == value for name, value in written["payload"].items() if name in row)


def test_a_refused_push_exits_1_and_speaks_on_stderr(run_agent: Run, bench: Path) -> None:
	ended = run_agent("push", "--bench", bench, INTERNAL_API_KEY="a-wrong-key-987654321")
	assert (ended.returncode, ended.stdout) == (1, "")
	assert re.fullmatch(r"Refused: the control plane refuses the key: it answers 401[^\n]*\n", ended.stderr)
	assert "987654321" not in ended.stderr


def test_a_refused_push_as_json_names_the_status_code_and_says_nothing_else(
	run_agent: Run, bench: Path
) -> None:
	ended = run_agent("push", "--json", "--bench", bench, INTERNAL_API_KEY="a-wrong-key-987654321")
	assert (ended.returncode, ended.stderr) == (1, "")
	written = json.loads(ended.stdout)
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["status_code"]) == ("refused", 401)
	assert "401" in written["error"]
	assert "987654321" not in ended.stdout


def test_a_push_that_reaches_nobody_exits_1_after_three_attempts(
	run_agent: Run, bench: Path, key: str
) -> None:
	ended = run_agent("push", "--bench", bench, PREGO_METRICS_CONTROL_PLANE_URL="http://127.0.0.1:9")
	assert (ended.returncode, ended.stdout) == (1, "")
	assert ended.stderr == (
		"Failed: no connection: Connection refused (http://127.0.0.1:9) (after 3 attempts)\n"
	)


def test_a_push_without_settings_names_all_that_is_missing_and_exits_2(
	run_agent: Run, bench_folder: Path, key: str
) -> None:
	ended = run_agent("push", "--bench", bench_folder)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert ended.stderr.startswith("Not sent: node_id is not set")
	assert "control_plane_url is not set" in ended.stderr
	written = json.loads(run_agent("push", "--json", "--bench", bench_folder).stdout)
	assert (written["outcome"], written["payload"], written["status_code"]) == ("not_sent", None, None)


def test_a_push_without_a_key_exits_2_and_says_where_it_belongs(
	run_agent: Run, bench: Path, control_plane: Any
) -> None:
	ended = run_agent("push", "--bench", bench)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert ended.stderr.startswith("Not sent: there is no key: set INTERNAL_API_KEY")
	assert control_plane.answers == []


def test_dry_run_prints_the_payload_alone_and_sends_and_records_nothing(
	run_agent: Run, bench: Path, control_plane: Any
) -> None:
	before = listing(bench)
	ended = run_agent("push", "--dry-run", "--bench", bench)
	assert (ended.returncode, ended.stderr) == (0, "")
	written = json.loads(ended.stdout)
	assert written["node_id"] == "node-1" and written["tenant_count"] == 3
	assert written["source"] == "node_push"
	assert control_plane.answers == []
	assert listing(bench) == before


def test_dry_run_with_json_prints_the_result(run_agent: Run, bench: Path) -> None:
	ended = run_agent("push", "--dry-run", "--json", "--bench", bench)
	assert (ended.returncode, ended.stderr) == (0, "")
	written = json.loads(ended.stdout)
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["attempts"], written["status_code"]) == ("dry_run", 0, None)
	assert written["payload"]["tenant_count"] == 3


def test_dry_run_of_what_cannot_be_counted_exits_2_and_prints_no_payload(
	run_agent: Run, bench: Path, settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url="https://c.example", benches=["/no/such/bench"])
	ended = run_agent("push", "--dry-run", "--bench", bench)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert ended.stderr.startswith("Not sent: ") and "/no/such/bench" in ended.stderr


def test_save_snapshot_asks_for_one_that_is_not_due(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	spare_the_sample(bench, last_snapshot_at=time.time() - 60)
	assert "with a snapshot" not in run_agent("push", "--bench", bench).stdout
	assert "with a snapshot" in run_agent("push", "--save-snapshot", "--bench", bench).stdout
	assert len(control_plane.store.snapshots("node-1")) == 1


# --- push --if-due -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["the quick way in", "any other way in"])
def test_a_scheduled_push_is_silent_when_delivered_and_when_nothing_is_due(
	run_agent: Run, bench: Path, key: str, control_plane: Any, order: str
) -> None:
	arguments = ["push", "--if-due", "--bench", bench]
	if order == "any other way in":
		arguments = ["push", "--bench", bench, "--if-due"]
	for _ in range(2):
		ended = run_agent(*arguments)
		assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
	assert control_plane.answers == ["POST /internal/server-metrics 200"]
	assert [tick.driver for tick in folder_of(bench).ticks()] == ["cron"]


@pytest.mark.parametrize("order", ["the quick way in", "any other way in"])
def test_under_systemd_a_scheduled_push_speaks_to_the_journal(
	run_agent: Run, bench: Path, key: str, order: str
) -> None:
	arguments = ["push", "--if-due", "--bench", bench]
	if order == "any other way in":
		arguments = ["push", "--bench", bench, "--if-due"]
	assert run_agent(*arguments, INVOCATION_ID="0123").stdout.startswith("Delivered in ")
	assert run_agent(*arguments, INVOCATION_ID="0123").stdout == "Not due yet: nothing sent\n"
	assert [tick.driver for tick in folder_of(bench).ticks()] == ["timer"]


def test_a_scheduled_push_as_json_says_not_due(run_agent: Run, bench: Path, key: str) -> None:
	run_agent("push", "--bench", bench)
	ended = run_agent("push", "--if-due", "--json", "--bench", bench)
	written = json.loads(ended.stdout)
	assert ended.returncode == 0
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["payload"], written["attempts"]) == ("not_due", None, 0)


def test_a_scheduled_push_beside_a_running_one_is_done(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()
		ended = run_agent("push", "--if-due", "--json", "--bench", bench)
		silent = run_agent("push", "--if-due", "--bench", bench)
	assert (ended.returncode, json.loads(ended.stdout)["outcome"]) == (0, "busy")
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
		ended = run_agent("push", *flags, folder)
		assert (ended.returncode, ended.stdout) == (2, "")
		assert ended.stderr.startswith("Not sent: ") and words in ended.stderr
		assert no_traceback(ended)


def imported_by(*arguments: object) -> set[str]:
	"""Run the command line and return the top-level packages that it imported."""
	ended = subprocess.run(
		[sys.executable, "-X", "importtime", "-m", "prego_metrics.agent", *map(str, arguments)],
		capture_output=True,
		text=True,
		check=True,
	)
	modules = re.findall(r"^import time: .*\| +(\S+)$", ended.stderr, re.MULTILINE)
	return {module.partition(".")[0] for module in modules}


def test_a_tick_that_is_not_due_imports_neither_click_nor_what_sends_and_samples(
	bench: Path, key: str, control_plane: Any
) -> None:
	when_due = imported_by("push", "--if-due", "--bench", bench)
	assert control_plane.answers == ["POST /internal/server-metrics 200"]
	assert {"prego_metrics", "requests"} <= when_due
	assert not {"click", "rich", "werkzeug"} & when_due

	not_due = imported_by("push", "--if-due", "--bench", bench)
	assert len(control_plane.answers) == 1
	assert "prego_metrics" in not_due
	assert not {"click", "rich", "werkzeug", "requests", "urllib3", "psutil", "ssl"} & not_due


def test_ctrl_c_while_a_scheduled_push_waits_its_share_ends_without_a_traceback(
	bench: Path, settings: Callable[..., Path], key: str, control_plane: Any
) -> None:
	assert due.spread_share_seconds("node-2", 60) > 10
	settings(bench, node_id="node-2", control_plane_url=control_plane.url, spread=60)
	process = subprocess.Popen(
		[sys.executable, "-m", "prego_metrics.agent", "push", "--if-due", "--bench", str(bench)],
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)
	time.sleep(1)
	process.send_signal(signal.SIGINT)
	assert process.communicate(timeout=10) == ("", "")
	assert process.returncode == 130
	assert control_plane.answers == []


# --- which bench -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", "sites", "sites/acme.example", "apps/an_app/deeper"])
def test_the_bench_is_found_from_the_working_directory_and_its_parents(
	run_agent: Run, bench: Path, place: str
) -> None:
	(bench / place).mkdir(parents=True, exist_ok=True)
	ended = run_agent("tenants", "--json", cwd=bench / place)
	assert json.loads(ended.stdout)["tenant_count"] == 3


@pytest.mark.parametrize("name", ["", "sites/"])
@pytest.mark.parametrize("command", ON_A_BENCH)
def test_bench_names_the_bench_or_its_sites_folder_after_any_command(
	run_agent: Run, bench: Path, key: str, tmp_path: Path, command: str, name: str
) -> None:
	(tmp_path / "elsewhere").mkdir()
	ended = run_agent(command, "--json", "--bench", f"{bench}/{name}", cwd=tmp_path / "elsewhere")
	assert json.loads(ended.stdout)
	assert ended.returncode in ({"status": (3,), "doctor": (0, 1)}.get(command, (0,)))
	assert no_traceback(ended)


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
		([], "nor a folder above it is a bench"),
		(["--bench", tmp_path], "is not a bench"),
		(["--bench", tmp_path / "no\x1b[31mwhere"], "no\\x1b[31mwhere is not a bench"),
	):
		ended = run_agent(*arguments, *extra, cwd=tmp_path)
		assert (ended.returncode, ended.stdout) == (2, "")
		assert words in ended.stderr
		assert len(ended.stderr.splitlines()) == 1
		assert no_traceback(ended)
	assert list(tmp_path.iterdir()) == []


def test_a_working_directory_that_is_gone_is_one_error(bench: Path, tmp_path: Path) -> None:
	(tmp_path / "gone").mkdir()
	script = (
		f'cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec "{sys.executable}" -m prego_metrics.agent "$@"'
	)
	for arguments in (["push", "--if-due"], ["tenants"]):
		(tmp_path / "gone").mkdir(exist_ok=True)
		ended = subprocess.run(["sh", "-c", script, "sh", *arguments], capture_output=True, text=True)
		assert (ended.returncode, ended.stdout) == (2, "")
		assert "the working directory is not there any more" in ended.stderr
		assert no_traceback(ended)


# --- tenants -----------------------------------------------------------------------------------------


@pytest.fixture
def mixed_bench(bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path]) -> Path:
	"""Three tenants, one excluded, one that says it is none, a folder that is no site, and a link."""
	make_site(bench_folder, "pool-001")
	make_site(bench_folder, "training.example", prego_tenant=0)
	(bench_folder / "sites" / "archived").mkdir()
	(bench_folder / "sites" / "alias.example").symlink_to("acme.example")
	settings(bench_folder, exclude_sites=["pool-*"])
	return bench_folder


def test_tenants_shows_every_site_with_its_verdict_and_why(run_agent: Run, mixed_bench: Path) -> None:
	ended = run_agent("tenants", "--bench", mixed_bench)
	assert (ended.returncode, ended.stderr) == (0, "")
	assert re.search(r"^Site +Counted +Why", ended.stdout)
	assert re.search(r"^acme\.example +yes +tenant *$", ended.stdout, re.MULTILINE)
	assert re.search(r"^pool-001 +no +excluded by exclude_sites: pool-\* *$", ended.stdout, re.MULTILINE)
	assert re.search(r"^training\.example +no +\"prego_tenant\" is false", ended.stdout, re.MULTILINE)
	assert "alias.example (a symlink, which is an alias)" in " ".join(ended.stdout.split())
	assert ended.stdout.endswith("3 tenants of 5 sites\n")


def test_tenants_json_has_the_shape_of_the_design(run_agent: Run, mixed_bench: Path) -> None:
	ended = run_agent("tenants", "--json", "--bench", mixed_bench)
	assert (ended.returncode, ended.stderr) == (0, "")
	written = json.loads(ended.stdout)
	assert written["tenant_count"] == 3
	assert [site["site"] for site in written["sites"] if site["counted"]] == [
		"acme.example",
		"brightfoods.example",
		"cedar.example",
	]
	assert written["sites"][3] == {
		"site": "pool-001",
		"bench": str(mixed_bench),
		"counted": False,
		"reason": "excluded by exclude_sites: pool-*",
	}
	assert all(list(site) == ["site", "bench", "counted", "reason"] for site in written["sites"])
	assert {entry["name"] for entry in written["not_sites"]} == {"archived", "alias.example"}


def test_tenants_names_the_bench_of_each_site_when_there_are_several(
	run_agent: Run, bench_folder: Path, make_bench: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	other = make_bench(bench_folder.parent / "other-bench", "delta.example")
	settings(bench_folder, benches=[str(bench_folder), str(other), f"{bench_folder.parent}/*-bench"])
	ended = run_agent("tenants", "--bench", bench_folder)
	assert re.search(r"^Site +Bench +Counted +Why", ended.stdout)
	assert ended.stdout.endswith("4 tenants of 4 sites\n")
	written = json.loads(run_agent("tenants", "--json", "--bench", bench_folder).stdout)
	assert {site["bench"] for site in written["sites"]} == {str(bench_folder), str(other)}


def test_tenants_of_a_bench_without_sites_is_null_and_exit_2(
	run_agent: Run, make_bench: Callable[..., Path], tmp_path: Path
) -> None:
	empty = make_bench(tmp_path / "empty-bench")
	ended = run_agent("tenants", "--json", "--bench", empty)
	assert ended.returncode == 2
	written = json.loads(ended.stdout)
	assert (written["tenant_count"], written["sites"]) == (None, [])
	assert "holds no site at all" in written["error"]
	ended = run_agent("tenants", "--bench", empty)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert ended.stderr.startswith("Error: ") and "holds no site at all" in ended.stderr


def test_tenants_of_no_bench_is_null_too(run_agent: Run, tmp_path: Path) -> None:
	ended = run_agent("tenants", "--json", "--bench", tmp_path)
	assert (ended.returncode, json.loads(ended.stdout)["tenant_count"]) == (2, None)


def test_all_sites_excluded_is_a_true_0(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, exclude_sites=["*"])
	ended = run_agent("tenants", "--json", "--bench", bench_folder)
	assert (ended.returncode, json.loads(ended.stdout)["tenant_count"]) == (0, 0)


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
	ended = run_agent(*arguments, "--bench", hostile_bench)
	for raw in RAW:
		assert raw not in ended.stdout + ended.stderr
	assert no_traceback(ended)
	if arguments == ["tenants", "--json"]:
		names = {site["site"] for site in json.loads(ended.stdout)["sites"]}
		assert {"red\\x1b[31m.example", "two\\x0alines.example", "bytes\\xff.example", KOREAN} <= names
	if arguments == ["push"]:
		assert "Warning: site two\\x0alines.example: counted, though" in ended.stderr
	if arguments == ["configure", "--show"]:
		assert KOREAN in ended.stdout


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
		(["capacity"], 2),
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
	ended = run_agent(*arguments, "--json", cwd=tmp_path)
	assert ended.returncode == code
	(line,) = ended.stdout.splitlines()
	written = json.loads(line)
	words = written["checks"][0]["seen"] if arguments == ["doctor"] else written["error"]
	assert "bench" in words or "none" in words or "HCLOUD_TOKEN" in words
	assert no_traceback(ended)


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
	ended = subprocess.run(
		[sys.executable, "-m", "prego_metrics.agent", *arguments, *where],
		env={**os.environ, **ENCODINGS[encoding]},
		capture_output=True,
	)
	assert b"Traceback" not in ended.stderr and b"Error" not in ended.stderr
	assert ended.returncode == (1 if "doctor" in arguments else 0)
	assert ended.stdout
	if arguments == ["tenants"]:
		seen = ended.stdout.decode("latin-1" if encoding == "latin-1" else "utf-8")
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
	ended = subprocess.run(
		[sys.executable, "-m", "prego_metrics.agent", *arguments],
		cwd=bench,
		env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
		stdout=writing,
		stderr=subprocess.PIPE,
		text=True,
	)
	os.close(writing)
	assert ended.stderr == ""
	# How a push ended does not depend on who reads it.
	assert ended.returncode == (0 if arguments[0] == "push" else 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
	"arguments", [["tenants"], ["status"], ["push"], ["push", "--if-due"], ["--help"]], ids=" ".join
)
def test_a_full_disk_under_the_output_leaves_no_traceback(
	bench: Path, key: str, control_plane: Any, arguments: list[str], unbuffered: str
) -> None:
	with open("/dev/full", "w") as full:
		ended = subprocess.run(
			[sys.executable, "-m", "prego_metrics.agent", *arguments],
			cwd=bench,
			env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "INVOCATION_ID": "0123"},
			stdout=full,
			stderr=subprocess.PIPE,
			text=True,
		)
	if arguments[0] == "push":
		assert (ended.returncode, ended.stderr) == (0, "")
		assert control_plane.answers == ["POST /internal/server-metrics 200"]
	else:
		assert (ended.returncode, ended.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
	"arguments", [["push", "--if-due"], ["push"], ["tenants"], ["configure"]], ids=" ".join
)
def test_closed_standard_streams_change_nothing_of_the_exit_code(
	bench: Path, key: str, arguments: list[str], closed: str
) -> None:
	script = f'exec "{sys.executable}" -m prego_metrics.agent "$@" {closed}'
	ended = subprocess.run(["sh", "-c", script, "sh", *arguments], cwd=bench, capture_output=True, text=True)
	assert ended.returncode == 0
	assert no_traceback(ended)


def test_without_stderr_its_words_do_not_end_up_among_the_results(bench: Path) -> None:
	script = f'exec "{sys.executable}" -m prego_metrics.agent push 2>&-'
	ended = subprocess.run(["sh", "-c", script], cwd=bench, capture_output=True, text=True)
	assert (ended.returncode, ended.stdout) == (2, "")


# --- imports -----------------------------------------------------------------------------------------

_IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class NoFrappe:
	def find_spec(self, name, path=None, target=None):
		if name.partition(".")[0] == "frappe":
			raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, NoFrappe())
import prego_metrics.agent, prego_metrics.local_control_plane
count = 0
for package in (prego_metrics.agent, prego_metrics.local_control_plane):
	for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
		importlib.import_module(found.name)
		count += 1
print(count, "frappe" in sys.modules)
"""


def test_nothing_in_the_agent_or_the_local_control_plane_imports_frappe() -> None:
	ended = subprocess.run([sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True)
	assert ended.stderr == ""
	count, imported = ended.stdout.split()
	assert int(count) > 25
	assert imported == "False"


def test_the_commands_that_every_bench_call_imports_bring_nothing_heavy() -> None:
	program = "import sys, prego_metrics.commands; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
	imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
	heavy = {"rich", "requests", "urllib3", "psutil", "werkzeug", "sqlite3", "ssl"}
	assert not heavy & set(imported.stdout.split())
