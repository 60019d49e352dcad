"""The doctor's checks that ask nobody: settings that hide others, the disk, the triggers, Frappe's switches."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pushing import folder_of
from terminals import on_a_terminal

from prego_metrics.agent.base import kernel as kernel_locks
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.doctor import bench as checks_bench
from prego_metrics.doctor.check import Check
from prego_metrics.doctor.runner import NAMES, examine

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]
GOOD = {"node_id": "node-1", "control_plane_url": "https://control-plane.example"}
PAYLOAD = {"node_id": "node-1", "tenant_count": 3, "source": "node_push"}


def judge(bench: Path, name: str, **environ: str) -> Check:
	(check,) = examine(open_bench(str(bench)), environ, online=False, only=[name])
	assert bool(check.action) == (check.state in ("warn", "fail")), check
	return check


def tick(bench: Path, trigger: str = "frappe", ago: float = 20, outcome: str = "delivered") -> None:
	assert folder_of(bench).tick(Tick(trigger, time.time() - ago, 60.0, "node-1", outcome)) is None


def with_frappe(bench: Path, version: str) -> None:
	folder = bench / "apps" / "frappe" / "frappe"
	folder.mkdir(parents=True, exist_ok=True)
	(folder / "__init__.py").write_text(f'import os\n\n__version__ = "{version}"\n')


def common(bench: Path, **values: object) -> None:
	path = bench / "sites" / "common_site_config.json"
	path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def bench(bench_folder: Path, settings: Write) -> Path:
	settings(bench_folder, **GOOD)
	return bench_folder


# --- only, and the line that says what it does -------------------------------------------------------


def test_only_makes_the_checks_that_were_named(run_agent: Run, bench: Path) -> None:
	ended = run_agent("doctor", "--only", "host", "--only", "configuration", "--json", "--bench", bench)
	assert ended.returncode == 0
	assert [check["name"] for check in json.loads(ended.stdout)["checks"]] == ["configuration", "host"]


def test_a_check_that_there_is_none_of_is_refused_with_those_there_are(run_agent: Run, bench: Path) -> None:
	ended = run_agent("doctor", "--only", "hosts", "--bench", bench)
	assert (ended.returncode, ended.stdout) == (2, "")
	assert all(name in " ".join(ended.stderr.split()) for name in NAMES)


def test_on_a_terminal_a_line_says_what_is_looked_at_and_goes_away(bench: Path) -> None:
	seen = on_a_terminal("doctor", "--offline", "--bench", bench, stdout_elsewhere=True)
	assert "looking at configuration …" in seen.screen
	assert seen.screen.endswith("\r\x1b[K")
	assert "looking at" not in seen.stdout and "\x1b[K" not in seen.stdout


# --- what hides another ------------------------------------------------------------------------------


def test_a_variable_that_hides_another_setting_is_named(bench: Path) -> None:
	assert judge(bench, "shadowed", PREGO_METRICS_NODE_ID="node-1").state == "pass"
	check = judge(bench, "shadowed", PREGO_METRICS_NODE_ID="node-2")
	assert (check.state, check.seen) == (
		"warn",
		"PREGO_METRICS_NODE_ID in the environment hides another node_id in the file",
	)


def test_a_key_that_hides_another_is_named_by_its_source_alone(
	bench: Path, settings: Write, tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("key-of-the-file-987654321\n")
	(tmp_path / "key").chmod(0o600)
	settings(bench, **GOOD, api_key_file=str(tmp_path / "key"))
	assert judge(bench, "shadowed", INTERNAL_API_KEY="key-of-the-file-987654321").state == "pass"
	check = judge(bench, "shadowed", INTERNAL_API_KEY="another-key-123456789")
	assert check.state == "warn"
	assert check.seen.startswith("the key from INTERNAL_API_KEY hides another key from api_key_file")
	assert "987654321" not in check.seen and "123456789" not in check.seen


def test_a_credential_behind_the_environment_is_compared_too(bench: Path, tmp_path: Path) -> None:
	(tmp_path / "internal_api_key").write_text("credential-1\n")
	check = judge(bench, "shadowed", INTERNAL_API_KEY="k-1", CREDENTIALS_DIRECTORY=str(tmp_path))
	assert check.state == "warn" and "another key from $CREDENTIALS_DIRECTORY" in check.seen


def test_a_heartbeat_that_cannot_be_read_is_a_warning(bench: Path, settings: Write, tmp_path: Path) -> None:
	settings(bench, **GOOD, heartbeat_url_file=str(tmp_path / "none"))
	assert judge(bench, "heartbeat").state == "warn"


# --- the count and the disk --------------------------------------------------------------------------


def test_a_zero_after_a_count_is_a_warning(bench: Path, settings: Write) -> None:
	push = Push("0123456789abcdef", time.time(), "frappe", "delivered", PAYLOAD, 200, 1, 12, None)
	folder_of(bench).write(State().recorded(push, 3))
	assert judge(bench, "plausible").seen == "3 sites, as Frappe lists them"
	settings(bench, **GOOD, exclude_sites=["*"])
	check = judge(bench, "plausible")
	assert (check.state, check.seen) == ("warn", "0 tenants now, and 3 in the last delivered push")


def test_an_empty_bench_that_may_be_empty_is_a_warning(
	make_bench: Callable[..., Path], settings: Write, tmp_path: Path
) -> None:
	bench = make_bench(tmp_path / "empty")
	settings(bench, **GOOD, allow_empty=True)
	check = judge(bench, "plausible")
	assert check.state == "warn" and "lost mount" in check.action


def test_what_we_count_and_frappe_would_not_list_is_named(
	bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(
		checks_bench, "_as_frappe_lists", lambda seen: {(str(bench), "acme.example"), (str(bench), "x\\x1b")}
	)
	check = judge(bench, "plausible")
	assert check.state == "warn"
	assert check.seen.startswith("3 sites here, 2 by Frappe's own rule; they differ in brightfoods.example, ")


@pytest.mark.parametrize(
	("kind", "state"), [("ext4", "pass"), ("nfs4", "warn"), ("fuse.sshfs", "warn"), ("overlay", "pass")]
)
def test_sites_on_another_machines_disk_is_a_warning(
	bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
	device = os.stat(bench / "sites").st_dev
	line = f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime master:1 - {kind} host:/x rw\n"
	(tmp_path / "mountinfo").write_text("1 0 0:1 / /proc rw - proc proc rw\n" + line)
	monkeypatch.setattr(checks_bench, "MOUNTS_FILE", str(tmp_path / "mountinfo"))
	check = judge(bench, "file_system")
	assert (check.state, kind in check.seen) == (state, True)


def test_the_file_system_of_this_machine_is_known(bench: Path) -> None:
	assert judge(bench, "file_system").state == "pass"


@pytest.mark.parametrize(
	("blocks", "inodes", "state"),
	[
		(10**6, 10**6, "pass"),
		(10_000, 10**6, "warn"),
		(10, 10**6, "fail"),
		(10**6, 5, "fail"),
		(10**6, 500, "warn"),
	],
)
def test_a_disk_that_fills_up_is_named_before_it_is_full(
	bench: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, inodes: int, state: str
) -> None:
	figures = os.statvfs_result((4096, 4096, 10**7, blocks, blocks, 10**7, inodes, inodes, 0, 255))
	monkeypatch.setattr(checks_bench.os, "statvfs", lambda path: figures)
	check = judge(bench, "state_disk")
	assert check.state == state
	assert f"{inodes} inodes" in check.seen


def test_a_file_system_without_a_number_of_inodes_passes(
	bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	figures = os.statvfs_result((4096, 4096, 10**7, 10**6, 10**6, 0, 0, 0, 0, 255))
	monkeypatch.setattr(checks_bench.os, "statvfs", lambda path: figures)
	assert judge(bench, "state_disk").state == "pass"


# --- triggers and their pace --------------------------------------------------------------------------


@pytest.mark.parametrize(
	("version", "key", "interval", "state"),
	[
		("15.55.1", None, 60, "pass"),
		("16.4.0", None, 60, "warn"),
		("16.4.0", 60, 60, "pass"),
		("16.4.0", "60", 60, "pass"),
		("16.4.0", None, 240, "pass"),
		("17.0.0-dev", None, 60, "warn"),
		("15.55.1", 300, 60, "warn"),
		("16.4.0", "soon", 60, "warn"),
	],
)
def test_an_interval_that_frappes_tick_cannot_keep_is_a_warning(
	bench: Path, settings: Write, version: str, key: object, interval: int, state: str
) -> None:
	settings(bench, **GOOD, push_interval=interval)
	with_frappe(bench, version)
	if key is not None:
		common(bench, scheduler_tick_interval=key)
	tick(bench)
	check = judge(bench, "interval")
	assert check.state == state, check
	if state == "warn":
		assert "scheduler_tick_interval" in check.action


def test_the_slowest_trigger_counts_though_a_faster_one_ticks_too(bench: Path) -> None:
	with_frappe(bench, "16.4.0")
	tick(bench)
	tick(bench, "timer")
	assert judge(bench, "interval").seen.startswith("frappe ticks every 240 s, which cannot keep")


def test_pushes_that_are_in_fact_too_far_apart_are_a_warning(bench: Path) -> None:
	tick(bench)
	for number in range(9):
		at = time.time() - 240 * (9 - number)
		folder_of(bench).append_history(
			Push(f"{number:016}", at, "frappe", "delivered", PAYLOAD, 200, 1, 9, None)
		)
	check = judge(bench, "interval")
	assert (check.state, check.seen) == ("warn", "pushes are usually 240 s apart, and push_interval is 60 s")


@pytest.mark.parametrize(
	("version", "triggers", "state"),
	[
		("15.55.1", ["frappe"], "warn"),
		("15.55.1", ["frappe", "cron"], "pass"),
		("15.62.0", ["frappe"], "pass"),
		("16.0.0-dev", ["frappe"], "warn"),
		("16.4.0", ["frappe"], "pass"),
		("15.55.1", ["timer"], "pass"),
		("15.55.1", [], "skip"),
	],
)
def test_frappe_alone_is_a_warning_where_it_falls_asleep(
	bench: Path, version: str, triggers: list[str], state: str
) -> None:
	with_frappe(bench, version)
	for trigger in triggers:
		tick(bench, trigger)
	assert judge(bench, "second_trigger").state == state


def test_a_trigger_that_ticks_and_can_send_nothing_is_a_warning(bench: Path) -> None:
	tick(bench, "timer", outcome="not_sent")
	check = judge(bench, "triggers")
	assert check.state == "warn" and "unable to send anything: timer" in check.seen


# --- Frappe, as far as the disk tells ----------------------------------------------------------------


@pytest.mark.parametrize("switch", ["maintenance_mode", "pause_scheduler", "disable_scheduler"])
def test_a_switch_that_stops_the_scheduler_is_named(bench: Path, settings: Write, switch: str) -> None:
	common(bench, **{switch: 1})
	check = judge(bench, "scheduler_switches")
	assert (check.state, check.seen) == ("fail", f"{switch} is set for the whole bench")
	tick(bench, "cron")
	assert judge(bench, "scheduler_switches").state == "warn"


def test_a_switch_of_the_operators_site_counts_before_the_benchs(bench: Path, settings: Write) -> None:
	settings(bench, **GOOD, site="acme.example")
	path = bench / "sites" / "acme.example" / "site_config.json"
	path.write_text('{"pause_scheduler": 1}')
	assert judge(bench, "scheduler_switches").seen == "pause_scheduler is set on acme.example"
	common(bench, maintenance_mode=1)
	path.write_text('{"maintenance_mode": 0}')
	assert judge(bench, "scheduler_switches").state == "pass"


def test_an_operators_site_that_was_renamed_is_a_warning(bench: Path, settings: Write) -> None:
	settings(bench, **GOOD, site="gone.example")
	check = judge(bench, "operators_site")
	assert check.state == "warn" and check.seen.startswith("gone.example was dropped or renamed")
	settings(bench, **GOOD, site="acme.example")
	assert judge(bench, "operators_site").state == "pass"


def test_a_scheduler_is_seen_by_its_lock_and_no_lock_is_taken_to_see_it(bench: Path) -> None:
	lock = bench / "config" / "scheduler_process"
	assert judge(bench, "scheduler_process").state == "skip"
	lock.parent.mkdir()
	lock.write_text("")
	assert judge(bench, "scheduler_process").state == "fail"
	with lock.open() as held:
		fcntl.flock(held, fcntl.LOCK_EX)
		assert judge(bench, "scheduler_process").state == "pass"
	tick(bench)
	assert judge(bench, "scheduler_process").seen == "Frappe's scheduler ticks, from elsewhere"


def test_without_the_kernels_list_of_locks_nothing_is_claimed(
	bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(kernel_locks, "LOCKS_FILE", str(tmp_path / "none"))
	(bench / "config").mkdir()
	(bench / "config" / "scheduler_process").write_text("")
	assert judge(bench, "scheduler_process").state == "skip"


# --- the hardened mode, seen by the bench's user -----------------------------------------------------


def test_what_a_hardened_timer_has_alone_is_not_missing_here(bench: Path, settings: Write) -> None:
	settings(bench, scheduler_pushes=False)
	assert judge(bench, "configuration").state == "warn"
	assert judge(bench, "api_key").state == "skip"
	tick(bench, "timer")
	assert judge(bench, "trigger_settings").state == "skip"


def test_what_frappe_alone_can_tell_is_skipped_with_how_to_see_it(bench: Path) -> None:
	made: list[Any] = list(examine(open_bench(str(bench)), {}, online=False, only=["dormant", "job"]))
	assert [(check.name, check.state) for check in made] == [("dormant", "skip"), ("job", "skip")]
	assert "bench prego-metrics doctor" in made[0].seen
