"""Whatever the other side does, a push ends in time, says the right thing, and keeps the key to itself."""

from __future__ import annotations

import base64
import datetime
import gc
import gzip
import json
import logging
import re
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from hostile_server import Behaviour, Exchange, HostileServer, answer, echo, head
from hypothesis import given
from hypothesis import strategies as st
from pushing import ENVIRON, KEY, aim, kept, leaked, push_now, spare_the_sample, state_of

from prego_metrics import __version__
from prego_metrics.agent import control_plane as control_plane_module
from prego_metrics.agent.api_key import Secret
from prego_metrics.agent.bench import open_bench
from prego_metrics.agent.control_plane import Delivery, send
from prego_metrics.agent.payload import Payload
from prego_metrics.agent.push import Request, push
from prego_metrics.agent.report import report
from prego_metrics.agent.result import Result

DEADLINE_SECONDS = 4.0
PAYLOAD = Payload("node-1", 3, 1.0, 2.0, 3.0)
SNAPSHOT = Payload("node-1", 3, 1.0, 2.0, 3.0, save_snapshot=True)


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr(control_plane_module, "BACKOFF_BASE_SECONDS", 0.02)


@pytest.fixture
def bench(bench_folder: Path) -> Path:
	spare_the_sample(bench_folder)
	return bench_folder


def deliver(
	url: str,
	payload: Payload = PAYLOAD,
	*,
	attempt_seconds: float = 0.4,
	deadline_seconds: float = 3.0,
	**options: Any,
) -> Delivery:
	return send(
		url,
		Secret(KEY, "a test"),
		payload,
		attempt_seconds=attempt_seconds,
		deadline_seconds=deadline_seconds,
		**options,
	)


# --- kinds of answer -------------------------------------------------------------------------------


def http_date(seconds_from_now: float) -> str:
	moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
	return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def sends(content: bytes) -> Behaviour:
	return lambda exchange: exchange.send(content)


def sends_for_ever(start: bytes, content: bytes, every_seconds: float = 0.0) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		exchange.send(start)
		exchange.send_for_ever(content, every_seconds)

	return behave


def drips(content: bytes, every_seconds: float = 0.05) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		for position in range(len(content)):
			if exchange.closing.wait(every_seconds):
				return
			exchange.send(content[position : position + 1])

	return behave


def sends_and_resets(content: bytes) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		exchange.send(content)
		time.sleep(0.05)
		exchange.reset()

	return behave


@dataclass(frozen=True)
class Case:
	"""One kind of answer, and what a push must make of it."""

	name: str
	behaviours: tuple[Behaviour, ...]
	outcome: str
	status_code: int | None = None
	attempts: int = 1
	says: str = ""
	settings: dict[str, object] = field(default_factory=dict)


def delivered(name: str, *behaviours: Behaviour, status: int = 200, **more: Any) -> Case:
	return Case(name, behaviours, "delivered", status, **more)


def refused(name: str, *behaviours: Behaviour, status: int, **more: Any) -> Case:
	return Case(name, behaviours, "refused", status, says=more.pop("says", str(status)), **more)


def failed(name: str, *behaviours: Behaviour, status: int | None = None, **more: Any) -> Case:
	return Case(name, behaviours, "failed", status, attempts=more.pop("attempts", 3), **more)


ENDLESS = head(200, "Transfer-Encoding: chunked"), b"5\r\nhello\r\n"
GZIPPED = gzip.compress(b'{"error": "packed"}')

