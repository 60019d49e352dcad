"""Whatever the other side answers, a push ends in time, says the right thing, and keeps the key to itself."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from delivering import (
	DEADLINE_SECONDS,
	drips,
	http_date,
	sends,
	sends_and_resets,
	sends_for_ever,
)
from hostile_server import Behaviour, Exchange, HostileServer, answer, echo, head
from pushing import KEY, aim, kept, leaked, push_now, state_of

from prego_metrics import __version__
from prego_metrics.agent.base.messages import code_of
from prego_metrics.cli.ui.push_result import print_result


@dataclass(frozen=True)
class Case:
	"""One kind of answer, and what a push must make of it."""

	name: str
	behaviours: tuple[Behaviour, ...]
	outcome: str
	status_code: int | None = None
	attempts: int = 1
	code: str | None = None
	says: str = ""
	settings: dict[str, object] = field(default_factory=dict)


def delivered(name: str, *behaviours: Behaviour, status: int = 200, **more: Any) -> Case:
	return Case(name, behaviours, "delivered", status, **more)


def refused(
	name: str, *behaviours: Behaviour, status: int, code: str = "payload_refused", **more: Any
) -> Case:
	return Case(name, behaviours, "refused", status, code=code, says=more.pop("says", str(status)), **more)


def failed(
	name: str,
	*behaviours: Behaviour,
	status: int | None = None,
	attempts: int = 3,
	code: str = "",
	**more: Any,
) -> Case:
	code = code or ("no_connection" if status is None else "server_error")
	return Case(name, behaviours, "failed", status, attempts, code, **more)


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
	delivered("200 that is no JSON", answer(200, b"OK")),
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
	refused("300", answer(300, b""), status=300, code="redirected"),
	refused("304", answer(304, b""), status=304, code="redirected"),
	refused("400", answer(400, b'{"error": "disk_pct is wrong"}'), status=400, says="disk_pct is wrong"),
	refused("401 echoing the key", echo(401, str), status=401, code="key_refused"),
	refused(
		"401 echoing it as JSON", echo(401, lambda key: json.dumps(key)[1:-1]), status=401, code="key_refused"
	),
	refused(
		"401 echoing it percent-encoded",
		echo(401, lambda key: quote(key, safe="")),
		status=401,
		code="key_refused",
	),
	refused(
		"403 echoing it in base64",
		echo(403, lambda key: base64.b64encode(key.encode()).decode()),
		status=403,
		code="key_refused",
	),
	refused(
		"403 echoing it, cut by a closed connection", echo(403, str, cut=20), status=403, code="key_refused"
	),
	refused(
		"400 echoing it across the cut of what is shown", answer(400, b"x" * 270 + KEY.encode()), status=400
	),
	refused("404", answer(404, b"no such node"), status=404, code="node_unknown", says="no such node"),
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
	failed("429", answer(429, b"slow down"), status=429, code="rate_limited", says="slow down"),
	failed(
		"429 with Retry-After in seconds", answer(429, b"", "Retry-After: 1"), status=429, code="rate_limited"
	),
	failed(
		"429 with Retry-After as a date",
		answer(429, b"", f"Retry-After: {http_date(1)}"),
		status=429,
		code="rate_limited",
	),
	failed(
		"429 with Retry-After beyond the deadline",
		answer(429, b"", "Retry-After: 3600"),
		status=429,
		code="rate_limited",
		attempts=1,
		says="asks to wait 3600 s",
	),
	failed(
		"503 with a date beyond the deadline",
		answer(503, b"", f"Retry-After: {http_date(7200)}"),
		status=503,
		attempts=1,
		says="longer than this push may take",
	),
	failed(
		"429 with garbage in Retry-After",
		answer(429, b"", "Retry-After: soon, \xb2"),
		status=429,
		code="rate_limited",
	),
	failed(
		"429 with a negative Retry-After",
		answer(429, b"", "Retry-After: -5"),
		status=429,
		code="rate_limited",
	),
	failed(
		"429 with absurdly many digits",
		answer(429, b"", f"Retry-After: {'9' * 5000}"),
		status=429,
		code="rate_limited",
		attempts=1,
		says="asks to wait",
	),
	failed("500", answer(500, b"oh no"), status=500, says="oh no"),
	failed("502", answer(502), status=502),
	failed("503", answer(503), status=503),
	failed("500 and a body that never ends", sends_for_ever(head(500), b"x" * 4096), status=500),
	failed("599", answer(599), status=599),
	failed("500 echoing the key", echo(500, str), status=500),
	failed("reset before the headers", Exchange.reset),
	failed("reset within the headers", sends_and_resets(b"HTTP/1.1 200 OK\r\nX-A: b")),
	failed("closed without a word", lambda exchange: None),
	failed("silence", Exchange.wait, code="no_answer", says="within 0.4 s"),
	failed(
		"a status line that drips", drips(b"HTTP/1.1 200 OK\r\n\r\n"), code="no_answer", says="within 0.4 s"
	),
	failed(
		"headers that drip",
		sends_for_ever(b"HTTP/1.1 200 OK\r\nX-Dripping: ", b"y", 0.05),
		code="no_answer",
		says="within 0.4 s",
	),
	failed("headers without end", sends_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-Header: y\r\n")),
	failed("one header without end", sends_for_ever(b"HTTP/1.1 200 OK\r\nX-Header: ", b"y" * 1024)),
	failed(
		"100 Continue without end",
		sends_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
		# Recent Pythons end it after 100 of them; the others when the time is over.
		code="no_connection" if hasattr(http.client, "_MAXINTERIMRESPONSES") else "no_answer",
	),
	failed("garbage", sends(b"\x16\x03\x01 SSH-2.0-OpenSSH\x1b[2J\r\n\r\n")),
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
		result = push_now(bench)
		seconds = time.monotonic() - started
	print_result(result)
	written = capfd.readouterr()

	assert (result.outcome, result.status_code, result.attempts) == (
		case.outcome,
		case.status_code,
		case.attempts,
	), result.error
	assert result.error_code == case.code
	assert result.exit_code == (0 if case.outcome == "delivered" else 1)
	assert case.says in (result.error or "")
	assert seconds < DEADLINE_SECONDS
	assert server.connections == case.attempts
	last = state_of(bench).last
	assert (last.outcome, code_of(last.error) or None) == (case.outcome, case.code)
	assert len(result.error or "") < 1000
	assert "Traceback" not in written.out + written.err
	assert all(character.isprintable() or character == "\n" for character in written.out + written.err)
	everything = [
		written.out,
		written.err,
		kept(bench),
		repr(result),
		json.dumps(result.as_dict()),
		caplog.text,
	]
	assert not leaked("\n".join(everything))


def test_the_key_was_really_sent_and_nothing_else_than_the_payload(bench: Path) -> None:
	with HostileServer(answer(200)) as server:
		result = push_now(aim(bench, server.url))
		(request,) = server.requests
	lines = request.decode().split("\r\n")
	headers = dict(line.lower().split(": ", 1) for line in lines[1 : lines.index("")])
	assert lines[0] == "POST /internal/server-metrics HTTP/1.1"
	assert f"Authorization: Bearer {KEY}" in lines
	assert headers["user-agent"] == f"prego_metrics/{__version__}"
	assert headers["x-prego-push-interval"] == "5"
	assert headers["accept-encoding"] == "identity"
	assert headers["content-type"] == "application/json"
	assert "cookie" not in headers
	assert json.loads(server.bodies[0]) == result.payload
	assert result.payload["tenant_count"] == 3
