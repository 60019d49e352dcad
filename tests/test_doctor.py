"""`doctor`: a check for each way a push can fail, made to pass, to warn and to fail on purpose."""

from __future__ import annotations

import email.utils
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hostile_server import Behaviour, HostileServer, answer, echo
from pushing import KEY as HOSTILE_KEY
from pushing import earlier_reading, folder_of, leaked

from prego_metrics.agent import checks_bench
from prego_metrics.agent.bench import open_bench
from prego_metrics.agent.doctor import Check, examine
from prego_metrics.agent.state import Push, State, Tick

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = [
	"configuration",
	"api_key",
	"shadowed",
	"heartbeat",
	"instance",
	"tenants",
	"plausible",
	"host",
	"file_system",
	"lock",
	"state",
	"state_disk",
	"drivers",
	"second_driver",
	"driver_settings",
	"interval",
	"last_push",
	"operators_site",
	"scheduler_switches",
	"scheduler_process",
	"tenant_figures",
	"proxy",
	"dns",
	"tls",
	"control_plane",
	"clock",
	"redis",
	"workers",
	"database",
	"app_on_site",
	"scheduler",
	"dormant",
	"job",
	"stuck_job",
]
# What this bench in a temporary folder has none of: a hoster, a site to show itself on, TLS, a Frappe.
SKIPPED = {"instance", "operators_site", "tenant_figures", "tls", *NAMES[-8:]}
URL = "https://control-plane.example"
PAYLOAD = {"node_id": "node-1", "tenant_count": 3, "source": "node_push"}
DELIVERED = Push("0123456789abcdef", 0.0, "frappe", "delivered", PAYLOAD, 200, 1, 12, None)


def tick(bench: Path, driver: str = "frappe", ago: float = 20, **values: Any) -> None:
	fields = {"push_interval": 60.0, "node_id": "node-1", "outcome": "delivered", **values}
	assert folder_of(bench).tick(Tick(driver=driver, at=time.time() - ago, **fields)) is None


def settings_of(bench: Path, ago: float) -> None:
	"""Let the settings have been the same for some time."""
	at = time.time() - ago
	os.utime(bench / "sites" / "common_site_config.json", (at, at))


def remember(bench: Path, *pushes: Push) -> None:
	"""Leave a state in which these pushes ended, and in which the CPU was just sampled."""
	state = State(cpu=earlier_reading())
	for push in pushes:
		state = replace(state.recorded(push, 3), last_attempt_at=push.at)
	assert folder_of(bench).write(state) is None


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path], control_plane: Any) -> Path:
	"""A bench that delivers, so that every check passes."""
	settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url)
	remember(bench_folder, replace(DELIVERED, at=time.time() - 20))
	tick(bench_folder)
	return bench_folder


@pytest.fixture
def environ(control_plane: Any) -> dict[str, str]:
	return {"INTERNAL_API_KEY": control_plane.key}


def checks(bench: Path, environ: dict[str, str], *, online: bool = False) -> dict[str, Check]:
	"""Examine a bench; whatever it is, what the doctor says has to be of use."""
	made = list(examine(open_bench(str(bench)), environ, online=online))
	for check in made:
		assert check.state in ("pass", "warn", "fail", "skip")
		assert check.seen
		assert bool(check.action) == (check.state in ("warn", "fail")), check
		assert all(raw not in check.seen + check.action for raw in ("\x1b", "\u202e", "\udcff")), check
	return {check.name: check for check in made}


def judge(bench: Path, environ: dict[str, str], name: str) -> Check:
	return checks(bench, environ, online=name in ("control_plane", "clock"))[name]


# --- all of it ---------------------------------------------------------------------------------------


