"""What cron mails, and what `alerts` hands to systemd: an outage once, its end once, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from pushing import ENVIRON, KEY, aim, earlier_reading, folder_of, leaked, spare_the_sample, state_of

from prego_metrics.agent.alerts.outbox import ChannelError, record_silence, take_unsent_alerts
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.push.triggers import started_by_systemd
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.model import EVENTS_LENGTH, State, Tick


def config_of(bench_folder: Path) -> Config:
	return load_config(open_bench(str(bench_folder)), {})


ROOT = Path(__file__).parents[2]
CRONTAB = ROOT / "deploy/cron/prego_metrics"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tick(run_agent: Run, bench_folder: Path) -> Callable[..., str]:
	"""`tick(status)` is cron's next minute with a server that answers so; returns what cron would mail."""
	spare_the_sample(bench_folder)

	def run(status: int, *options: str, channel: str = "cron") -> str:
		state = state_of(bench_folder)._replace(last_attempt_at=None, cpu=earlier_reading())
		folder_of(bench_folder).write(state)
		with HostileServer(answer(status, b"{}" if status == 200 else b'{"error": "no"}')) as server:
			aim(bench_folder, server.url, push_interval=60, alert_after=2)
			arguments = ["push", "--if-due", "--alerts", channel, "--bench", bench_folder, *options]
			done = run_agent(*arguments, **ENVIRON)
		assert done.returncode == (0 if status == 200 else 1)
		return done.stdout + done.stderr

	return run


def test_cron_mails_an_outage_once_and_its_end_once(tick: Callable[..., str]) -> None:
	mails = [tick(status) for status in (200, 401, 401, 401, 401, 200, 200)]
	assert [bool(mail) for mail in mails] == [False, False, True, False, False, True, False]
	assert re.match(
		r"Node node-1: pushes are failing\nPushes have failed since \S+Z \(2 pushes\): .*401",
		mails[2],
	)
	assert ". 4 pushes failed in between." in mails[5]
	assert not leaked("".join(mails), KEY)


def test_each_channel_is_told_for_itself(
	tick: Callable[..., str], run_agent: Run, bench_folder: Path
) -> None:
	tick(401)
	assert tick(401) != ""
	told = [run_agent("alerts", "--channel", "systemd", "--bench", bench_folder) for _ in range(2)]
	assert [one.returncode for one in told] == [0, 1]
	assert "Node node-1: pushes are failing" in told[0].stdout and told[1].stdout == ""


@pytest.mark.parametrize("order", ["the quick way in", "any other way in"])
def test_the_order_of_options_changes_nothing(
	order: str, tick: Callable[..., str], run_agent: Run, bench_folder: Path
) -> None:
	tick(401)
	tick(401)
	options = ["--channel", "mail", "--bench", str(bench_folder)]
	arguments = (
		["alerts", *options] if order == "the quick way in" else ["alerts", "--channel=mail", *options[2:]]
	)
	done = run_agent(*arguments)
	assert (done.returncode, "have failed since" in done.stdout) == (0, True)


def test_a_recovery_that_is_over_is_not_told(tick: Callable[..., str], bench_folder: Path) -> None:
	for status in (401, 401, 200, 401):
		tick(status, channel="other")
	assert take_unsent_alerts(folder_of(bench_folder), "systemd", config_of(bench_folder)) is None


def test_what_cannot_be_recorded_is_said_each_time(
	run_agent: Run, bench_folder: Path, tmp_path: Path
) -> None:
	for _ in range(2):
		done = run_agent("push", "--if-due", "--alerts", "cron", "--bench", tmp_path / "lost")
		assert done.returncode == 2 and done.stderr.startswith("Not sent: ")
	(bench_folder / "sites/.prego-metrics").write_text("in the way")
	with HostileServer(answer(401)) as server:
		aim(bench_folder, server.url, push_interval=60)
		for _ in range(2):
			done = run_agent("push", "--if-due", "--alerts", "cron", "--bench", bench_folder, **ENVIRON)
			assert done.returncode == 1
			assert "cannot be written" in done.stderr and "Refused" in done.stderr