CASES = [
	delivered("200", answer(200)),
	delivered("201", answer(201), status=201),
	delivered("202 without a length", sends(head(202)), status=202),
	delivered("204 and a body that never ends", sends_for_ever(head(204), b"x" * 4096, 0.001), status=204),
	delivered("200 and a body that never ends", sends_for_ever(*ENDLESS)),
	delivered("200 and a body that drips", sends_for_ever(head(200, "Content-Length: 9999"), b"x", 0.2)),
	delivered("200 and a body that never comes", answer(200, b"", length=10)),
	delivered("200 and a broken gzip body", answer(200, b"not gzip", "Content-Encoding: gzip")),
	delivered("200 that is no JSON", answer(200, b"<html>")),
	delivered("100 Continue, then 200", sends(b"HTTP/1.1 100 Continue\r\n\r\n" + head(200))),
	delivered("503, then 200", answer(503), answer(200), attempts=2),
	delivered(
		"429 with Retry-After 0, then 200", answer(429, b"", "Retry-After: 0"), answer(200), attempts=2
	),
	delivered(
		"429 with Retry-After 1, then 200", answer(429, b"", "Retry-After: 1"), answer(200), attempts=2
	),
	delivered(
		"429 with a date that is over, then 200",
		answer(429, b"", f"Retry-After: {http_date(-3600)}"),
		answer(200),
		attempts=2,
	),
	delivered("reset, then 200", Exchange.reset, answer(200), attempts=2),
	refused("300", answer(300, b""), status=300),
	refused("304", answer(304, b""), status=304, says="304"),
	refused("400", answer(400, b'{"error": "disk_pct is wrong"}'), status=400, says="disk_pct is wrong"),
	refused("401 echoing the key", echo(401, str), status=401, says="refuses the key"),
	refused("401 echoing it as JSON", echo(401, lambda key: json.dumps(key)[1:-1]), status=401),
	refused("401 echoing it percent-encoded", echo(401, lambda key: quote(key, safe="")), status=401),
	refused(
		"403 echoing it in base64",
		echo(403, lambda key: base64.b64encode(key.encode()).decode()),
		status=403,
		says="refuses the key",
	),
	refused("403 echoing it, cut by a closed connection", echo(403, str, cut=20), status=403),
	refused(
		"400 echoing it across the cut of what is shown", answer(400, b"x" * 270 + KEY.encode()), status=400
	),
	refused("404", answer(404, b"no such node"), status=404, says="node_id, or control_plane_url"),
	refused("405", answer(405), status=405),
	refused("409", answer(409), status=409),
	refused("413", answer(413), status=413),
	refused("418", answer(418), status=418),
	refused("422", answer(422), status=422),
	refused("400 and a body that never ends", sends_for_ever(head(400), b"wrong " * 50, 0.001), status=400),
	refused("400 and a body that drips", sends_for_ever(head(400), b"w", 0.03), status=400),
	refused(
		"400 and a chunked body that breaks",
		sends(head(400, "Transfer-Encoding: chunked") + b"zz\r\n"),
		status=400,
	),
	refused("400 and an impossible length", sends(head(400, "Content-Length: -5") + b"no"), status=400),
	refused(
		"400 in gzip, though identity was asked", answer(400, GZIPPED, "Content-Encoding: gzip"), status=400
	),
	refused(
		"422 with terminal escapes in its words",
		answer(422, b"\x1b]0;owned\x07\x1b[2Jbad\r\n\x00\xe2\x80\xae\xff"),
		status=422,
		says=r"\x1b]0;owned\x07\x1b[2Jbad\x0d\x0a\x00\u202e\xff",
	),
	failed("408", answer(408), status=408),
	failed("429", answer(429, b"slow down"), status=429, says="slow down"),
	failed("429 with Retry-After in seconds", answer(429, b"", "Retry-After: 1"), status=429),
	failed("429 with Retry-After as a date", answer(429, b"", f"Retry-After: {http_date(1)}"), status=429),
	failed(
		"429 with Retry-After beyond the deadline",
		answer(429, b"", "Retry-After: 3600"),
		status=429,
		attempts=1,
		says="asks to wait 3600 s",
	),
	failed(
		"503 with a date beyond the deadline",
		answer(503, b"", f"Retry-After: {http_date(7200)}"),
		status=503,
		attempts=1,
		says="longer than this push may last",
	),
	failed("429 with garbage in Retry-After", answer(429, b"", "Retry-After: soon, \xb2"), status=429),
	failed("429 with a negative Retry-After", answer(429, b"", "Retry-After: -5"), status=429),
	failed(
		"429 with absurdly many digits",
		answer(429, b"", f"Retry-After: {'9' * 5000}"),
		status=429,
		attempts=1,
		says="asks to wait",
	),
	failed("500", answer(500, b"oh no"), status=500, says="oh no"),
	failed("502", answer(502), status=502),
	failed("503", answer(503), status=503),
	failed("500 and a body that never ends", sends_for_ever(head(500), b"x" * 4096), status=500),
	failed("599", answer(599), status=599),
	failed("500 echoing the key", echo(500, str), status=500),
	failed("reset before the headers", Exchange.reset, says="no connection"),
	failed("reset within the headers", sends_and_resets(b"HTTP/1.1 200 OK\r\nX-A: b"), says="no connection"),
	failed("closed without a word", lambda exchange: None, says="no connection"),
	failed("silence", Exchange.wait, says="no answer within 0.4 s"),
	failed("a status line that drips", drips(b"HTTP/1.1 200 OK\r\n\r\n"), says="no answer within 0.4 s"),
	failed(
		"headers that drip",
		sends_for_ever(b"HTTP/1.1 200 OK\r\nX-Dripping: ", b"y", 0.05),
		says="no answer within 0.4 s",
	),
	failed("headers without end", sends_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-Header: y\r\n")),
	failed("one header without end", sends_for_ever(b"HTTP/1.1 200 OK\r\nX-Header: ", b"y" * 1024)),
	failed("100 Continue without end", sends_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001)),
	failed("garbage", sends(b"\x16\x03\x01 SSH-2.0-OpenSSH\x1b[2J\r\n\r\n"), says="no connection"),
	failed("a line of garbage without end", sends_for_ever(b"", b"garbage ")),
	failed("a status code of four digits", sends(b"HTTP/1.1 2000 OK\r\n\r\n")),
	failed("a status code that is a word", sends(b"HTTP/1.1 fine OK\r\n\r\n")),
	failed(
		"garbage that ends in the key where what is shown is cut",
		lambda exchange: exchange.send(b"g" * 150 + KEY.encode() * 2 + b"\r\n\r\n"),
	),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_kind_of_answer_ends_in_time_with_the_right_outcome_and_without_the_key(
	case: Case, bench: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
	caplog.set_level(logging.DEBUG)
	with HostileServer(*case.behaviours) as server:
		aim(bench, server.url, **case.settings)
		started = time.monotonic()
		ended = push_now(bench)
		seconds = time.monotonic() - started
	report(ended)
	written = capfd.readouterr()

	assert (ended.outcome, ended.status_code, ended.attempts) == (
		case.outcome,
		case.status_code,
		case.attempts,
	), ended.error
	assert ended.exit_code == (0 if case.outcome == "delivered" else 1)
	assert case.says in (ended.error or "")
	assert seconds < DEADLINE_SECONDS
	assert server.connections == case.attempts
	assert state_of(bench).last.outcome == case.outcome
	assert len(ended.error or "") < 1000
	assert "Traceback" not in written.out + written.err
	assert all(character.isprintable() or character == "\n" for character in written.out + written.err)
	everything = [
		written.out,
		written.err,
		kept(bench),
		repr(ended),
		json.dumps(ended.as_dict()),
		caplog.text,
	]
	assert not leaked("\n".join(everything))


def test_the_key_was_really_sent_and_nothing_else_than_the_payload(bench: Path) -> None:
	with HostileServer(answer(200)) as server:
		ended = push_now(aim(bench, server.url))
		(request,) = server.requests
	lines = request.decode().split("\r\n")
	headers = dict(line.lower().split(": ", 1) for line in lines[1 : lines.index("")])
	assert lines[0] == "POST /internal/server-metrics HTTP/1.1"
	assert f"Authorization: Bearer {KEY}" in lines
	assert headers["user-agent"] == f"prego_metrics/{__version__}"
	assert headers["accept-encoding"] == "identity"
	assert headers["content-type"] == "application/json"
	assert "cookie" not in headers
	assert json.loads(server.bodies[0]) == ended.payload
	assert ended.payload["tenant_count"] == 3


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
			ended = push_now(aim(bench, server.url))
		assert (ended.outcome, ended.status_code, ended.attempts) == ("refused", status, 1)
		assert "redirect" in ended.error and str(status) in ended.error
		assert elsewhere.connections == 0


def test_a_refused_connection_is_tried_three_times(bench: Path) -> None:
	with socket.create_server(("127.0.0.1", 0)) as closed:
		port = closed.getsockname()[1]
	ended = push_now(aim(bench, f"http://127.0.0.1:{port}"))
	assert (ended.outcome, ended.status_code, ended.attempts) == ("failed", None, 3)
	assert ended.error.startswith("no connection: Connection refused")


def test_a_server_that_accepts_nothing_is_given_up_in_time(bench: Path) -> None:
	with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
		waiting = [socket.socket() for _ in range(4)]
		for client in waiting:
			client.setblocking(False)
			client.connect_ex(full.getsockname())
		started = time.monotonic()
		ended = push_now(aim(bench, f"http://127.0.0.1:{full.getsockname()[1]}"))
		for client in waiting:
			client.close()
	assert ended.outcome == "failed"
	assert time.monotonic() - started < DEADLINE_SECONDS


HANGING = {
	"silence": Exchange.wait,
	"a dripping header": sends_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.1),
	"endless headers": sends_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.0),
	"endless continues": sends_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
	"a dripping body": sends_for_ever(head(500), b"y", 0.1),
}