def test_a_node_that_delivers_passes_every_check_in_this_order(
	bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	made = checks(bench, environ, online=True)
	assert list(made) == NAMES
	assert {name for name, check in made.items() if check.state == "skip"} == SKIPPED
	assert {check.state for name, check in made.items() if name not in SKIPPED} == {"pass"}
	assert control_plane.answers == ["GET /internal/nodes/node-1 200"]


def test_the_command_prints_a_line_for_each_check_and_exits_0(
	run_agent: Run, bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	ended = run_agent("doctor", "--bench", bench, **environ)
	assert (ended.returncode, ended.stderr) == (0, "")
	assert re.findall(r"^pass ([a-z_]+): ", ended.stdout, re.MULTILINE) == [
		n for n in NAMES if n not in SKIPPED
	]
	skipped = " ".join(re.findall(r"^skip ([a-z_, \n]+): ", ended.stdout, re.MULTILINE)).replace("\n", " ")
	assert set(re.findall("[a-z_]+", skipped)) == SKIPPED
	assert control_plane.key not in ended.stdout
	assert max(map(len, ended.stdout.splitlines())) <= 80


def test_json_has_the_shape_of_the_design(run_agent: Run, bench: Path, environ: dict[str, str]) -> None:
	ended = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert (ended.returncode, ended.stderr) == (0, "")
	written = json.loads(ended.stdout)
	assert list(written) == ["ok", "checks"]
	assert written["ok"] is True
	assert [check["name"] for check in written["checks"]] == NAMES
	assert all(list(check) == ["name", "state", "seen", "action"] for check in written["checks"])


def test_a_warning_alone_is_no_failure(
	run_agent: Run, bench: Path, environ: dict[str, str], make_site: Callable[..., Path]
) -> None:
	(make_site(bench, "half.example") / "site_config.json").write_text("{")
	ended = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert {check["state"] for check in json.loads(ended.stdout)["checks"]} == {"pass", "warn", "skip"}
	assert (ended.returncode, json.loads(ended.stdout)["ok"]) == (0, True)


def test_a_failure_exits_1_and_says_what_to_do_below_it(run_agent: Run, bench: Path) -> None:
	ended = run_agent("doctor", "--bench", bench)
	assert (ended.returncode, ended.stderr) == (1, "")
	assert re.search(r"^fail api_key: there is no key[^→]*\n +→ give the key", ended.stdout, re.MULTILINE)
	assert re.search(r"^skip control_plane: not asked", ended.stdout, re.MULTILINE)
	assert json.loads(run_agent("doctor", "--json", "--bench", bench).stdout)["ok"] is False


def test_a_fresh_install_is_told_everything_at_once(run_agent: Run, bench_folder: Path) -> None:
	ended = run_agent("doctor", "--json", "--bench", bench_folder)
	assert ended.returncode == 1
	states = {check["name"]: check["state"] for check in json.loads(ended.stdout)["checks"]}
	assert [name for name, state in states.items() if state == "fail"] == [
		"configuration",
		"api_key",
		"drivers",
	]
	assert states["last_push"] == "warn"
	assert states["control_plane"] == "skip"


def test_what_is_no_bench_fails_that_check_and_exits_1(run_agent: Run, tmp_path: Path) -> None:
	ended = run_agent("doctor", "--json", "--bench", tmp_path)
	assert (ended.returncode, ended.stderr) == (1, "")
	(check,) = json.loads(ended.stdout)["checks"]
	assert (check["name"], check["state"]) == ("bench", "fail")
	assert "is not a bench" in check["seen"] and "--bench PATH" in check["action"]
	assert "fail bench: " in run_agent("doctor", cwd=tmp_path).stdout


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
	ended = run_agent("doctor", "--offline", "--json", "--bench", bench, **environ)
	assert ended.returncode == 0
	made = {check["name"]: (check["state"], check["seen"]) for check in json.loads(ended.stdout)["checks"]}
	assert {made[name] for name in ("dns", "tls", "control_plane")} == {("skip", "not asked (--offline)")}
	assert control_plane.answers == []


# --- configuration and key ---------------------------------------------------------------------------


def test_every_problem_of_the_configuration_is_named(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="..", control_plane_url="http://far.example", push_intervall=60)
	made = checks(bench, environ, online=True)
	assert made["configuration"].state == "fail"
	for words in ("node_id = ", "control_plane_url = ", "push_intervall"):
		assert words in made["configuration"].seen
	assert made["control_plane"].state == "skip"


@pytest.mark.parametrize("content", ["{", "[]", '{"prego_metrics": 7}', ""])
def test_a_broken_common_configuration_fails_and_exits_1(
	run_agent: Run, bench: Path, environ: dict[str, str], content: str
) -> None:
	(bench / "sites" / "common_site_config.json").write_text(content)
	ended = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert (ended.returncode, ended.stderr) == (1, "")
	states = {check["name"]: check["state"] for check in json.loads(ended.stdout)["checks"]}
	assert states["configuration"] == "fail"
	assert states["tenants"] == "fail"
	assert states["control_plane"] == "skip"


def test_an_interval_outside_the_runbook_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path], control_plane: Any
) -> None:
	settings(bench, node_id="node-1", control_plane_url=control_plane.url, push_interval=30)
	check = judge(bench, environ, "configuration")
	assert check.state == "warn" and "outside the runbook's 60 to 300 seconds" in check.seen