def test_a_channel_is_a_plain_name(run_agent: Run, bench_folder: Path) -> None:
	done = run_agent("alerts", "--channel", "a b\x1b", "--bench", bench_folder)
	assert done.returncode == 2 and r"'a b\x1b' is not a valid channel name" in done.stderr
	with pytest.raises(ChannelError):
		take_unsent_alerts(folder_of(bench_folder), "", config_of(bench_folder))


def test_alerts_says_that_a_bench_cannot_be_read(run_agent: Run, tmp_path: Path) -> None:
	done = run_agent("alerts", "--channel", "systemd", "--bench", tmp_path)
	assert (done.returncode, done.stdout) == (2, "")
	assert done.stderr.startswith("Error: ") and "is not a bench" in done.stderr


def test_a_recovery_that_waited_is_told_once_it_holds(tick: Callable[..., str], bench_folder: Path) -> None:
	for status in (401, 401, 200, 401):
		tick(status, channel="other")
	folder, config = folder_of(bench_folder), config_of(bench_folder)
	assert take_unsent_alerts(folder, "systemd", config) is None
	tick(200, channel="other")
	told = [take_unsent_alerts(folder, "systemd", config) for _ in range(2)]
	assert "delivered again" in (told[0] or "") and told[1] is None


def test_a_recovery_that_is_over_is_not_told_beside_other_news(
	tick: Callable[..., str], bench_folder: Path
) -> None:
	for status in (401, 401, 200, 401):
		tick(status, channel="other")
	state = state_of(bench_folder)
	full = AlertEvent("00000000000000aa", time.time(), "disk_full", disk_pct=95.0)
	folder_of(bench_folder).write(state._replace(events=(*state.events, full)))
	alerts = take_unsent_alerts(folder_of(bench_folder), "systemd", config_of(bench_folder)) or ""
	assert "nearly full" in alerts and "delivered again" not in alerts


# --- a trigger that fails before it can record anything --------------------------------------------


def test_a_trigger_that_never_gets_as_far_as_a_push_is_told_once(run_agent: Run, bench_folder: Path) -> None:
	told = [run_agent("alerts", "--channel", "systemd", "--bench", bench_folder) for _ in range(3)]
	assert [one.returncode for one in told] == [0, 1, 1]
	assert "no push was recorded since this node was set up" in told[0].stdout


def test_a_trigger_that_failed_and_then_fell_silent_is_told_after_what_is_fresh(
	tick: Callable[..., str], bench_folder: Path
) -> None:
	tick(401)
	folder, config = folder_of(bench_folder), config_of(bench_folder)
	later = time.time() + 270
	record_silence(folder, config, clock=lambda: later)
	assert take_unsent_alerts(folder, "systemd", config) is None
	later += 33
	for _ in range(2):
		record_silence(folder, config, clock=lambda: later)
	assert [event.kind for event in state_of(bench_folder).events] == ["failing"]
	assert "no push was recorded since " in (take_unsent_alerts(folder, "systemd", config) or "")
	assert "delivered again" in tick(200)


def test_a_trigger_that_delivered_and_stopped_is_told_once_and_so_is_its_return(
	tick: Callable[..., str], bench_folder: Path
) -> None:
	tick(200)
	folder, config = folder_of(bench_folder), config_of(bench_folder)
	later = time.time() + 302
	told = [take_unsent_alerts(folder, "systemd", config, clock=lambda: later) for _ in range(2)]
	assert "pushes have stopped" in (told[0] or "") and told[1] is None
	tick(200)
	assert "delivered again" in (take_unsent_alerts(folder, "systemd", config) or "")


def test_the_stop_of_a_push_whose_node_id_only_its_own_unit_knows_is_told(
	tick: Callable[..., str], bench_folder: Path
) -> None:
	tick(200)
	config = config_of(bench_folder).replaced(node_id="")
	alerts = take_unsent_alerts(folder_of(bench_folder), "systemd", config, clock=lambda: time.time() + 302)
	assert alerts and alerts.startswith("Node node-1: pushes have stopped")