@pytest.mark.parametrize("behaviour", HANGING.values(), ids=HANGING.keys())
def test_the_deadline_holds_where_one_attempt_may_last_longer(behaviour: Behaviour) -> None:
	with HostileServer(behaviour) as server:
		started = time.monotonic()
		ended = deliver(server.url, attempt_seconds=60, deadline_seconds=0.5)
		assert time.monotonic() - started < 1.0
		assert ended.outcome == "failed"


@pytest.mark.parametrize("behaviour", HANGING.values(), ids=HANGING.keys())
def test_one_attempt_ends_in_its_own_time_and_leaves_no_thread(behaviour: Behaviour) -> None:
	before = threading.active_count()
	with HostileServer(behaviour) as server:
		ended = deliver(server.url, attempt_seconds=0.3, deadline_seconds=30, max_attempts=1)
		assert ended.outcome == "failed"
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
		ended = deliver(server.url, attempt_seconds=10, deadline_seconds=10)
	assert ended.status_code == 400
	# What the kernel buffers for both sides comes on top of the 64 KiB that are read.
	assert sum(sent) < 16 * 1024 * 1024
	assert len(ended.error) < 500


def test_the_words_are_shown_cut_and_on_one_line() -> None:
	with HostileServer(answer(400, "줄 하나\n".encode() * 5000)) as server:
		ended = deliver(server.url)
	assert "\n" not in ended.error and ended.error.endswith("…")
	assert len(ended.error) < 500


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
		ended = deliver(server.url)
	assert ended.status_code == 401
	assert not leaked(ended.error)


