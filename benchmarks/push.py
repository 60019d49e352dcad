"""What a push by the command costs: beside a shell script that does the same, and beside a bare Python.

Everything is measured against a control plane on loopback. Pushes are those of steady operation, as a timer or cron
runs them: due, and with the CPU's mean since the push before. So several benches are pushed from in turn, each of them
seconds after its last one. A run that is not due is one that finds the sites unchanged, as most do.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from turns import Taken, by_turns, of_process, plain_environment, show

PREGO_METRICS = str(Path(sys.executable).with_name("prego-metrics"))
NODE_ID, SHELL_NODE_ID = "by-prego-metrics", "by-shell"
SITES = 12
BENCHES = 6
PAIRS = 21
# The shortest interval, so that a push is due after these seconds: three quarters of it, and what a push takes.
INTERVAL, PAUSE_SECONDS = "5", 4.5
# For so long after a change of the folder of sites, each run counts again.
SETTLING_SECONDS = 61.0
WHOLE_AIM, NOT_DUE_AIM = 1.1, 2.5

# As short as a node's operator would write it. The key is in curl's command line, where ours never is.
SHELL_PUSH = r"""
set -eu
cpu=$(top -bn1 | awk '/^%Cpu/ {for (i = 2; i <= NF; i++) if ($i ~ /^id/) print 100 - $(i - 1)}')
memory=$(free | awk '/^Mem/ {printf "%.1f", 100 * ($2 - $7) / $2}')
disk=$(df -P "$1" / | awk 'NR > 1 {sub("%", "", $5); if ($5 + 0 > fullest) fullest = $5 + 0} END {print fullest}')
tenants=$(ls -d "$1"/*/site_config.json | wc -l)
curl -fsS -m 10 -o /dev/null "$2/internal/server-metrics" \
	-H "Authorization: Bearer $INTERNAL_API_KEY" -H "Content-Type: application/json" \
	-d "{\"node_id\": \"$3\", \"cpu_pct\": $cpu, \"memory_pct\": $memory, \"disk_pct\": $disk,
	     \"tenant_count\": $tenants, \"source\": \"node_push\"}"
"""


def main() -> None:
	environ = plain_environment() | {"INTERNAL_API_KEY": secrets.token_hex(16), "LC_ALL": "C.UTF-8"}
	print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {SITES} sites")
	with tempfile.TemporaryDirectory(prefix="prego-push-") as folder, control_plane(environ) as url:
		benches = Benches([lay_out(Path(folder, f"bench-{n}"), url) for n in range(BENCHES)], environ)
		laid_out_at = time.monotonic()
		whole_process(benches, url, environ)
		time.sleep(max(0.0, laid_out_at + SETTLING_SECONDS - time.monotonic()))
		not_due(benches.paths[0], environ)
		memory_and_wire(benches.after_a_pause(), environ)


class Benches:
	"""Benches that have pushed once, handed out so that a push from each is due."""

	def __init__(self, paths: list[Path], environ: dict[str, str]) -> None:
		self.paths = paths
		self.pushes = len(paths)
		for path in paths:
			of_process([PREGO_METRICS, "push", "--bench", path], environ)
		self._pushed_at = dict.fromkeys(paths, time.monotonic())

	def after_a_pause(self) -> Path:
		path = min(self.paths, key=lambda path: self._pushed_at[path])
		time.sleep(max(0.0, self._pushed_at[path] + PAUSE_SECONDS - time.monotonic()))
		self._pushed_at[path] = time.monotonic()
		self.pushes += 1
		return path

	def delivered(self) -> int:
		"""Return how many pushes of all benches were delivered."""
		states = (path / "sites" / ".prego-metrics" / "state.json" for path in self.paths)
		return sum(json.loads(state.read_text())["totals"]["delivered"] for state in states)


def whole_process(benches: Benches, url: str, environ: dict[str, str]) -> None:
	"""`prego-metrics push --if-due`, when one is due, beside a shell script with top, free, df, ls and curl."""
	missing = [tool for tool in ("sh", "top", "free", "df", "awk", "curl") if not shutil.which(tool)]
	if missing:
		print(f"whole push / shell script: not measured, {', '.join(missing)} is not installed")
		return

	due = environ | {"PREGO_METRICS_PUSH_INTERVAL": INTERVAL, "PREGO_METRICS_SPREAD": "0"}

	def ours() -> Taken:
		return of_process([PREGO_METRICS, "push", "--if-due", "--bench", benches.after_a_pause()], due)

	def theirs() -> Taken:
		sites = benches.paths[0] / "sites"
		return of_process(["sh", "-c", SHELL_PUSH, "sh", sites, url, SHELL_NODE_ID], environ)

	pairs = by_turns(ours, theirs, PAIRS)
	assert benches.delivered() == benches.pushes
	show("whole push / shell script", WHOLE_AIM, "wall", pairs)


def not_due(bench: Path, environ: dict[str, str]) -> None:
	"""`prego-metrics push --if-due` a moment after a push, beside `python -c pass`."""
	of_process([PREGO_METRICS, "push", "--bench", bench], environ)
	# After a push none is due for 45 s at least, whatever the node.
	rested = environ | {"PREGO_METRICS_PUSH_INTERVAL": "300", "PREGO_METRICS_SPREAD": "0"}
	show(
		"run that is not due / python -c pass",
		NOT_DUE_AIM,
		"wall",
		by_turns(
			lambda: of_process([PREGO_METRICS, "push", "--if-due", "--bench", bench], rested),
			lambda: of_process([sys.executable, "-c", "pass"], environ),
			PAIRS,
		),
	)


def memory_and_wire(bench: Path, environ: dict[str, str]) -> None:
	"""Peak memory of one whole push, and what it sends and gets back."""
	with CountingServer() as server:
		environ = {**environ, "PREGO_METRICS_CONTROL_PLANE_URL": server.url}
		process = subprocess.Popen(
			[PREGO_METRICS, "push", "--if-due", "--bench", bench],
			env=environ | {"PREGO_METRICS_PUSH_INTERVAL": INTERVAL, "PREGO_METRICS_SPREAD": "0"},
			stdout=subprocess.DEVNULL,
			stderr=subprocess.DEVNULL,
		)
		_, status, usage = os.wait4(process.pid, 0)
		process.returncode = os.waitstatus_to_exitcode(status)
	assert process.returncode == 0
	print(
		f"one whole push: {usage.ru_maxrss / 1024:.1f} MiB of memory at its peak, {server.sent_bytes} bytes on the "
		f"wire ({server.sent_bytes - server.body_bytes} of headers, {server.body_bytes} of body), in one connection"
	)


class CountingServer:
	"""Takes one request on loopback, counts its bytes, and answers 200."""

	def __init__(self) -> None:
		self.sent_bytes = self.body_bytes = 0
		self._listening = socket.create_server(("127.0.0.1", 0))
		self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
		self._thread = threading.Thread(target=self._serve)

	def _serve(self) -> None:
		connection, _ = self._listening.accept()
		with connection, connection.makefile("rb") as received:
			head = b""
			while not head.endswith(b"\r\n\r\n"):
				head += received.readline()
			[length] = [
				line.split()[1] for line in head.splitlines() if line.lower().startswith(b"content-length")
			]
			body = received.read(int(length))
			connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		self.sent_bytes, self.body_bytes = len(head) + len(body), len(body)

	def __enter__(self) -> CountingServer:
		self._thread.start()
		return self

	def __exit__(self, *_: object) -> None:
		self._thread.join(10)
		self._listening.close()


@contextlib.contextmanager
def control_plane(environ: dict[str, str]) -> Iterator[str]:
	"""Run a local control plane in a process of its own and return its URL."""
	nodes = [part for node in (NODE_ID, SHELL_NODE_ID) for part in ("--node", node)]
	with subprocess.Popen(
		[PREGO_METRICS, "control-plane", *nodes], env=environ, stdout=subprocess.PIPE, text=True
	) as server:
		assert server.stdout
		url = next(line.split()[1] for line in server.stdout if line.split()[:1] == ["URL"])
		# It reports each request; nobody reads that, and a full pipe would hold it up.
		threading.Thread(target=server.stdout.read, daemon=True).start()
		try:
			yield url
		finally:
			server.terminate()


def lay_out(bench: Path, url: str) -> Path:
	"""Make a bench that pushes to `url`; return its folder."""
	sites = bench / "sites"
	for number in range(SITES):
		site = sites / f"tenant-{number}.example.com"
		site.mkdir(parents=True)
		(site / "site_config.json").write_text(
			json.dumps({"db_name": f"_{number:016x}", "db_type": "mariadb"})
		)
	settings = {"node_id": NODE_ID, "control_plane_url": url}
	(sites / "common_site_config.json").write_text(json.dumps({"prego_metrics": settings}))
	return bench


if __name__ == "__main__":
	main()
