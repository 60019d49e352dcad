"""Each `prego-metrics fleet` command on exports of 10,000 nodes and 100,000 tenants, and asking a control plane.

Whole processes on a warm cache, in three states of the fleet, from JSON and CSV. The peak memory is what the kernel says of the process.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

NODES, TENANTS = 10_000, 100_000
TIMES = 5
TARGET_SECONDS, TARGET_MB = 2.0, 200
KEY = "a-key-for-the-benchmark"
COMPILED = tempfile.TemporaryDirectory(prefix="prego-compiled-")
# A process of its own between: the kernel counts what its parent holds as a child's peak.
MEASURE = """
import json, os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
	(os.POSIX_SPAWN_OPEN, 1, os.environ["OUTPUT"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
	(os.POSIX_SPAWN_DUP2, 1, 2)])
_, status, used = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - began,
	used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
# Seconds that passed, seconds on the CPU, and the peak of memory in MB.
Taken = tuple[float, float, float]
# How long ago each node's last push came, and how many tenants it says more than are placed on it.
STATES = {
	"all well": lambda number: (number % 60, 0),
	"an outage": lambda number: (1800 + number % 60, 0),
	"each one wrong by itself": lambda number: (1800 + 700 * number, 1),
}


def main() -> None:
	taken: dict[str, list[Taken]] = {}
	with tempfile.TemporaryDirectory(prefix="prego-fleet-") as name:
		folder = Path(name)
		write_tenants(folder / "tenants.json")
		for state in STATES:
			write_nodes(folder, state)
			for name, command in commands(folder):
				taken.setdefault(name, []).append(measure(command, folder / "output"))
		write_nodes(folder, "all well", as_csv=True)
		for name, command in commands(folder, "csv"):
			taken[name].append(measure(command, folder / "output"))
		for name, command in asking(folder):
			taken.setdefault(name, []).append(measure(command, folder / "output"))
	print(
		f"fleet commands, {NODES:,} nodes and {TENANTS:,} tenants (target {TARGET_SECONDS:g} s, {TARGET_MB} MB), each in "
		f"its slowest case, median of {TIMES}; Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}"
	)
	for name, cases in taken.items():
		seconds, cpu, peak = (max(case[column] for case in cases) for column in range(3))
		over = ": OVER" if seconds > TARGET_SECONDS or peak > TARGET_MB else ""
		print(f"  {name}: {seconds:.2f} s, on the CPU {cpu:.2f} s, peak {peak:.0f} MB{over}")


def commands(folder: Path, suffix: str = "json") -> Iterator[tuple[str, list[str]]]:
	tenants = ["--tenants", str(folder / "tenants.json")]
	pushed = ["--metrics", str(folder / f"metrics.{suffix}")]
	nodes = ["--nodes", str(folder / f"nodes.{suffix}")]
	for option in ("", "--failing", "--json"):
		options = [*tenants, *([option] if option else [])]
		yield f"freshness {option}".strip(), ["freshness", *nodes, *pushed, *options]
		yield f"reconcile {option}".strip(), ["reconcile", *pushed, *options]


def asking(folder: Path) -> Iterator[tuple[str, list[str]]]:
	"""Yield the commands that ask a control plane, which has the same nodes and runs meanwhile."""
	from prego_metrics.sandbox.server import LocalControlPlane

	plane = LocalControlPlane(KEY).start()
	try:
		for number in range(NODES):
			plane.store.register_node(node_id(number), "sg", "10.0.0.1")
		plane.store.sql(
			"INSERT INTO server_metrics SELECT node_id, 12.5, 48.1, 61.0, ?, 'node_push', ? FROM nodes",
			TENANTS // NODES,
			written(0),
		)
		options = ["--control-plane-url", plane.url, "--tenants", str(folder / "tenants.json")]
		for name in ("freshness", "reconcile"):
			yield f"{name} --control-plane-url", [name, *options]
	finally:
		plane.close()


def node_id(number: int) -> str:
	return f"sg-{number:05}"


def written(age: float) -> str:
	return datetime.fromtimestamp(time.time() - age, timezone.utc).isoformat(timespec="milliseconds")


def write_nodes(folder: Path, state: str, *, as_csv: bool = False) -> None:
	nodes, pushed = [], []
	for number in range(NODES):
		age, more = STATES[state](number)
		nodes.append({"node_id": node_id(number), "region": "sg", "host": "10.0.0.1"})
		pushed.append(
			{
				"node_id": node_id(number),
				"cpu_pct": 12.5,
				"memory_pct": 48.1,
				"disk_pct": 61.0,
				"tenant_count": TENANTS // NODES + more,
				"source": "node_push",
				"updated_at": written(age),
			}
		)
	for name, rows in (("nodes", nodes), ("metrics", pushed)):
		if as_csv:
			lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows), ""]
			(folder / f"{name}.csv").write_text("\n".join(lines))
		else:
			write_export(folder / f"{name}.json", rows)


def write_tenants(path: Path) -> None:
	write_export(
		path, [{"node_id": node_id(number % NODES), "status": "active"} for number in range(TENANTS)]
	)


def write_export(path: Path, rows: list[dict[str, object]]) -> None:
	"""Write rows as `wrangler d1 execute --json` prints them."""
	path.write_text(json.dumps([{"results": rows, "success": True, "meta": {}}], indent=2))


def measure(command: list[str], output: Path) -> Taken:
	"""Run a command several times, and return what it took."""
	environ = {
		**os.environ,
		"PYTHONPATH": str(CHECKOUT),
		"PYTHONPYCACHEPREFIX": COMPILED.name,
		"OUTPUT": str(output),
		"INTERNAL_API_KEY": KEY,
		"COLUMNS": "110",
	}
	environ.pop("PYTHONDONTWRITEBYTECODE", None)
	ours = [sys.executable, "-m", "prego_metrics.cli", "fleet", *command]
	runs = []
	for _ in range(TIMES + 1):
		measured = [sys.executable, "-S", "-E", "-c", MEASURE, *ours]
		ended = subprocess.run(measured, capture_output=True, text=True, check=True, env=environ)
		code, *taken = json.loads(ended.stdout)
		assert code in (0, 1), output.read_text()
		runs.append(taken)
	# The first run compiles.
	passed, cpu, peak = zip(*runs[1:], strict=True)
	return statistics.median(passed), statistics.median(cpu), max(peak)


if __name__ == "__main__":
	main()