def test_a_key_echoed_in_the_base64_of_its_header_is_masked() -> None:
	with HostileServer(echo(401, lambda key: base64.b64encode(b"Bearer " + key.encode()).decode())) as server:
		assert not leaked(deliver(server.url).error)


# --- attempts --------------------------------------------------------------------------------------


def test_attempts_and_pauses_are_bounded() -> None:
	pauses: list[float] = []
	with HostileServer(answer(500)) as server:
		ended = deliver(server.url, sleep=pauses.append, deadline_seconds=30)
	assert ended.attempts == server.connections == 3
	assert len(pauses) == 2
	assert all(0 <= pause <= 0.02 * 2**number for number, pause in enumerate(pauses, 1))


def test_the_number_of_attempts_can_be_limited() -> None:
	with HostileServer(answer(500)) as server:
		ended = deliver(server.url, max_attempts=1)
	assert ended.attempts == server.connections == 1


@pytest.mark.parametrize(
	("value", "least", "most"),
	[
		("7", 7, 7),
		(" 7 ", 7, 7),
		("0", 0, 0),
		(lambda: http_date(10), 8, 10),
		(lambda: http_date(10).replace("GMT", "-0000"), 8, 10),
		(lambda: http_date(-10), 0, 0),
		("-5", 0, 0.04),
		("1.5", 0, 0.04),
		("\u00b2", 0, 0.04),
		("soon", 0, 0.04),
		("", 0, 0.04),
	],
)
def test_retry_after_is_waited_for(value: str | Callable[[], str], least: float, most: float) -> None:
	pauses: list[float] = []
	text = value if isinstance(value, str) else value()
	with HostileServer(answer(429, b"", f"Retry-After: {text}"), answer(200)) as server:
		ended = deliver(server.url, sleep=pauses.append, deadline_seconds=30)
	assert ended.outcome == "delivered"
	assert least <= pauses[0] <= most


