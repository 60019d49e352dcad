"""A Prometheus that scrapes a node over HTTP and by node_exporter, and evaluates the shipped rules."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from push_processes import rewind
from pushing import spare_the_sample
from watched_control_plane import KEY, NODE_ID, WatchedControlPlane
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.exporters.textfile import node_metrics

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yml"
STALE_SECONDS = 8
Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = [
	pytest.mark.slow,
	pytest.mark.skipif(
		not (shutil.which("prometheus") and shutil.which("prometheus-node-exporter")),
		reason="Debian's prometheus and prometheus-node-exporter are not installed",
	),
]


class QuietHandler(WSGIRequestHandler):
	def log(self, type: str, message: str, *args: object) -> None:
		pass


def free_port() -> int:
	with socket.create_server(("127.0.0.1", 0)) as server:
		return int(server.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
	give_up_at = time.monotonic() + seconds
	while not condition():
		assert time.monotonic() < give_up_at, what
		time.sleep(0.2)


@contextlib.contextmanager
def running(*command: object) -> Iterator[None]:
	process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
	try:
		yield
	finally:
		process.terminate()
		process.wait(20)


@contextlib.contextmanager
def served_over_http(bench: Path) -> Iterator[int]:
	"""Serve the text of the Desk's method, and yield the port."""

	@Request.application
	def app(request: Request) -> Response:
		config = load_config(open_bench(str(bench)), {})
		content, content_type = node_metrics(config, request.headers.get("Accept", ""))
		return Response(content, content_type=content_type)

	server = make_server("127.0.0.1", 0, app, request_handler=QuietHandler)
	thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
	thread.start()
	try:
		yield server.port
	finally:
		server.shutdown()
		thread.join()
		server.server_close()


class Prometheus:
	"""The HTTP API of the Prometheus under test."""

	def __init__(self, port: int) -> None:
		self.url = f"http://127.0.0.1:{port}/api/v1"

	def ask(self, path: str, **parameters: str) -> Any:
		with contextlib.suppress(requests.ConnectionError):
			answer = requests.get(f"{self.url}/{path}", params=parameters, timeout=10)
			if answer.status_code == 200:
				return answer.json()["data"]
		return None

	def value(self, query: str) -> float | None:
		found = self.ask("query", query=query)
		return float(found["result"][0]["value"][1]) if found and found["result"] else None

	def firing(self) -> set[tuple[str, str]]:
		"""The job and the name of each alert that fires."""
		alerts = (self.ask("alerts") or {"alerts": []})["alerts"]
		return {(a["labels"]["job"], a["labels"]["alertname"]) for a in alerts if a["state"] == "firing"}


def shortened_rules() -> str:
	"""The shipped rules, with seconds in place of minutes."""
	text, stale = re.subn(r"clamp_min\(.*?, 300\)", str(STALE_SECONDS), RULES.read_text())
	text, waits = re.subn(r"for: \w+", "for: 0s", text)
	assert stale == 1 and waits >= 5
	return text


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path], tmp_path: Path) -> Path:
	port = free_port()
	settings(
		bench_folder,
		node_id=NODE_ID,
		control_plane_url=f"http://127.0.0.1:{port}",
		spread=0,
		metrics_textfile=str(tmp_path / "written" / "node.prom"),
	)
	(tmp_path / "written").mkdir()
	spare_the_sample(bench_folder)
	return bench_folder


@contextlib.contextmanager
def control_plane(bench: Path) -> Iterator[None]:
	"""Let the control plane of the bench's settings answer."""
	url = load_config(open_bench(str(bench)), {}).control_plane_url
	with WatchedControlPlane(port=int(url.rpartition(":")[2])) as plane:
		plane.store.register_node(NODE_ID, "sg", "10.0.0.1")
		yield


@pytest.fixture
def prometheus(bench: Path, tmp_path: Path) -> Iterator[Prometheus]:
	"""A Prometheus that scrapes the bench in both ways each second."""
	collected = tmp_path / "collected"
	collected.mkdir()
	# As docs/metrics.md says: the file itself lies where the user that pushes may write.
	(collected / "prego_metrics.prom").symlink_to(tmp_path / "written" / "node.prom")
	exporter_port, port = free_port(), free_port()
	(tmp_path / "rules.yml").write_text(shortened_rules())
	with served_over_http(bench) as http_port:
		jobs = {"textfile": exporter_port, "http": http_port}
		config = {
			"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
			"rule_files": [str(tmp_path / "rules.yml")],
			"scrape_configs": [
				{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
				for job, target in jobs.items()
			],
		}
		(tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
		exporter = (
			"prometheus-node-exporter",
			"--collector.disable-defaults",
			"--collector.textfile",
			f"--collector.textfile.directory={collected}",
			f"--web.listen-address=127.0.0.1:{exporter_port}",
		)
		server = (
			"prometheus",
			f"--config.file={tmp_path / 'prometheus.yml'}",
			f"--storage.tsdb.path={tmp_path / 'data'}",
			f"--web.listen-address=127.0.0.1:{port}",
		)
		with running(*exporter), running(*server):
			yield Prometheus(port)


def test_the_shipped_rules_fire_while_the_control_plane_is_stopped_and_stop_when_it_is_back(
	run_agent: Run, bench: Path, prometheus: Prometheus
) -> None:
	both = {"textfile", "http"}

	def push() -> int:
		"""The timer's next run, as if its interval was over."""
		with contextlib.suppress(TypeError):  # nothing was tried yet
			rewind(bench, 100)
		return run_agent("push", "--if-due", "--bench", bench, INTERNAL_API_KEY=KEY).returncode

	def pushed_and_scraped(job: str, count: int) -> bool:
		return prometheus.value(f'sum(prego_pushes_total{{job="{job}"}})') == count

	with control_plane(bench):
		assert push() == 0
		for job in both:
			wait_for(lambda job=job: pushed_and_scraped(job, 1), f"{job} was not scraped")
		assert prometheus.value('prego_tenants{job="textfile"}') == 3
		assert prometheus.value("node_textfile_scrape_error") == 0
		for job, kind in (("http", "info"), ("textfile", "gauge")):
			name = "prego_build" if kind == "info" else "prego_build_info"
			known = prometheus.ask("targets/metadata", match_target=f'{{job="{job}"}}', metric=name)
			assert [one["type"] for one in known] == [kind], json.dumps(known)
		assert push() == 0
		wait_for(lambda: not prometheus.firing(), f"fires: {prometheus.firing()}")

	assert [push() for _ in range(3)] == [1, 1, 1]
	expected = {(job, alert) for job in both for alert in ("PregoPushFailing", "PregoPushStale")}
	wait_for(lambda: prometheus.firing() == expected, f"fires: {prometheus.firing()}")

	with control_plane(bench):
		assert push() == 0
		wait_for(lambda: not prometheus.firing(), f"fires: {prometheus.firing()}")
