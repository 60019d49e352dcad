"""A push reads little, waits no longer than it may, follows nobody, and masks the key in what it shows."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from delivering import (
	DEADLINE_SECONDS,
	HANGING,
	deliver,
)
from hostile_server import Behaviour, Exchange, HostileServer, answer, echo, head
from pushing import aim, leaked, push_now


def test_a_path_in_the_url_is_kept(bench: Path) -> None:
	with HostileServer(answer(200)) as server:
		push_now(aim(bench, f"{server.url}/cp/v1/"))
	assert server.requests[0].startswith(b"POST /cp/v1/internal/server-metrics HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, bench: Path) -> None:
	with HostileServer(answer(200)) as elsewhere:
		with HostileServer(
			answer(status, b"", f"Location: {elsewhere.url}/internal/server-metrics")
		) as server:
			result = push_now(aim(bench, server.url))
		assert (result.outcome, result.status_code, result.attempts) == ("refused", status, 1)
		assert result.error.code == "redirected" and str(status) in result.error
		assert elsewhere.connections == 0


def test_a_refused_connection_is_tried_three_times(bench: Path) -> None:
	with socket.create_server(("127.0.0.1", 0)) as closed:
		port = closed.getsockname()[1]
	result = push_now(aim(bench, f"http://127.0.0.1:{port}"))
	assert (result.outcome, result.status_code, result.attempts) == ("failed", None, 3)
	assert result.error.code == "no_connection"
	assert result.error.params["reason"] == "Connection refused"


def test_a_server_that_accepts_nothing_is_given_up_in_time(bench: Path) -> None:
	with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
		waiting = [socket.socket() for _ in range(4)]
		for client in waiting:
			client.setblocking(False)
			client.connect_ex(full.getsockname())
		started = time.monotonic()
		result = push_now(aim(bench, f"http://127.0.0.1:{full.getsockname()[1]}"))
		for client in waiting:
			client.close()
	assert result.outcome == "failed"
	assert time.monotonic() - started < DEADLINE_SECONDS


@pytest.mark.parametrize("behaviour", HANGING.values(), ids=HANGING.keys())
def test_the_deadline_holds_where_one_attempt_may_last_longer(behaviour: Behaviour) -> None:
	with HostileServer(behaviour) as server:
		started = time.monotonic()
		result = deliver(server.url, attempt_seconds=60, deadline_seconds=0.5)
		assert time.monotonic() - started < 1.0
		assert result.outcome == "failed"


@pytest.mark.parametrize("behaviour", HANGING.values(), ids=HANGING.keys())
def test_one_attempt_ends_in_its_own_time_and_leaves_no_thread(behaviour: Behaviour) -> None:
	before = threading.active_count()
	with HostileServer(behaviour) as server:
		result = deliver(server.url, attempt_seconds=0.3, deadline_seconds=30, max_attempts=1)
		assert result.outcome == "failed"
	for _ in range(100):
		if threading.active_count() <= before:
			break
		time.sleep(0.02)
	assert threading.active_count() <= before


def test_at_most_a_little_of_an_endless_answer_is_read() -> None:
	sent: list[int] = []

	def behave(exchange: Exchange) -> None:
		exchange.send(head(400))
		while not exchange.closing.is_set():
			exchange.send(b"x" * 65536)
			sent.append(65536)

	with HostileServer(behave) as server:
		result = deliver(server.url, attempt_seconds=10, deadline_seconds=10)
	assert result.status_code == 400
	# What the kernel buffers for both sides comes on top of the 64 KiB that are read.
	assert sum(sent) < 16 * 1024 * 1024
	assert len(result.error) < 500


def test_the_words_are_shown_cut_and_on_one_line() -> None:
	with HostileServer(answer(400, "줄 하나\n".encode() * 5000)) as server:
		result = deliver(server.url)
	assert "\n" not in result.error and result.error.endswith("…)")
	assert len(result.error) < 500


NOTATIONS: dict[str, Callable[[str], str]] = {
	"plain": str,
	"JSON": lambda key: json.dumps(key)[1:-1],
	"JSON with slashes escaped": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
	"percent": lambda key: quote(key, safe=""),
	"percent in small letters": lambda key: re.sub("%..", lambda code: code[0].lower(), quote(key, safe="")),
	"percent but for slashes": quote,
	"base64": lambda key: base64.b64encode(key.encode()).decode(),
	"base64 without padding": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
	"base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
}


@pytest.mark.parametrize("cut", [None, 14, 25], ids=["whole", "cut at 14", "cut at 25"])
@pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS.keys())
def test_an_echoed_key_is_masked_in_every_notation(notation: Callable[[str], str], cut: int | None) -> None:
	with HostileServer(echo(401, notation, cut=cut)) as server:
		result = deliver(server.url)
	assert result.status_code == 401
	assert not leaked(result.error)


def test_a_key_echoed_in_the_base64_of_its_header_is_masked() -> None:
	with HostileServer(echo(401, lambda key: base64.b64encode(b"Bearer " + key.encode()).decode())) as server:
		assert not leaked(deliver(server.url).error)