def test_a_long_interval_is_no_silence(tick: Callable[..., str], bench_folder: Path) -> None:
	tick(401)
	folder = folder_of(bench_folder)
	folder.write_tick(Tick("cron", time.time(), 3600.0, "node-1", "delivered"))
	record_silence(folder, config_of(bench_folder), clock=lambda: time.time() + 7000)
	assert state_of(bench_folder).events == ()


def test_a_units_own_long_interval_is_no_stop(tick: Callable[..., str], bench_folder: Path) -> None:
	tick(200)
	folder, config = folder_of(bench_folder), config_of(bench_folder)
	folder.write_tick(Tick("cron", time.time(), 3600.0, "node-1", "delivered"))
	assert take_unsent_alerts(folder, "systemd", config, clock=lambda: time.time() + 7000) is None
	assert take_unsent_alerts(folder, "systemd", config, clock=lambda: time.time() + 7300) is not None


def test_recorded_silence_leaves_a_state_that_can_be_read(bench_folder: Path) -> None:
	folder = folder_of(bench_folder)
	many = tuple(AlertEvent(f"{n:016x}", 1.7e9, "disk_full") for n in range(EVENTS_LENGTH))
	folder.write(State(events=many))
	record_silence(folder, config_of(bench_folder))
	state, warnings = folder.read()
	assert warnings == []
	assert (len(state.events), state.events[-1].kind) == (EVENTS_LENGTH, "failing")


def test_silence_is_not_recorded_beside_an_outage_that_is_known(bench_folder: Path) -> None:
	folder = folder_of(bench_folder)
	folder.write(State(alerted=True))
	record_silence(folder, config_of(bench_folder))
	assert state_of(bench_folder).events == ()


# --- which trigger it is ---------------------------------------------------------------------------


def test_a_cron_that_runs_as_a_service_of_systemds_is_not_the_timer() -> None:
	own, parent = str(os.getpid()), str(os.getppid())
	assert started_by_systemd({"INVOCATION_ID": "0123", "SYSTEMD_EXEC_PID": own})
	assert started_by_systemd({"INVOCATION_ID": "0123"})  # before systemd 248
	assert not started_by_systemd({"INVOCATION_ID": "0123", "SYSTEMD_EXEC_PID": parent})
	assert not started_by_systemd({"SYSTEMD_EXEC_PID": own})


def test_a_push_below_such_a_cron_leaves_crons_tick(run_agent: Run, bench_folder: Path) -> None:
	spare_the_sample(bench_folder)
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url, push_interval=60)
		done = run_agent(
			"push", "--if-due", "--bench", bench_folder, INVOCATION_ID="01", SYSTEMD_EXEC_PID="1", **ENVIRON
		)
	assert (done.returncode, done.stdout) == (0, "")
	assert [tick.trigger for tick in folder_of(bench_folder).ticks()] == ["cron"]


# --- the crontab that is shipped ------------------------------------------------------------------


def test_the_crontab_has_one_line_that_runs_as_it_stands(bench_folder: Path) -> None:
	(line,) = [line for line in CRONTAB.read_text().splitlines() if line.startswith("*")]
	fields = line.split(maxsplit=6)
	assert fields[:6] == ["*"] * 5 + ["frappe"]
	assert "flock" not in line and "%" not in line  # cron reads % as the end of the line
	command = fields[6].replace("/home/frappe/frappe-bench/env/bin/prego-metrics", "prego-metrics")
	command = command.replace("/home/frappe/frappe-bench", str(bench_folder))
	command = command.replace("prego-metrics", f"{sys.executable} -m prego_metrics.cli", 1)
	spare_the_sample(bench_folder)
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url, push_interval=60)
		done = subprocess.run(
			["sh", "-c", command], env={**os.environ, **ENVIRON}, capture_output=True, text=True, timeout=30
		)
	assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
	assert state_of(bench_folder).totals == {"delivered": 1}