def test_without_a_key_the_check_says_where_it_belongs(bench: Path) -> None:
	check = judge(bench, {}, "api_key")
	assert check.state == "fail" and "there is no key: set INTERNAL_API_KEY" in check.seen


def test_an_empty_key_beside_a_key_file_is_a_warning(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("a-key\n")
	(tmp_path / "key").chmod(0o600)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "key"))
	assert judge(bench, {}, "api_key").state == "pass"
	check = judge(bench, {"INTERNAL_API_KEY": ""}, "api_key")
	assert check.state == "warn" and "is empty and counts as unset" in check.seen


def test_a_key_file_that_others_can_read_is_a_failure_with_the_command_that_mends_it(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("a-key-of-secrets\n")
	(tmp_path / "key").chmod(0o644)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "key"))
	check = judge(bench, {}, "api_key")
	assert check.state == "fail" and "0644" in check.seen and "chmod 600" in check.seen
	assert "a-key-of-secrets" not in check.seen + check.action


# --- tenants and host --------------------------------------------------------------------------------


def test_an_empty_bench_is_a_failure(
	environ: dict[str, str], make_bench: Callable[..., Path], tmp_path: Path
) -> None:
	check = judge(make_bench(tmp_path / "empty-bench"), environ, "tenants")
	assert check.state == "fail" and "holds no site at all" in check.seen


def test_a_bench_that_cannot_be_read_is_a_failure(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, benches=[str(bench), "/no/such/bench"])
	assert judge(bench, environ, "tenants").state == "fail"


def test_all_sites_excluded_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, exclude_sites=["*"])
	check = judge(bench, environ, "tenants")
	assert (check.state, check.seen) == ("warn", "0 tenants of 3 sites: all are excluded")


def test_a_site_that_cannot_be_judged_is_a_warning_that_names_it(
	bench: Path, environ: dict[str, str], make_site: Callable[..., Path]
) -> None:
	(make_site(bench, "half\x1b[31m.example") / "site_config.json").write_text("{")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert check.seen.startswith("4 tenants of 4 sites\nsite half\\x1b[31m.example: counted, though")


def test_the_operators_own_site_that_is_counted_is_said_with_how_to_exclude_it(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, site="acme.example")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert "the operator's site acme.example is counted as a tenant" in check.seen
	assert "prego-metrics configure --exclude-sites acme.example" in check.action
	settings(bench, node_id="node-1", control_plane_url=URL, site="acme.example", exclude_sites=["acme.*"])
	assert judge(bench, environ, "tenants").state == "pass"


def test_a_figure_of_the_host_that_cannot_be_read_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, disk_paths=["/no/such/disk"])
	check = judge(bench, environ, "host")
	assert check.state == "warn"
	assert "disk unknown" in check.seen and "/no/such/disk" in check.seen


# --- lock and state ----------------------------------------------------------------------------------


