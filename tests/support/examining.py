"""What the tests of the doctor share: a bench's settings, ticks and pushes, and a check taken from it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pushing import earlier_reading, folder_of

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.setup import systemd_units
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.doctor.check import Check
from prego_metrics.doctor.runner import examine

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]


NAMES = [
	"configuration",
	"api_key",
	"shadowed",
	"heartbeat",
	"alert_url",
	"instance",
	"tenants",
	"host",
	"file_system",
	"lock",
	"state",
	"state_disk",
	"tenant_figures",
	"triggers",
	"second_trigger",
	"trigger_settings",
	"interval",
	"units",
	"last_push",
	"control_plane",
	"clock",
	"tls",
	"operators_site",
	"scheduler_switches",
	"scheduler_process",
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
SKIPPED = {"instance", "operators_site", "tenant_figures", "tls", "units", *NAMES[-8:]}


URL = "https://control-plane.example"


GOOD = {"node_id": "node-1", "control_plane_url": URL}


PAYLOAD = {"node_id": "node-1", "tenant_count": 3, "source": "node_push"}


DELIVERED = Push("0123456789abcdef", 0.0, "frappe", "delivered", PAYLOAD, 200, 1, 12, None)


def tick(bench: Path, trigger: str = "frappe", ago: float = 20, *, again: bool = True, **values: Any) -> None:
	"""Let a trigger have run, and a minute before too unless it was not `again`."""
	fields = {"push_interval": 60.0, "node_id": "node-1", "outcome": "delivered", **values}
	at = time.time() - ago
	for when in (at - 60, at) if again else (at,):
		assert folder_of(bench).write_tick(Tick(trigger=trigger, at=when, **fields)) is None


def settings_of(bench: Path, ago: float) -> None:
	"""Let the settings have been the same for some time."""
	at = time.time() - ago
	os.utime(bench / "sites" / "common_site_config.json", (at, at))


def remember(bench: Path, *pushes: Push) -> None:
	"""Leave a state in which these pushes ended, and in which the CPU was just sampled."""
	state = State(cpu=earlier_reading())
	for push in pushes:
		state = state.recorded(push, 3)._replace(last_attempt_at=push.at)
	assert folder_of(bench).write(state) is None


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
	return checks(bench, environ, online=name in ("control_plane", "clock", "tls"))[name]


def examined(bench: Path, name: str, *, online: bool = False, **environ: str) -> Check:
	"""Make one check alone."""
	(check,) = examine(open_bench(str(bench)), environ, online=online, only=[name])
	assert bool(check.action) == (check.state in ("warn", "fail")), check
	return check


def with_frappe(bench: Path, version: str) -> None:
	"""Let the bench have a Frappe of that version, as far as its source shows."""
	folder = bench / "apps" / "frappe" / "frappe"
	folder.mkdir(parents=True, exist_ok=True)
	(folder / "__init__.py").write_text(f'import os\n\n__version__ = "{version}"\n')


def common(bench: Path, **values: object) -> None:
	"""Add keys to the bench's common configuration."""
	path = bench / "sites" / "common_site_config.json"
	path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@contextlib.contextmanager
def scheduler_running(bench: Path) -> Iterator[None]:
	"""Hold the lock of Frappe's scheduler, so that this process seems to be it: it started a while ago."""
	lock = bench / "config" / "scheduler_process"
	lock.parent.mkdir(exist_ok=True)
	with lock.open("w") as held:
		fcntl.flock(held, fcntl.LOCK_EX)
		yield


def pushes_every(bench: Path, seconds: float, count: int, trigger: str = "frappe") -> None:
	"""Leave a history of pushes that were so far apart, the last one as long ago as the next one is due."""
	for number in range(count):
		push = Push(
			f"{number:016}",
			time.time() - seconds * (count - number),
			trigger,
			"delivered",
			PAYLOAD,
			200,
			1,
			9,
			None,
		)
		folder_of(bench).append_history(push)


def install_units(folder: Path, bench: Path, key_file: Path, **options: Any) -> None:
	program = "/opt/prego_metrics/bin/prego-metrics"
	units = systemd_units.Units(
		str(bench), f"{bench}/sites", "u", "g", program, key_file=str(key_file), **options
	)
	for name, text in units.render().items():
		(folder / name).write_text(text)
