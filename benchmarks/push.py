"""What a push costs: beside a shell script that does the same, beside a bare Python, and inside a worker.

Everything is measured against a control plane on loopback, by turns (ours, theirs, ours, …), and a ratio is
the median of the ratios pair by pair. Pushes are those of steady operation: the CPU's mean is taken since the
push before, so several benches are pushed from in turn, each of them more than a second after its last one.

A Frappe worker runs each job in a fork of its own. What its parent has imported is paid once; on v15 neither
psutil nor requests is among that, so both cases are measured.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import platform
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PREGO_METRICS = str(Path(sys.executable).with_name("prego-metrics"))
NODE_ID, SHELL_NODE_ID, PLAIN_NODE_ID = "by-prego-metrics", "by-shell", "by-requests"
SITES = 12
BENCHES = 6
PAIRS = 21
FORKS = 11
PAUSE_SECONDS = 1.6  # what a push takes, and the second from which on its CPU reading serves the next one
WHOLE_TARGET, NOT_DUE_TARGET, WORKER_TARGET_MS = 2.0, 5.0, 5.0

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
	environ = {name: value for name, value in os.environ.items() if not name.startswith("PREGO_METRICS_")}
	environ |= {"INTERNAL_API_KEY": secrets.token_hex(16), "LC_ALL": "C.UTF-8"}
	print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {SITES} sites, {PAIRS} pairs")
	with tempfile.TemporaryDirectory(prefix="prego-push-") as folder, control_plane(environ) as url:
		benches = Benches([lay_out(Path(folder, f"bench-{n}"), url) for n in range(BENCHES)], environ)
		whole_process(benches, url, environ)
		not_due(benches.paths[0], environ)
		in_a_worker(benches, url, environ)
		memory_and_wire(benches.after_a_pause(), environ)


class Benches:
	"""Benches that have pushed once, handed out so that each had more than a second's pause."""

	def __init__(self, paths: list[Path], environ: dict[str, str]) -> None:
		self.paths = paths
		for path in paths:
			run([PREGO_METRICS, "push", "--bench", path], environ)
		self._pushed_at = dict.fromkeys(paths, time.monotonic())

	def after_a_pause(self) -> Path:
		path = min(self.paths, key=lambda path: self._pushed_at[path])
		time.sleep(max(0.0, self._pushed_at[path] + PAUSE_SECONDS - time.monotonic()))
		self._pushed_at[path] = time.monotonic()
		return path


def whole_process(benches: Benches, url: str, environ: dict[str, str]) -> None:
	"""`prego-metrics push` beside a shell script with top, free, df, ls and curl."""
	missing = [tool for tool in ("sh", "top", "free", "df", "awk", "curl") if not shutil.which(tool)]
	if missing:
		print(f"whole push / shell script: not measured, {', '.join(missing)} is not installed")
		return

	def ours() -> Callable[[], object]:
		path = benches.after_a_pause()
		return lambda: run([PREGO_METRICS, "push", "--bench", path], environ)

	def theirs() -> Callable[[], object]:
		sites = benches.paths[0] / "sites"
		return lambda: run(["sh", "-c", SHELL_PUSH, "sh", sites, url, SHELL_NODE_ID], environ)

	show("whole push / shell script", WHOLE_TARGET, by_turns(ours, theirs))


def not_due(bench: Path, environ: dict[str, str]) -> None:
	"""`prego-metrics push --if-due` a moment after a push, beside `python -c pass`."""
	run([PREGO_METRICS, "push", "--bench", bench], environ)

	def ours() -> Callable[[], object]:
		return lambda: run([PREGO_METRICS, "push", "--if-due", "--bench", bench], environ)

	def theirs() -> Callable[[], object]:
		return lambda: run([sys.executable, "-c", "pass"], environ)

	show("tick that is not due / python -c pass", NOT_DUE_TARGET, by_turns(ours, theirs))


