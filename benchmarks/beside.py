"""A push while the tenants' figures are read or shown: beside a scan, and beside a scrape.

Each of them goes on without a pause in a process of its own, which no node does, and is stopped for every other
push. The pushes alone and beside it come by turns; the ratio is the median of the ratios pair by pair. Lateness
is from the start of the process to the control plane's answer: a push that waits for the other's lock, or for
its walk, would show there.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "benchmarks")]

import census  # noqa: E402
import scrape  # noqa: E402
import tenants  # noqa: E402

from prego_metrics.agent.bench.locate import open_bench  # noqa: E402
from prego_metrics.agent.config.config import load_config  # noqa: E402
from prego_metrics.sandbox.server import LocalControlPlane  # noqa: E402

PAIRS = 15
# From 1 s on the reading of the CPU before serves a push, which else samples for a second.
PAUSE_SECONDS = 1.3
AGENT = [sys.executable, "-m", "prego_metrics.cli"]
SCAN = """
import subprocess, sys
while True:
	subprocess.run([*sys.argv[2:], "tenants", "--scan", "--bench", sys.argv[1]], check=True, stdout=-3)
"""
SCRAPE = """
import os, sys
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.exporters.metrics import metrics_text
from prego_metrics.agent.state.model import State
config = load_config(open_bench(sys.argv[1]), os.environ)
while True:
	metrics_text(config, State())
"""


def main() -> None:
	key = secrets.token_hex(16)
	arrivals: list[float] = []
	with (
		tempfile.TemporaryDirectory(prefix="prego-beside-") as folder,
		LocalControlPlane(key, on_request=lambda line: arrivals.append(time.perf_counter())) as plane,
	):
		environ = {
			**os.environ,
			"PYTHONPATH": str(CHECKOUT),
			"INTERNAL_API_KEY": key,
			"PREGO_METRICS_NODE_ID": "node-1",
			"PREGO_METRICS_CONTROL_PLANE_URL": plane.url,
			"PREGO_METRICS_TENANT_SERIES": str(census.SITES),
		}
		plane.store.register_node("node-1", "sg", "10.0.0.1")
		large, many = Path(folder, "large"), Path(folder, "many")
		large.mkdir()
		many.mkdir()
		tenants.lay_out(large)
		show("a scan of 200 sites with 200,000 files", large, SCAN, environ, arrivals)
		census.lay_out(many)
		time.sleep(0.1)
		scrape.fill_cache(load_config(open_bench(str(many)), {}))
		show(f"a scrape of {census.SITES:,} tenants", many, SCRAPE, environ, arrivals)


def show(what: str, bench: Path, program: str, environ: dict[str, str], arrivals: list[float]) -> None:
	push(bench, environ, arrivals)
	with going_on(program, bench, environ) as other:
		pairs = []
		for _ in range(PAIRS):
			os.killpg(other.pid, signal.SIGSTOP)
			time.sleep(PAUSE_SECONDS)
			alone = push(bench, environ, arrivals)
			os.killpg(other.pid, signal.SIGCONT)
			time.sleep(PAUSE_SECONDS)
			assert other.poll() is None, f"{what} ended by itself"
			pairs.append((alone, push(bench, environ, arrivals)))
	wall, late = ([(alone[column], beside[column]) for alone, beside in pairs] for column in (0, 1))
	print(
		f"push beside {what}: {statistics.median(b / a for a, b in wall):.2f} times its time alone, medians "
		f"{1000 * statistics.median(b for _, b in wall):.0f} ms and {1000 * statistics.median(a for a, _ in wall):.0f} "
		f"ms of {PAIRS} pairs; answered after {1000 * statistics.median(b for _, b in late):.0f} ms (longest "
		f"{1000 * max(b for _, b in late):.0f}), alone {1000 * statistics.median(a for a, _ in late):.0f} ms (longest "
		f"{1000 * max(a for a, _ in late):.0f}); Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}"
	)


@contextlib.contextmanager
def going_on(program: str, bench: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
	other = subprocess.Popen(
		[sys.executable, "-c", program, str(bench), *AGENT], env=environ, start_new_session=True
	)
	try:
		yield other
	finally:
		os.killpg(other.pid, signal.SIGKILL)
		other.wait()


def push(bench: Path, environ: dict[str, str], arrivals: list[float]) -> tuple[float, float]:
	"""Push once; return the seconds that the process took, and those until it was answered."""
	arrivals.clear()
	began = time.perf_counter()
	ended = subprocess.run(
		[*AGENT, "push", "--json", "--bench", str(bench)], env=environ, check=True, capture_output=True
	)
	took = time.perf_counter() - began
	assert json.loads(ended.stdout)["outcome"] == "delivered"
	return took, arrivals[-1] - began


if __name__ == "__main__":
	main()