@given(
	st.one_of(
		st.text(), st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,5} [A-Z][a-z]{2} -?[0-9]{1,12} [0-9:]{1,9}.*")
	)
)
def test_no_retry_after_whatever_raises_and_none_is_negative(value: str) -> None:
	seconds = control_plane_module._retry_after_seconds(value)
	assert seconds is None or seconds >= 0


def test_a_date_without_a_zone_is_in_utc_and_not_in_the_time_of_the_node(
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setenv("TZ", "Asia/Seoul")
	time.tzset()
	try:
		date = http_date(10).replace("GMT", "-0000")
		assert 8 <= control_plane_module._retry_after_seconds(date) <= 10
	finally:
		monkeypatch.undo()
		time.tzset()


def test_a_push_with_no_time_left_for_a_pause_ends_at_once() -> None:
	with HostileServer(answer(429, b"", "Retry-After: 2")) as server:
		started = time.monotonic()
		ended = deliver(server.url, deadline_seconds=1.0)
	assert ended.attempts == 1 and ended.status_code == 429
	assert time.monotonic() - started < 0.5


# --- the snapshot ----------------------------------------------------------------------------------


def asked_for_snapshot(server: HostileServer) -> list[bool]:
	return [json.loads(body).get("save_snapshot", False) for body in server.bodies]


@pytest.mark.parametrize(
	("first", "kept_in_retry"),
	[
		(answer(429, b"", "Retry-After: 0"), True),
		(answer(408), True),
		(answer(500), False),
		(answer(503), False),
		(Exchange.reset, False),
		(Exchange.wait, False),
		(sends(b"garbage\r\n\r\n"), False),
	],
	ids=["429", "408", "500", "503", "reset", "silence", "garbage"],
)
def test_a_retry_asks_for_a_snapshot_again_only_after_a_clear_end(
	first: Behaviour, kept_in_retry: bool
) -> None:
	with HostileServer(first, answer(200)) as server:
		ended = deliver(server.url, SNAPSHOT)
	assert asked_for_snapshot(server) == [True, kept_in_retry]
	assert ended.outcome == "delivered" and ended.snapshot_taken
	assert ended.payload.save_snapshot is kept_in_retry


def test_a_refused_connection_keeps_the_snapshot() -> None:
	with HostileServer(answer(200), listens=False) as server:
		ended = deliver(server.url, SNAPSHOT, sleep=lambda _: server.listen())
	assert ended.attempts == 2
	assert asked_for_snapshot(server) == [True]
	assert ended.snapshot_taken


@pytest.mark.parametrize(
	("behaviour", "taken"),
	[
		(answer(400), False),
		(answer(401), False),
		(answer(429), False),
		(answer(503), True),
		(Exchange.wait, True),
	],
	ids=["400", "401", "429", "503", "silence"],
)
def test_a_snapshot_counts_as_taken_if_it_may_have_been(behaviour: Behaviour, taken: bool) -> None:
	with HostileServer(behaviour) as server:
		ended = deliver(server.url, SNAPSHOT, attempt_seconds=0.2, max_attempts=1)
	assert ended.outcome != "delivered"
	assert ended.snapshot_taken is taken


def test_a_snapshot_on_its_way_at_the_deadline_counts_as_taken() -> None:
	with HostileServer(Exchange.wait) as server:
		ended = deliver(server.url, SNAPSHOT, attempt_seconds=60, deadline_seconds=0.4)
	assert ended.snapshot_taken


def test_a_connection_that_was_never_made_takes_no_snapshot() -> None:
	with HostileServer(listens=False) as server:
		ended = deliver(server.url, SNAPSHOT)
	assert (ended.outcome, ended.snapshot_taken, ended.payload.save_snapshot) == ("failed", False, True)


# --- TLS, names, proxies, .netrc -------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
	return trustme.CA()


def tls_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
	certificate.configure_cert(context)
	return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))


