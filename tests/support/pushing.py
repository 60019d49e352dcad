"""What the tests of a push share: aim a bench at a server, push without waiting, look for the key."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.cpu import CpuReading, read_cpu_counters
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.store import StateFolder

# Every character that some notation writes differently, and no word that a path or a test could hold.
KEY = 'S3cr/et"Kq+7%Zx=<9Xw2&Lm>\\vB4'
ENVIRON = {"INTERNAL_API_KEY": KEY}
# The smallest interval that is allowed, so that the deadline is 4 seconds.
QUICK = {"node_id": "node-1", "push_interval": 5, "timeout": 0.4, "spread": 0, "snapshot_interval": 0}
_WINDOW = 8


def aim(bench_folder: Path, url: str, **values: object) -> Path:
	"""Configure a bench to push to `url`, quickly; returns its folder."""
	path = bench_folder / "sites" / "common_site_config.json"
	settings = {**QUICK, "control_plane_url": url, **values}
	path.write_text(json.dumps({**json.loads(path.read_text()), "prego_metrics": settings}))
	return bench_folder


def folder_of(bench_folder: Path) -> StateFolder:
	return StateFolder(str(bench_folder / "sites"))


def state_of(bench_folder: Path) -> State:
	return folder_of(bench_folder).read()[0]


def earlier_reading(seconds: float = 2.0) -> CpuReading:
	"""A reading of this machine's CPU as it may have been a moment ago."""
	now = read_cpu_counters()
	assert now is not None
	times = {**now.times, "idle": now.times["idle"] - seconds * now.cpus}
	return now._replace(boot_seconds=now.boot_seconds - seconds, times=times)


def spare_the_sample(bench_folder: Path, **state: Any) -> None:
	"""Leave a CPU reading in the state, so that the next push need not watch the CPU for a second."""
	assert folder_of(bench_folder).write(State(cpu=earlier_reading(), **state)) is None


def push_now(bench_folder: Path, request: Request | None = None, **environ: str) -> Result:
	"""Push in this process, without a second's wait for the CPU."""
	state = state_of(bench_folder)
	folder_of(bench_folder).write(state._replace(cpu=earlier_reading()))
	return push(open_bench(str(bench_folder)), request or Request(), {**ENVIRON, **environ})


def scheduled(trigger: str = "cron") -> Request:
	return Request(trigger=trigger, if_due=True)


def kept(bench_folder: Path) -> str:
	"""Everything that is in the state folder, as text."""
	folder = bench_folder / "sites" / ".prego-metrics"
	return "\n".join(f"{path.name} {path.read_text(errors='replace')}" for path in sorted(folder.iterdir()))


def notations(key: str) -> Iterator[str]:
	escaped = json.dumps(key)[1:-1]
	yield from (key, escaped, escaped.replace("/", "\\/"), html.escape(key), repr(key)[1:-1])
	yield from (
		quote(key, safe=""),
		re.sub("%..", lambda code: code[0].lower(), quote(key, safe="")),
		quote(key),
	)
	for shift in range(3):
		yield base64.b64encode(b"x" * shift + key.encode()).decode()[4 if shift else 0 :]


def leaked(text: str, key: str = KEY) -> set[str]:
	"""Every eight characters in a row of the key, in any notation, that `text` holds."""
	return {
		notation[start : start + _WINDOW]
		for notation in notations(key)
		for start in range(len(notation) - _WINDOW + 1)
		if notation[start : start + _WINDOW] in text
	}