def in_a_worker(benches: Benches, url: str, environ: dict[str, str]) -> None:
	"""CPU time of one push in a fork of this process, which is what Frappe's workers make for each job.

	The network's share is what a bare requests.post takes in such a fork. The second push of a process tells
	what a push itself takes: the first one has the kernel copy each page that it touches.
	"""
	os.environ |= environ

	paths: Iterator[Path] = iter(())

	def push() -> None:
		from prego_metrics.agent.bench.locate import open_bench
		from prego_metrics.agent.push.push import push as push_once
		from prego_metrics.agent.push.request import Request

		ended = push_once(open_bench(str(next(paths))), Request(trigger="frappe"))
		assert ended.outcome == "delivered", ended

	def post() -> None:
		import requests

		body = {"node_id": PLAIN_NODE_ID, "tenant_count": SITES, "cpu_pct": 10.5, "source": "node_push"}
		headers = {"Authorization": f"Bearer {environ['INTERNAL_API_KEY']}"}
		with requests.Session() as session:
			session.trust_env = False
			session.post(f"{url}/internal/server-metrics", json=body, headers=headers).raise_for_status()

	def measured(call: Callable[[], object]) -> tuple[float, float]:
		nonlocal paths
		runs = []
		for _ in range(FORKS):
			paths = iter((benches.after_a_pause(), benches.after_a_pause()))
			runs.append(cpu_ms_in_fork(call, call))
		first, second = (statistics.median(column) for column in zip(*runs, strict=True))
		return first, second

	with_imports, _ = measured(push)
	import_what_a_push_needs()
	first, second = measured(push)
	first_post, second_post = measured(post)
	print(
		f"push in a worker, CPU besides the network: {second - second_post:.1f} ms in a warm process, "
		f"{first - first_post:.1f} ms as the first thing that a fork does (target under {WORKER_TARGET_MS:g})\n"
		f"  with the network {second:.1f} and {first:.1f} ms, a bare requests.post {second_post:.1f} and "
		f"{first_post:.1f} ms, and {with_imports:.1f} ms where the fork imports everything; medians of {FORKS}\n"
		f"  to an https:// URL {tls_context_ms():.1f} ms more, for requests reading its list of authorities"
	)


def import_what_a_push_needs() -> None:
	"""Import it into this process, for its forks, and freeze it as Frappe's workers do."""
	import psutil  # noqa: F401

	import prego_metrics.agent

	for module in pkgutil.iter_modules(prego_metrics.agent.__path__, "prego_metrics.agent."):
		importlib.import_module(module.name)
	gc.collect()
	gc.freeze()


def tls_context_ms() -> float:
	"""Return the CPU milliseconds of making a TLS context as requests does for each connection."""
	import ssl

	import certifi

	def context() -> None:
		ssl.create_default_context(cafile=certifi.where())

	return statistics.median(cpu_ms_in_fork(context)[0] for _ in range(FORKS))


def memory_and_wire(bench: Path, environ: dict[str, str]) -> None:
	"""Peak memory of one whole push, and what it sends and gets back."""
	with CountingServer() as server:
		environ = {**environ, "PREGO_METRICS_CONTROL_PLANE_URL": server.url}
		process = subprocess.Popen(
			[PREGO_METRICS, "push", "--bench", bench], env=environ, stdout=subprocess.DEVNULL
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


def by_turns(
	ours: Callable[[], Callable[[], object]], theirs: Callable[[], Callable[[], object]]
) -> list[tuple[float, float]]:
	"""Return the seconds of both, pair by pair; each is prepared outside the measured time."""
	pairs = []
	for _ in range(PAIRS):
		first, second = seconds(ours()), seconds(theirs())
		pairs.append((first, second))
	return pairs


def show(name: str, target: float, pairs: list[tuple[float, float]]) -> None:
	ratio = statistics.median(ours / theirs for ours, theirs in pairs)
	ours, theirs = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
	print(f"{name}: {ratio:.2f} (target {target:g} or less), medians {ours:.1f} ms and {theirs:.1f} ms")


def seconds(call: Callable[[], object]) -> float:
	began = time.perf_counter()
	call()
	return time.perf_counter() - began


def cpu_ms_in_fork(*calls: Callable[[], object]) -> list[float]:
	"""Run `calls` in a child process, one after the other; return the CPU milliseconds, user and system, of each."""
	reader, writer = os.pipe()
	child = os.fork()
	if not child:
		code = 1
		try:
			taken = []
			for call in calls:
				before = time.process_time()
				call()
				taken.append(1000 * (time.process_time() - before))
			os.write(writer, json.dumps(taken).encode())
			code = 0
		finally:
			os._exit(code)
	os.close(writer)
	with open(reader) as answer:
		text = answer.read()
	assert os.waitpid(child, 0)[1] == 0
	return [float(number) for number in json.loads(text)]


def run(command: Sequence[object], environ: dict[str, str]) -> None:
	subprocess.run(list(map(str, command)), env=environ, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def control_plane(environ: dict[str, str]) -> Iterator[str]:
	"""Run a local control plane in a process of its own and return its URL."""
	nodes = [part for node in (NODE_ID, SHELL_NODE_ID, PLAIN_NODE_ID) for part in ("--node", node)]
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