def test_a_lock_that_another_process_holds_is_a_warning(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(checks_bench, "LOCK_WAIT_SECONDS", 0.3)
	holder = subprocess.Popen(
		[
			sys.executable,
			"-c",
			"import sys, time; from prego_metrics.agent.lock import PushLock\n"
			"with PushLock(sys.argv[1]) as lock: lock.acquire(); print('held', flush=True); time.sleep(60)",
			str(bench / "sites"),
		],
		stdout=subprocess.PIPE,
	)
	assert holder.stdout and holder.stdout.readline() == b"held\n"
	try:
		check = judge(bench, environ, "lock")
	finally:
		holder.kill()
		holder.communicate()
	assert (check.state, check.seen) == ("warn", "held for more than 0.3 s")
	assert judge(bench, environ, "lock").state == "pass"


def test_a_doctor_gives_the_lock_back(bench: Path, environ: dict[str, str]) -> None:
	for _ in range(2):
		assert judge(bench, environ, "lock").state == "pass"


def test_a_state_that_cannot_be_written_is_a_failure(
	bench: Path, environ: dict[str, str], tmp_path: Path
) -> None:
	folder = bench / "sites" / ".prego-metrics"
	folder.rename(tmp_path / "elsewhere")
	folder.symlink_to(tmp_path / "elsewhere")
	check = judge(bench, environ, "state")
	assert check.state == "fail" and "cannot be written" in check.seen


def test_a_state_folder_of_somebody_else_is_a_failure(
	make_bench: Callable[..., Path],
	shared_folder: Path,
	environ: dict[str, str],
	as_user: Callable[..., Any],
) -> None:
	bench = make_bench(shared_folder / "frappe-bench", "acme.example")
	remember(bench)
	found = as_user(65534, lambda: judge(bench, environ, "state").as_dict())
	assert found["state"] == "fail"
	assert "Permission denied" in found["seen"]


def test_a_state_that_is_not_ours_is_a_warning(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "state.json").write_text('{"version": "\x1b[31m"}')
	check = judge(bench, environ, "state")
	assert check.state == "warn" and "state.json" in check.seen


def test_looking_at_the_state_leaves_nothing_behind(bench: Path, environ: dict[str, str]) -> None:
	judge(bench, environ, "state")
	assert sorted(os.listdir(bench / "sites" / ".prego-metrics")) == ["state.json", "tick-frappe.json"]


# --- drivers and the last push -----------------------------------------------------------------------


def test_without_any_driver_the_check_says_how_to_start_one(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "tick-frappe.json").unlink()
	check = judge(bench, environ, "drivers")
	assert (check.state, check.seen) == ("fail", "no driver has ever ticked")
	assert "enable-scheduler" in check.action and "push --if-due" in check.action


@pytest.mark.parametrize("ago", [400, 10**6, -3600])
def test_drivers_that_have_all_stopped_are_a_failure(
	bench: Path, environ: dict[str, str], ago: float
) -> None:
	tick(bench, "frappe", ago)
	check = judge(bench, environ, "drivers")
	assert check.state == "fail" and check.seen.startswith("every driver has stopped: frappe ")


def test_one_driver_that_stopped_beside_one_that_works_is_a_warning_that_names_it(
	bench: Path, environ: dict[str, str]
) -> None:
	tick(bench, "timer", 20)
	assert judge(bench, environ, "drivers").state == "pass"
	tick(bench, "frappe", 4000)
	check = judge(bench, environ, "drivers")
	assert check.state == "warn" and check.seen.startswith("stopped: frappe (")
	assert "timer 20 s ago" in check.seen


@pytest.mark.parametrize(
	("values", "words"),
	[
		({"push_interval": 300.0}, "timer pushes as node-1 every 300 s"),
		({"node_id": "node-2"}, "timer pushes as node-2 every 60 s"),
		({"node_id": ""}, "timer pushes as nobody every 60 s"),
		({"node_id": "\x1b[31m"}, "timer pushes as \\x1b[31m every 60 s"),
	],
)
def test_drivers_that_see_other_settings_are_a_warning(
	bench: Path, environ: dict[str, str], values: dict[str, Any], words: str
) -> None:
	settings_of(bench, 60)
	tick(bench, "timer", 20, **values)
	check = judge(bench, environ, "driver_settings")
	assert (check.state, check.seen) == ("warn", words)
	assert "PREGO_METRICS_" in check.action


def test_a_tick_from_before_the_settings_changed_says_nothing(bench: Path, environ: dict[str, str]) -> None:
	settings_of(bench, 10)
	tick(bench, "timer", 20, node_id="node-2")
	assert judge(bench, environ, "driver_settings").state == "pass"


def test_a_tick_that_is_not_ours_is_left_out(bench: Path, environ: dict[str, str]) -> None:
	(bench / "sites" / ".prego-metrics" / "tick-cron.json").write_text('{"at": "now"}')
	assert judge(bench, environ, "drivers").state == "pass"


def test_a_hostile_outcome_of_a_tick_is_shown_and_not_obeyed(bench: Path, environ: dict[str, str]) -> None:
	tick(bench, outcome="\x1b]0;title\x07" + "x" * 1000)
	check = judge(bench, environ, "drivers")
	assert check.state == "pass" and len(check.seen) < 100


def test_a_push_that_failed_or_is_old_is_a_failure(bench: Path, environ: dict[str, str]) -> None:
	now = time.time()
	failed = replace(DELIVERED, outcome="failed", error="no connection", at=now - 5, status_code=None)
	remember(bench, replace(DELIVERED, at=now - 70), failed)
	check = judge(bench, environ, "last_push")
	assert check.state == "fail" and check.seen.endswith("no connection")
	remember(bench, replace(DELIVERED, at=now - 900))
	assert "15 min ago" in judge(bench, environ, "last_push").seen


def test_a_push_that_was_never_tried_is_a_warning(bench: Path, environ: dict[str, str]) -> None:
	remember(bench)
	check = judge(bench, environ, "last_push")
	assert (check.state, check.action) == ("warn", "push once: prego-metrics push")


# --- the control plane -------------------------------------------------------------------------------


def aimed(bench: Path, url: str, node_id: str = "node-1", **values: object) -> Path:
	path = bench / "sites" / "common_site_config.json"
	section = {"node_id": node_id, "control_plane_url": url, "timeout": 0.5, **values}
	path.write_text(json.dumps({"prego_metrics": section}))
	return bench


def asked(bench: Path, *behaviours: Behaviour, key: str = "a-key-of-16-chars") -> tuple[Check, list[bytes]]:
	"""Let a server behave as it likes, and return the check and the requests that it got."""
	with HostileServer(*behaviours) as server:
		check = judge(aimed(bench, server.url), {"INTERNAL_API_KEY": key}, "control_plane")
	return check, server.requests


def test_a_wrong_key_is_a_failure_that_says_where_the_key_is_from(bench: Path, control_plane: Any) -> None:
	check = judge(bench, {"INTERNAL_API_KEY": "a-wrong-key-987654321"}, "control_plane")
	assert check.state == "fail"
	assert check.seen.startswith("the key from INTERNAL_API_KEY is refused: 401 ")
	assert "987654321" not in check.seen + check.action


def test_a_node_that_is_not_registered_exactly_so_is_a_failure(
	bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	check = judge(aimed(bench, control_plane.url, "Node-1"), environ, "control_plane")
	assert check.state == "fail"
	assert check.seen.startswith("the node Node-1 is not registered: ")


@pytest.mark.parametrize("node_id", ["sg/1", "한국 1", "a?b#c", "%2e", "..x", " padded "])
def test_any_node_id_that_may_be_configured_can_be_asked_for(
	bench: Path, environ: dict[str, str], control_plane: Any, node_id: str
) -> None:
	control_plane.store.register_node(node_id, "sg", "10.0.0.1")
	assert judge(aimed(bench, control_plane.url, node_id), environ, "control_plane").state == "pass"


def test_an_unreachable_control_plane_is_a_failure(bench: Path, environ: dict[str, str]) -> None:
	check = judge(aimed(bench, "http://127.0.0.1:9"), environ, "control_plane")
	assert check.state == "fail" and check.seen == "http://127.0.0.1:9: no connection: Connection refused"


def test_a_control_plane_that_says_nothing_is_a_failure_in_time(bench: Path) -> None:
	started = time.monotonic()
	check, _ = asked(bench, lambda exchange: exchange.wait())
	assert check.state == "fail" and "no answer within 0.5 s" in check.seen
	assert time.monotonic() - started < 5


def test_a_redirect_is_a_failure_and_is_not_followed(bench: Path) -> None:
	check, requests = asked(bench, answer(302, b"", "Location: https://elsewhere.example/\x1b[31m"))
	assert check.state == "fail"
	assert check.seen.startswith("a redirect to https://elsewhere.example/")
	assert len(requests) == 1


@pytest.mark.parametrize(
	"body",
	[
		b'{"ok": true}',
		b"<html>hello</html>",
		b"",
		b'{"node": {"node_id": "node-10"}}',
		b'"node-1"',
		b'{"node_id": ["node-1"]}',
		b"[" * 60_000,
		b"\xff\xfe",
	],
	ids=lambda body: repr(body[:30]),
)
def test_a_200_that_does_not_hold_the_node_id_is_not_believed(bench: Path, body: bytes) -> None:
	check, _ = asked(bench, answer(200, body))
	assert check.state == "warn"
	assert check.seen.startswith("an answer that does not name this node: 200")


def test_a_200_that_holds_the_node_id_anywhere_is_believed(bench: Path) -> None:
	check, _ = asked(bench, answer(200, b'{"data": [{"x": 1}, {"row": {"node_id": "node-1"}}]}'))
	assert check.state == "pass"


def test_a_404_without_the_nodes_route_leaves_it_to_the_last_push(bench: Path) -> None:
	check, requests = asked(bench, answer(404, b"no such page"))
	assert check.state == "warn"
	assert check.seen.startswith("there is no route /internal/nodes here")
	assert [request.split(b" ")[1] for request in requests] == [b"/internal/nodes/node-1", b"/internal/nodes"]


def test_a_404_beside_a_list_of_nodes_is_a_node_that_is_not_registered(bench: Path) -> None:
	check, _ = asked(bench, answer(404, b"unknown"), answer(200, b"[]"))
	assert check.state == "fail" and "the node node-1 is not registered: unknown" in check.seen


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_a_push_would_try_again_is_a_control_plane_out_of_reach(bench: Path, status: int) -> None:
	check, _ = asked(bench, answer(status, b"maintenance"))
	assert check.state == "fail"
	assert check.seen == f"the control plane is out of reach: it answers {status} maintenance"


@pytest.mark.parametrize("status", [201, 204, 400, 405, 418])
def test_any_other_answer_is_a_warning(bench: Path, status: int) -> None:
	check, _ = asked(bench, answer(status, b"" if status == 204 else b"hm"))
	assert check.state == "warn" and f": {status}" in check.seen


def test_only_gets_are_ever_sent(bench: Path) -> None:
	for status in (200, 301, 401, 404, 405, 500):
		_, requests = asked(bench, answer(status))
		assert all(request.startswith(b"GET /internal/nodes") for request in requests)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 503])
