"""Push from many benches of this machine, each by processes that start as cron's do, to the contract's Worker on D1.

`python benchmarks/fleet_processes.py --nodes 200`, after `make contract` has fetched the Worker. At each full minute every
bench's `prego-metrics push --if-due` starts, and waits its node's share of the default spread. For two minutes of
steady operation after the first one the benches' own histories say when each pushed and how it ended.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests/support")]

from contract_planes import KEY, WorkerPlane  # noqa: E402

from prego_metrics.agent.state.model import Push  # noqa: E402
from prego_metrics.agent.state.store import StateFolder  # noqa: E402

PREGO_METRICS = str(Path(sys.executable).with_name("prego-metrics"))
MINUTE = 60.0
REGISTER = "INSERT INTO nodes (node_id, region, host) VALUES (?, 'sg', '127.0.0.1')"
ROWS = "SELECT count(*) AS rows FROM server_metrics WHERE updated_at > datetime('now', '-75 seconds')"


def main() -> None:
	parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
	parser.add_argument("--nodes", type=int, default=200, metavar="N")
	parser.add_argument("--minutes", type=int, default=2, metavar="N", help="besides the first; default: 2")
	options = parser.parse_args()
	with tempfile.TemporaryDirectory(prefix="prego-fleet-") as folder:
		plane = WorkerPlane(Path(folder), snapshots=True)
		try:
			benches = [lay_out(Path(folder, f"node-{number}"), plane.url) for number in range(options.nodes)]
			for bench in benches:
				plane.sql(REGISTER, bench.name)
			begins_at = (time.time() // MINUTE + 1) * MINUTE
			run_minutes(benches, begins_at, 1 + options.minutes)
			fresh = plane.sql(ROWS)[0]["results"][0]["rows"]
		finally:
			plane.close()
		report([StateFolder(str(bench / "sites")).history() for bench in benches], begins_at, fresh)


def lay_out(bench: Path, url: str) -> Path:
	"""Make a bench with one site that pushes to `url` as the node of its own name."""
	site = bench / "sites/tenant.example.com"
	site.mkdir(parents=True)
	(site / "site_config.json").write_text("{}")
	settings = {"node_id": bench.name, "control_plane_url": url}
	(bench / "sites/common_site_config.json").write_text(json.dumps({"prego_metrics": settings}))
	return bench


def run_minutes(benches: list[Path], begins_at: float, minutes: int) -> None:
	"""Start a run of every bench at each full minute, as cron does, and wait for the last ones."""
	environ = {**os.environ, "INTERNAL_API_KEY": KEY}
	running: list[subprocess.Popen[bytes]] = []
	for minute in range(minutes):
		time.sleep(max(0.0, begins_at + minute * MINUTE - time.time()))
		print(f"minute {minute}: {len(benches)} processes, load {os.getloadavg()[0]:.1f}", flush=True)
		running += [
			subprocess.Popen([PREGO_METRICS, "push", "--if-due", "--bench", bench], env=environ)
			for bench in benches
		]
	for process in running:
		process.wait(2 * MINUTE)


def report(histories: list[list[Push]], begins_at: float, fresh: int) -> None:
	pushes = [push for history in histories for push in history]
	steady = [push for push in pushes if push.at >= begins_at + MINUTE]
	gaps = [after.at - before.at for history in histories for before, after in itertools.pairwise(history)]
	seconds = Counter(int(push.at) for push in steady)
	mean = len(histories) / MINUTE
	outcomes = Counter((push.outcome, push.attempts) for push in pushes)
	print(f"nodes {len(histories)}, pushes {len(pushes)}, rows not older than 75 s at the end {fresh}")
	for (outcome, attempts), count in outcomes.most_common():
		print(f"  {outcome} at attempt {attempts}: {count}")
	print(f"gaps: min {min(gaps):.1f} s, median {statistics.median(gaps):.1f} s, max {max(gaps):.1f} s")
	print(
		f"busiest second {max(seconds.values())}, mean {mean:.1f} a second: {max(seconds.values()) / mean:.2f}"
	)
	durations = statistics.quantiles([push.duration_ms for push in steady], n=100)
	print(f"a push took {durations[49]:.0f} ms at the median, {durations[98]:.0f} ms at p99")


if __name__ == "__main__":
	main()
