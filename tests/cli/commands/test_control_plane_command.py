"""`control-plane`: the local control plane in the foreground, as somebody who develops starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PAYLOAD = {"node_id": "sg-1", "tenant_count": 3, "source": "node_push"}


class Running:
	"""The command while it serves; `said` holds its lines up to the one that says how to stop it."""

	def __init__(self, *options: str, **environ: str) -> None:
		self.process = subprocess.Popen(
			[sys.executable, "-m", "prego_metrics.cli", "control-plane", *options],
			env={**os.environ, **environ},
			stdout=subprocess.PIPE,
			stderr=subprocess.PIPE,
			text=True,
		)
		assert self.process.stdout
		self.expected = ""
		while "Ctrl-C stops it." not in self.expected:
			line = self.process.stdout.readline()
			assert line, self.process.communicate()
			self.expected += line

	def value(self, name: str) -> str:
		found = re.search(rf"^  {name} +(.*)$", self.expected, re.MULTILINE)
		assert found
		return found[1]

	def post(self, payload: dict[str, Any] = PAYLOAD, key: str | None = None) -> requests.Response:
		return requests.post(
			self.value("URL") + "/internal/server-metrics",
			json=payload,
			headers={"Authorization": f"Bearer {key or self.value('key')}"},
			timeout=5,
		)

	def stop(self, with_signal: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
		self.process.send_signal(with_signal)
		out, err = self.process.communicate(timeout=10)
		return self.process.returncode, out, err


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
	"""`start(*options, **environ)` starts the command; whatever is left is ended afterwards."""
	started: list[Running] = []

	def run(*options: str, **environ: str) -> Running:
		started.append(Running(*options, **environ))
		return started[-1]

	yield run
	for running in started:
		running.process.kill()
		running.process.communicate()


def test_it_prints_its_url_and_a_new_key_and_serves_with_both(start: Callable[..., Running]) -> None:
	running = start("--node", "sg-1")
	assert "for development only" in running.expected
	assert re.fullmatch(r"http://127\.0\.0\.1:\d+", running.value("URL"))
	assert len(running.value("key")) >= 24
	assert running.value("nodes") == "sg-1"
	assert f"--control-plane-url {running.value('URL')} --node-id" in running.expected
	assert running.post().json() == {"ok": True, "node_id": "sg-1", "snapshot_saved": False}
	assert running.post(key="wrong").status_code == 401
	code, expected, errors = running.stop()
	assert code == 0
	assert expected.split("\n")[-4:] == [
		"POST /internal/server-metrics 200",
		"POST /internal/server-metrics 401",
		"Stopped.",
		"",
	]
	assert errors == ""


def test_two_starts_have_two_keys(start: Callable[..., Running]) -> None:
	assert start().value("key") != start().value("key")


def test_a_key_from_the_environment_is_used_and_not_shown(start: Callable[..., Running]) -> None:
	running = start("--node", "sg-1", INTERNAL_API_KEY="given-key-987654321")
	assert running.value("key") == "as in INTERNAL_API_KEY"
	assert running.post(key="given-key-987654321").status_code == 200
	_, expected, errors = running.stop()
	assert "987654321" not in running.expected + expected + errors


def test_an_empty_key_in_the_environment_counts_as_unset(start: Callable[..., Running]) -> None:
	running = start("--node", "sg-1", INTERNAL_API_KEY="")
	assert len(running.value("key")) >= 24 and " " not in running.value("key")
	assert running.post().status_code == 200


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_even_with_a_client_that_stays(
	start: Callable[..., Running], with_signal: signal.Signals
) -> None:
	running = start()
	port = int(running.value("URL").rpartition(":")[2])
	with socket.create_connection(("127.0.0.1", port)) as client:
		client.sendall(b"POST /internal/server-metrics HTTP/1.1\r\n")
		time.sleep(0.1)
		began = time.monotonic()
		code, _, errors = running.stop(with_signal)
	assert (code, errors) == (0, "")
	assert time.monotonic() - began < 5
	with socket.create_server(("127.0.0.1", port)):
		pass  # the port is free again


def test_a_taken_port_is_one_clear_error(run_agent: Run) -> None:
	with socket.create_server(("127.0.0.1", 0)) as taken:
		port = taken.getsockname()[1]
		result = run_agent("control-plane", "--port", port)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr.count("\n") == 1
	assert f"(port {port}, " in result.stderr and "Address already in use" in result.stderr


@pytest.mark.parametrize(
	("options", "environ", "words"),
	[
		(["--port", "70000"], {}, "--port"),
		(["--port", "http"], {}, "--port"),
		(["--database", "/no/such/folder/x.db"], {}, "database /no/such/folder/x.db): unable to open"),
		(["--database", "/\x1b[31m/x.db"], {}, "database /\\x1b[31m/x.db): unable to open"),
		(["--node", os.fsdecode(b"\xff")], {}, "surrogates not allowed"),
		([], {"INTERNAL_API_KEY": "two words-987654"}, "the key must be printable ASCII without spaces"),
	],
	ids=lambda value: repr(value) if isinstance(value, list) else "",
)
def test_what_it_cannot_start_with_is_one_error_and_exit_2(
	run_agent: Run, options: list[str], environ: dict[str, str], words: str
) -> None:
	result = run_agent("control-plane", *options, **environ)
	assert (result.returncode, result.stdout) == (2, "")
	assert words in result.stderr
	assert result.stderr.count("Error: ") == 1
	assert "Traceback" not in result.stderr and "987654" not in result.stderr


def test_a_file_that_is_no_database_is_refused_and_left_alone(run_agent: Run, tmp_path: Path) -> None:
	(tmp_path / "notes.txt").write_text("These are notes, and no database.\n" * 100)
	result = run_agent("control-plane", "--database", tmp_path / "notes.txt")
	assert (result.returncode, result.stdout) == (2, "")
	assert "file is not a database" in result.stderr
	assert (tmp_path / "notes.txt").read_text().startswith("These are notes")


def test_a_database_file_outlives_a_restart(start: Callable[..., Running], tmp_path: Path) -> None:
	database = str(tmp_path / "control-plane.db")
	first = start("--database", database, "--node", "sg-1")
	assert first.post().status_code == 200
	first.stop(signal.SIGTERM)
	second = start("--database", database)
	headers = {"Authorization": f"Bearer {second.value('key')}"}
	row = requests.get(second.value("URL") + "/internal/nodes/sg-1", headers=headers, timeout=5).json()
	assert row["node"]["tenant_count"] == 3


def test_a_node_that_is_not_registered_is_refused_unless_that_was_asked_for(
	start: Callable[..., Running],
) -> None:
	assert start().post().status_code == 404
	assert start("--register-unknown").post().status_code == 200


def test_without_its_migration_a_snapshot_is_accepted_and_ignored(start: Callable[..., Running]) -> None:
	payload = {**PAYLOAD, "save_snapshot": True}
	assert start("--node", "sg-1").post(payload).json()["snapshot_saved"] is True
	answer = start("--node", "sg-1", "--without-snapshots").post(payload)
	assert (answer.status_code, answer.json()["snapshot_saved"]) == (200, False)


def test_it_listens_on_loopback_alone(start: Callable[..., Running]) -> None:
	port = int(start().value("URL").rpartition(":")[2])
	listening = [
		line.split()[1]
		for table in ("/proc/net/tcp", "/proc/net/tcp6")
		for line in Path(table).read_text().splitlines()[1:]
		if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
	]
	assert listening == [f"0100007F:{port:04X}"]


def test_it_answers_though_nobody_reads_its_lines_any_more(start: Callable[..., Running]) -> None:
	running = start("--node", "sg-1")
	assert running.process.stdout
	running.process.stdout.close()
	for _ in range(3):
		assert running.post().status_code == 200
	running.process.stdout = None
	running.process.send_signal(signal.SIGTERM)
	assert running.process.wait(10) == 0


def test_a_hostile_path_is_shown_and_not_obeyed(start: Callable[..., Running]) -> None:
	running = start()
	port = int(running.value("URL").rpartition(":")[2])
	with socket.create_connection(("127.0.0.1", port)) as client:
		client.sendall(b"GET /%1b%5b31m%0aPOST%20/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		while client.recv(4096):
			pass
	_, expected, _ = running.stop()
	assert "\x1b" not in expected
	assert "GET /\\x1b[31m\\x0aPOST /x 401" in expected.splitlines()


def test_a_bench_can_be_pointed_at_it_as_it_says(
	start: Callable[..., Running], run_agent: Run, bench_folder: Path
) -> None:
	running = start("--node", "sg-1")
	url = running.value("URL")
	result = run_agent("configure", "--bench", bench_folder, "--control-plane-url", url, "--node-id", "sg-1")
	assert result.returncode == 0
	result = run_agent("push", "--json", "--bench", bench_folder, INTERNAL_API_KEY=running.value("key"))
	assert (result.returncode, json.loads(result.stdout)["outcome"]) == (0, "delivered")