def test_the_key_is_shown_nowhere_though_the_server_echoes_it(bench: Path, status: int) -> None:
	check, _ = asked(bench, echo(status, lambda key: key), key=HOSTILE_KEY)
	assert not leaked(json.dumps(check.as_dict(), ensure_ascii=False), HOSTILE_KEY)


def test_the_key_is_shown_nowhere_though_a_redirect_leads_to_it(bench: Path) -> None:
	check, _ = asked(bench, answer(302, b"", "Location: https://e.example/?key=a-key-of-16-chars"))
	assert check.state == "fail"
	assert "key-of-16" not in check.seen


def test_the_servers_words_are_cut_and_shown_not_obeyed(bench: Path) -> None:
	check, _ = asked(bench, answer(401, b"\x1b[2J\xe2\x80\xae\xff" + b"x" * 5000))
	assert "\\x1b[2J\\u202e\\xff" in check.seen
	assert len(check.seen) < 400


# --- the clock ---------------------------------------------------------------------------------------


def clock(bench: Path, *headers: str) -> Check:
	with HostileServer(answer(200, b"{}", *headers)) as server:
		return judge(aimed(bench, server.url), {"INTERNAL_API_KEY": "k"}, "clock")


@pytest.mark.parametrize("seconds", [-3600, -130, 130, 86400 * 400])
def test_a_clock_that_differs_from_the_control_planes_is_a_warning(bench: Path, seconds: float) -> None:
	check = clock(bench, "Date: " + email.utils.formatdate(time.time() - seconds, usegmt=True))
	assert check.state == "warn"
	assert abs(int(check.seen.split(" ")[0]) - seconds) <= 2
	assert check.seen.endswith(" s beside the control plane's") and "NTP" in check.action


