"""The fleet as the control plane tells it: read leniently, and what was not found is said."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fleet_exports import Ended, ago, metrics, node, run_fleet, tenant, wrangler
from hypothesis import given
from strategies import json_values
from watched_control_plane import KEY, WatchedControlPlane

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.fleet.sources.control_plane import live_exports
from prego_metrics.fleet.sources.records import read_metrics, read_regions
from prego_metrics.sandbox.store import Metrics


@pytest.fixture
def answering() -> Iterator[Callable[..., Ended]]:
	"""`answering(body, status)` runs `fleet freshness` against a server that answers so."""
	servers = []

	def run(body: object, status: int = 200, *options: object) -> Ended:
		content = body if isinstance(body, bytes) else json.dumps(body).encode()

		class Handler(BaseHTTPRequestHandler):
			def do_GET(self) -> None:
				self.send_response(status)
				self.send_header("Content-Length", str(len(content)))
				self.end_headers()
				self.wfile.write(content)

			def log_message(self, *_: object) -> None:
				pass

		servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
		threading.Thread(target=servers[-1].serve_forever, args=(0.02,)).start()
		url = f"http://127.0.0.1:{servers[-1].server_port}"
		# The answers were written when the tests were collected, which may be a while ago.
		options = (*options, "--max-age", 86400, "--json")
		return run_fleet("freshness", "--control-plane-url", url, *options, INTERNAL_API_KEY=KEY)

	yield run
	for server in servers:
		server.shutdown()
		server.server_close()


def test_the_local_control_plane_is_judged_live(control_plane: WatchedControlPlane, tmp_path: Path) -> None:
	store = control_plane.store
	for name in ("fresh", "zero", "stale"):
		store.register_node(name, "sg", "10.0.0.1")
		store.save(Metrics(name, tenant_count=0 if name == "zero" else 2))
	store.sql("UPDATE server_metrics SET updated_at = ? WHERE node_id = 'stale'", ago(400))
	tenants = wrangler(tmp_path / "tenants.json", tenant("zero"), tenant("fresh"), tenant("stale"))
	options = ["--control-plane-url", control_plane.url + "/", "--tenants", tenants, "--json"]
	result = run_fleet("freshness", *options, INTERNAL_API_KEY=KEY)
	assert (result.code, result.stderr) == (1, "")
	assert result.verdicts() == {"fresh": "fresh", "node-1": "never", "stale": "stale", "zero": "zero"}
	result = run_fleet("reconcile", *options, INTERNAL_API_KEY=KEY)
	assert result.verdicts()["fresh"] == "differs"


def test_hundreds_of_nodes_are_more_than_64_kib_and_all_are_read(control_plane: WatchedControlPlane) -> None:
	for number in range(600):
		control_plane.store.register_node(f"sg-{number}", "sg", "a-host-name-of-some-length.example")
		control_plane.store.save(Metrics(f"sg-{number}", tenant_count=1))
	result = run_fleet("freshness", "--control-plane-url", control_plane.url, "--json", INTERNAL_API_KEY=KEY)
	assert len(result.json["nodes"]) == 601


def test_the_key_may_come_from_a_file_and_is_never_shown(
	control_plane: WatchedControlPlane, tmp_path: Path
) -> None:
	(tmp_path / "key").write_text(KEY + "\n")
	(tmp_path / "key").chmod(0o600)
	options = ["freshness", "--control-plane-url", control_plane.url]
	assert run_fleet(*options, "--api-key-file", tmp_path / "key").code == 1
	(tmp_path / "key").chmod(0o644)
	for result in (
		run_fleet(*options),
		run_fleet(*options, "--api-key-file", tmp_path / "key"),
		run_fleet(*options, INTERNAL_API_KEY="wrong-key-123456"),
	):
		assert result.code == 2
		assert result.stderr.startswith("Error: ")
		assert "wrong-key" not in result.stderr and KEY not in result.stderr


PUSHED = {"cpu_pct": 1, "tenant_count": 2, "source": "node_push"}


@pytest.mark.parametrize(
	"answer",
	[
		[node("a", **PUSHED, updated_at=ago(5))],
		{"nodes": [node("a", **PUSHED, updated_at=ago(5))]},
		{"ok": True, "data": {"nodes": [node("a", **PUSHED, updated_at=ago(5))]}},
		{"success": True, "results": [node("a", **PUSHED, updated_at=ago(5))]},
		{"nodes": [node("a", updated_at=ago(9e6), metrics={**PUSHED, "updated_at": ago(5)})]},
		{
			"nodes": [
				node("a", latest={**PUSHED, "updated_at": ago(5)}),
				node("b", latest={**PUSHED, "updated_at": ago(5)}),
			]
		},
	],
)
def test_an_answer_is_read_in_whatever_shape_it_has(answering: Callable[..., Ended], answer: Any) -> None:
	result = answering(answer)
	assert (result.code, result.stderr) == (0, "")
	assert result.verdicts()["a"] == "fresh"


def test_the_time_of_a_registration_is_not_taken_for_that_of_a_push(answering: Callable[..., Ended]) -> None:
	assert answering({"nodes": [node("a", updated_at=ago(5))]}).code == 2
	result = answering({"nodes": [node("a", updated_at=ago(5), metrics=None)]})
	assert (result.code, result.verdicts()) == (1, {"a": "never"})


def test_what_was_not_found_is_said(answering: Callable[..., Ended]) -> None:
	result = answering({"nodes": [{"node_id": "a", "metrics": {"updated_at": ago(5)}}]})
	assert (result.code, result.verdicts()) == (0, {"a": "fresh"})
	for name in ("region", "tenant_count", "source"):
		assert f"has no {name}: it is not judged" in result.stderr


@pytest.mark.parametrize(
	("answer", "status", "words"),
	[
		({"nodes": []}, 200, "holds no nodes"),
		([], 200, "holds no nodes"),
		({"servers": 1}, 200, "holds no list of nodes"),
		({"nodes": [{"id": "a"}]}, 200, "holds no list of nodes"),
		({"nodes": [node("a", **PUSHED, updated_at=ago(5))], "next": "x"}, 200, "one page of several"),
		(b'{"nodes": [', 200, "is not valid JSON"),
		(b"<html>", 200, "a web page answers"),
		(b"[" * 90_000, 200, "is not valid JSON"),
		({"error": f"no {KEY}"}, 500, "answers HTTP 500"),
		({}, 302, "HTTP 302"),
		({"nodes": [node("a")]}, 206, "has no updated_at of metrics"),
		({"nodes": [{**node("a"), **metrics("a")}] * 2}, 200, "several rows for a"),
	],
)
def test_an_answer_that_tells_no_fleet_is_exit_2(
	answering: Callable[..., Ended], answer: Any, status: int, words: str
) -> None:
	result = answering(answer, status)
	assert (result.code, words in result.stderr) == (2, True), result.stderr
	assert KEY not in result.stderr


@pytest.mark.parametrize(
	"url", ["http://control-plane.example", "https://u:p@cp.example", "cp", "https://cp/?x=1"]
)
def test_a_url_that_would_leak_the_key_is_refused(url: str) -> None:
	result = run_fleet("freshness", "--control-plane-url", url, INTERNAL_API_KEY=KEY)
	assert (result.code, result.stderr.startswith("Error: --control-plane-url must")) == (2, True)


def test_nobody_listening_is_exit_2() -> None:
	result = run_fleet("freshness", "--control-plane-url", "http://127.0.0.1:9", INTERNAL_API_KEY=KEY)
	assert (result.code, "no connection" in result.stderr) == (2, True)


@given(json_values)
def test_whatever_is_answered_is_nodes_or_an_error(content: Any) -> None:
	for answer in (
		content,
		[{"node_id": "a", "m": content}],
		{"nodes": [{"node_id": content, "metrics": content}]},
	):
		try:
			nodes, pushed, _ = live_exports(answer)
			assert read_regions(nodes)
			read_metrics(pushed, "updated_at")
		except PregoMetricsError:
			pass