@pytest.fixture
def plane_example(monkeypatch: pytest.MonkeyPatch) -> None:
	"""Make plane.example and proxy.example names of this machine, which are no loopback to the code."""
	resolve = socket.getaddrinfo

	def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
		return resolve("127.0.0.1" if str(host).endswith(".example") else host, *arguments, **options)

	monkeypatch.setattr(socket, "getaddrinfo", resolved)


def test_tls_with_the_bundle_of_the_environment_delivers(
	authority: trustme.CA, trusted: None, bench: Path
) -> None:
	with HostileServer(answer(200), tls=tls_context(authority.issue_cert("127.0.0.1"))) as server:
		ended = push_now(aim(bench, server.url, timeout=2))
	assert ended.outcome == "delivered", ended.error


@pytest.mark.parametrize("kind", ["self-signed", "wrong host", "expired"])
def test_a_certificate_that_does_not_hold_gets_no_key(
	kind: str, authority: trustme.CA, trusted: None, bench: Path
) -> None:
	now = datetime.datetime.now(datetime.timezone.utc)
	certificate = {
		"self-signed": lambda: trustme.CA().issue_cert("127.0.0.1"),
		"wrong host": lambda: authority.issue_cert("other.example"),
		"expired": lambda: authority.issue_cert(
			"127.0.0.1", not_before=now - datetime.timedelta(9), not_after=now - datetime.timedelta(1)
		),
	}[kind]()
	with HostileServer(answer(200), tls=tls_context(certificate)) as server:
		ended = push_now(aim(bench, server.url, timeout=1))
	assert (ended.outcome, ended.attempts) == ("failed", 3)
	assert ended.error.startswith("TLS: ")
	assert server.requests == []


def test_plain_http_on_a_tls_port_and_tls_on_a_plain_one_fail_without_the_key(
	authority: trustme.CA, trusted: None
) -> None:
	with HostileServer(answer(200), tls=tls_context(authority.issue_cert("127.0.0.1"))) as server:
		assert deliver(server.url.replace("https", "http")).outcome == "failed"
	with HostileServer(sends(b"HTTP/1.1 400 This port speaks HTTP\r\n\r\n"), reads=False) as server:
		ended = deliver(server.url.replace("http", "https"), SNAPSHOT)
		assert ended.outcome == "failed" and ended.error.startswith("TLS: ")
		assert not ended.snapshot_taken


def test_a_handshake_that_drips_ends_with_the_attempt_and_takes_no_snapshot() -> None:
	# The head of a TLS record that announces more than ever comes.
	behaviour = sends_for_ever(b"\x16\x03\x03\x40\x00\x02", b"\x00", 0.1)
	with HostileServer(behaviour, reads=False) as server:
		started = time.monotonic()
		ended = deliver(
			server.url.replace("http", "https"),
			SNAPSHOT,
			attempt_seconds=0.5,
			deadline_seconds=10,
			max_attempts=1,
		)
		assert time.monotonic() - started < 1.5
	assert ended.error.startswith("no answer within 0.5 s")
	assert not ended.snapshot_taken