@pytest.mark.parametrize("seconds", [-100, 0, 100])
def test_a_clock_that_differs_a_little_passes(bench: Path, seconds: float) -> None:
	check = clock(bench, "Date: " + email.utils.formatdate(time.time() - seconds, usegmt=True))
	assert check.state == "pass"


@pytest.mark.parametrize("zone", ["-0000", ""])
def test_a_date_without_a_zone_is_utc_and_not_the_nodes_own(
	bench: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
	date = email.utils.formatdate(time.time(), usegmt=True).removesuffix("GMT") + zone
	monkeypatch.setenv("TZ", "Asia/Seoul")
	time.tzset()
	try:
		assert clock(bench, f"Date: {date}").state == "pass"
	finally:
		monkeypatch.undo()
		time.tzset()


@pytest.mark.parametrize("headers", [(), ("Date: yesterday",), ("Date: Mon, 99 Jan 2026 00:00:00 GMT",)])
def test_a_date_that_is_none_is_skipped(bench: Path, headers: tuple[str, ...]) -> None:
	assert clock(bench, *headers).state == "skip"


def test_no_clock_is_compared_with_a_server_that_was_not_reached(
	bench: Path, environ: dict[str, str]
) -> None:
	assert "clock" not in checks(aimed(bench, "http://127.0.0.1:9"), environ, online=True)