def test_a_bundle_that_is_not_there_is_an_error_and_not_no_verification(
	bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
	with HostileServer(answer(200), tls=tls_context(trustme.CA().issue_cert("127.0.0.1"))) as server:
		ended = push_now(aim(bench, server.url))
	assert ended.outcome == "failed" and "/nowhere/ca.pem" in ended.error
	assert server.connections == 0


def test_netrc_does_not_replace_the_bearer(
	authority: trustme.CA,
	trusted: None,
	plane_example: None,
	bench: Path,
	tmp_path: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	netrc = tmp_path / "netrc"
	netrc.write_text(
		"machine plane.example login thief password stolen\ndefault login thief password stolen\n"
	)
	netrc.chmod(0o600)
	monkeypatch.setenv("NETRC", str(netrc))
	with HostileServer(answer(200), tls=tls_context(authority.issue_cert("plane.example"))) as server:
		ended = push_now(aim(bench, f"https://plane.example:{server.port}", timeout=2))
	assert ended.outcome == "delivered", ended.error
	assert f"Authorization: Bearer {KEY}".encode() in server.requests[0]
	assert b"Basic" not in server.requests[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_gets_what_is_meant_for_loopback(
	host: str, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	with HostileServer(answer(200)) as proxy, HostileServer(answer(200)) as server:
		for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
			monkeypatch.setenv(name, proxy.url)
		ended = push_now(aim(bench, f"http://{host}:{server.port}"))
		assert ended.outcome == "delivered"
		assert (proxy.connections, server.connections) == (0, 1)


def test_a_proxy_from_the_environment_sees_neither_the_key_nor_the_payload(
	bench: Path, plane_example: None, monkeypatch: pytest.MonkeyPatch
) -> None:
	with HostileServer(answer(502, b"no way")) as proxy:
		monkeypatch.setenv("HTTPS_PROXY", f"http://me:proxy-password@127.0.0.1:{proxy.port}")
		ended = push_now(aim(bench, "https://plane.example"))
	assert ended.outcome == "failed" and ended.attempts == 3
	assert all(request.startswith(b"CONNECT plane.example:443 HTTP/1.") for request in proxy.requests)
	assert not leaked(b"".join(proxy.requests).decode())
	assert "proxy-password" not in ended.error


# Python's ssl forgets to close a connection that was reset before its handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_proxy_that_drips_ends_with_the_attempt(
	plane_example: None, monkeypatch: pytest.MonkeyPatch
) -> None:
	drip = sends_for_ever(b"HTTP/1.1 200 Connection established\r\nX: ", b"y", 0.1)
	with HostileServer(drip) as proxy:
		monkeypatch.setenv("HTTPS_PROXY", proxy.url)
		started = time.monotonic()
		ended = deliver(
			"https://plane.example", SNAPSHOT, attempt_seconds=0.5, deadline_seconds=10, max_attempts=1
		)
		assert time.monotonic() - started < 1.5
	gc.collect()
	assert ended.error.startswith("no answer within 0.5 s")
	assert not ended.snapshot_taken


def test_cookies_are_not_kept_from_one_attempt_to_the_next() -> None:
	with HostileServer(answer(503, b"", "Set-Cookie: a=b"), answer(200)) as server:
		deliver(server.url)
	assert b"ookie" not in server.requests[1]


# --- what cannot be interrupted, and what interrupts -----------------------------------------------

SLOW_RESOLVER = """
import socket, sys, time
from prego_metrics.agent.api_key import Secret
from prego_metrics.agent.control_plane import send
from prego_metrics.agent.payload import Payload
resolve = socket.getaddrinfo
def hanging(host, *arguments, **options):
	time.sleep(1.5)
	return resolve("127.0.0.1", *arguments, **options)
socket.getaddrinfo = hanging
started = time.monotonic()
ended = send("http://plane.example:" + sys.argv[1], Secret(sys.argv[2], "here"), Payload("node-1", 3),
	attempt_seconds=10, deadline_seconds=0.5)
print(ended.outcome, ended.error, round(time.monotonic() - started, 1), sep="|", flush=True)
time.sleep(2.5)
"""


def test_a_resolver_that_hangs_is_left_at_the_deadline_and_nothing_is_sent_after_it() -> None:
	with HostileServer(answer(200)) as server:
		done = subprocess.run(
			[sys.executable, "-c", SLOW_RESOLVER, str(server.port), KEY],
			capture_output=True,
			text=True,
			timeout=30,
		)
	outcome, error, seconds = done.stdout.strip().split("|")
	assert (outcome, error) == ("failed", "no answer within the deadline of 0.5 s")
	assert float(seconds) <= 0.8
	assert server.requests == []
	assert done.stderr == ""


DEAD_RESOLVER = """
import socket, sys, time
socket.getaddrinfo = lambda *arguments, **options: time.sleep(20)
sys.argv[0] = "prego-metrics"
from prego_metrics.agent.__main__ import main
main()
"""


def test_the_process_ends_though_its_resolver_hangs(bench: Path) -> None:
	aim(bench, "https://plane.example", timeout=10)
	started = time.monotonic()
	done = subprocess.run(
		[sys.executable, "-c", DEAD_RESOLVER, "push", "--bench", str(bench)],
		env={"PATH": "/usr/bin:/bin", **ENVIRON},
		capture_output=True,
		text=True,
		timeout=30,
	)
	assert time.monotonic() - started < DEADLINE_SECONDS + 3
	assert done.returncode == 1
	assert "\nFailed: no answer within the deadline of " in done.stderr
	assert state_of(bench).last.outcome == "failed"
	assert not leaked(done.stdout + done.stderr + kept(bench))


class JobTimeout(Exception):
	"""What RQ raises from its signal handler."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[float, type[BaseException]], None]]:
	"""`interrupt(seconds, kind)` raises an exception from a signal handler after some time."""

	def arm(seconds: float, kind: type[BaseException]) -> None:
		def raise_it(*_: object) -> None:
			raise kind("time is over")

		signal.signal(signal.SIGALRM, raise_it)
		signal.setitimer(signal.ITIMER_REAL, seconds)

	before = signal.getsignal(signal.SIGALRM)
	yield arm
	signal.setitimer(signal.ITIMER_REAL, 0)
	signal.signal(signal.SIGALRM, before)


def shown_with_locals(error: BaseException) -> str:
	"""What Frappe's Error Log and the like make of an exception."""
	whole = traceback.TracebackException.from_exception(error, capture_locals=True)
	return "".join(whole.format())


# How a server behaves, and after how long at most it would have got another request.
INTERRUPTED = {
	"silence": ((Exchange.wait,), 0.3),
	"a pause between attempts": ((answer(429, b"", "Retry-After: 1"), answer(200)), 0.9),
	"a dripping header": ((HANGING["a dripping header"],), 0.3),
}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, JobTimeout])
@pytest.mark.parametrize(("behaviours", "seconds"), INTERRUPTED.values(), ids=INTERRUPTED.keys())
def test_an_interruption_passes_through_without_the_key_and_nothing_is_sent_after_it(
	behaviours: tuple[Behaviour, ...],
	seconds: float,
	kind: type[BaseException],
	bench: Path,
	interrupt: Callable[[float, type[BaseException]], None],
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setenv("INTERNAL_API_KEY", KEY)
	with HostileServer(*behaviours) as server:
		opened = open_bench(str(aim(bench, server.url, timeout=3)))
		interrupt(0.4, kind)
		with pytest.raises(kind) as caught:
			push(opened, Request())
		assert caught.value.__context__ is None and caught.value.__cause__ is None
		requests = len(server.requests)
		assert requests == 1
		time.sleep(seconds)
		assert len(server.requests) == requests
		shown = shown_with_locals(caught.value)
	assert "within_deadline" in shown
	assert not leaked(shown)
	assert state_of(bench).unfinished


def test_an_unforeseen_exception_inside_is_told_by_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
	def broken(*_: object, **__: object) -> None:
		raise ZeroDivisionError(KEY)

	monkeypatch.setattr(socket, "getaddrinfo", broken)
	ended = deliver("http://127.0.0.1:1")
	assert (ended.outcome, ended.error) == ("failed", "unexpected ZeroDivisionError while sending")


def test_what_carries_the_key_does_not_show_it() -> None:
	from prego_metrics.agent.exchange import Answer, Bearer, Client

	secret = Secret(KEY, "a test")
	client = Client("http://127.0.0.1:1", secret)
	assert not leaked(repr([secret, Bearer(secret), client, vars(client), Answer(401, {}, KEY)]))


def test_a_result_is_json_without_surprises() -> None:
	ended = Result("failed", 0.0, error="x")
	assert json.loads(json.dumps(ended.as_dict()))["at"] == "1970-01-01T00:00:00Z"
	assert textwrap.dedent(ended.as_dict()["error"]) == "x"
