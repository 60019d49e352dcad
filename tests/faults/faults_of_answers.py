"""Faults of the answer: whoever answers is not the control plane, says that it failed, or never ends."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

from fault_injectors import (
	all_of,
	attempts,
	cut,
	echoes_key,
	gets,
	names,
	names_not,
	page,
	posts,
	preceded,
	raw,
	raw_for_ever,
	says,
	silence,
	zipped,
)
from fault_model import (
	ANSWERED,
	COMPLAINT,
	DELIVERED,
	FAILED,
	KEY_SAFE,
	NOT_DELIVERED,
	REFUSED,
	SILENCE,
	Check,
	Expect,
	Fault,
	Inject,
	Node,
	Run,
	doctor,
	row,
)
from hostile_server import Behaviour, answer, head

APP = b'<!DOCTYPE html><html><head><title>App</title></head><body><div id="root"></div></body></html>'
CHALLENGE = b"<html><head><title>Just a moment...</title></head></html>"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
EDGE = ("Server: cloudflare",)
FAILURE = json.dumps({"success": False, "errors": [{"code": 7003, "message": "no such node"}]}).encode()
NOT_THE_KEY = names_not("refuses the key")


def _redirect_to_a_stranger(status: int) -> Inject:
	def inject(node: Node) -> None:
		url = node.stranger().url
		node.posts[:] = [answer(status, b"{}", f"Location: {url}/internal/server-metrics")]

	return inject


def _strangers_saw_nothing(node: Node, run: Run) -> None:
	assert not node.strangers[0].requests


def _ago(seconds: float) -> str:
	return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


def _some_check_complains(run: Run) -> None:
	assert {"warn", "fail"} & {check["state"] for check in run.checks.values()}, run.checks


def _heartbeat_is_silent(node: Node) -> None:
	node.posts[:] = [page(200, APP, "text/html")]
	node.section["heartbeat_url"] = node.stranger().url + "/beat"


def _answered(
	name: str,
	behaviour: Behaviour,
	expect: Expect,
	part: str = "",
	check: Check | None = None,
	**fields: float,
) -> Fault:
	return Fault(name, SILENCE, posts(behaviour), expect, check=check, broken_by=part, **fields)


# A 2xx that is no delivery, and those that stay one.
_SUCCESSES = [
	_answered("200 with the app's index.html", page(200, APP, "text/html; charset=utf-8"), NOT_DELIVERED, ""),
	_answered("200 with HTML and no content type", page(200, APP, None), NOT_DELIVERED, "", slow=True),
	_answered("200 with HTML that is called JSON", page(200, APP), NOT_DELIVERED, ""),
	_answered(
		"200 of a captive portal",
		page(200, b"<HTML><TITLE>Login</TITLE>", "text/html"),
		NOT_DELIVERED,
		"",
		slow=True,
	),
	_answered("200 with success false", page(200, FAILURE), NOT_DELIVERED, "", names("no such node")),
	_answered("200 with ok false", says(200, ok=False), NOT_DELIVERED, "", slow=True),
	_answered(
		"201 with an error", says(201, error="node not found"), NOT_DELIVERED, "", names("node not found")
	),
	_answered("202 with a list of errors", says(202, errors=["D1 is down"]), NOT_DELIVERED, ""),
	_answered("200 that names another node", says(200, ok=True, node_id="eu-9"), NOT_DELIVERED, ""),
	_answered("200 with HTML, compressed", zipped(page, 200, APP, "text/html"), NOT_DELIVERED, ""),
	_answered(
		"200 with success false, compressed",
		zipped(page, 200, FAILURE, "application/json"),
		NOT_DELIVERED,
		"",
		slow=True,
	),
	_answered(
		"200 with success false after 3 KiB",
		page(200, b" " * 3000 + FAILURE),
		NOT_DELIVERED,
		"",
		slow=True,
	),
	_answered(
		"200 with success false, in chunks",
		raw(
			b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
			+ b"%x\r\n%s\r\n0\r\n\r\n" % (len(FAILURE), FAILURE)
		),
		NOT_DELIVERED,
		"",
		slow=True,
	),
	Fault(
		"200 with HTML, and a heartbeat",
		SILENCE,
		_heartbeat_is_silent,
		NOT_DELIVERED,
		check=_strangers_saw_nothing,
		broken_by="",
	),
	_answered("200 with ok true", says(200, ok=True), DELIVERED),
	_answered(
		"200 with an empty list of errors",
		says(200, success=True, errors=[], messages=[]),
		DELIVERED,
		slow=True,
	),
	_answered("200 with error null", says(200, error=None), DELIVERED, slow=True),
	_answered("200 with an empty body", page(200, b"", None), DELIVERED),
	_answered("204", page(204, b"", None), DELIVERED, slow=True),
	_answered("200 with a JSON list", page(200, b"[]"), DELIVERED, slow=True),
	_answered("200 with a body that never comes", raw(head(200, "Content-Length: 50")), DELIVERED, slow=True),
	_answered(
		"200 with a body that drips", raw_for_ever(head(200, "Content-Length: 9999"), b" ", 0.1), DELIVERED
	),
	_answered(
		"200 with a body cut by a reset",
		cut(head(200, "Content-Length: 50") + b'{"ok"'),
		DELIVERED,
		slow=True,
	),
	_answered(
		"200 with an endless body",
		raw_for_ever(head(200, "Content-Length: 99999999999"), b" " * 65536),
		DELIVERED,
		slow=True,
	),
	_answered(
		"200 with broken gzip",
		page(200, b"\x1f\x8b\x08broken", "application/json", "Content-Encoding: gzip"),
		DELIVERED,
		slow=True,
	),
	_answered(
		"200 with a gzip bomb", zipped(page, 200, b" " * 50_000_000, "application/json"), DELIVERED, limit=12
	),
	_answered("200 nested too deeply", page(200, b"[" * 4000), DELIVERED, slow=True),
]

# Whose row it is, is read back.
_READ_BACK = [
	Fault(
		"a manual push, and the row names another node",
		SILENCE,
		gets(says(200, node_id="eu-9")),
		COMPLAINT,
	),
	Fault(
		"the doctor reads another node's row",
		SILENCE,
		gets(says(200, node_id="eu-9")),
		COMPLAINT,
		doctor("control_plane"),
		broken_by="",
	),
	Fault(
		"the doctor reads index.html",
		SILENCE,
		gets(page(200, APP, "text/html")),
		COMPLAINT,
		doctor("control_plane"),
		slow=True,
	),
	Fault(
		"the doctor reads a row of three hours ago",
		SILENCE,
		lambda node: (
			node.deliver_once(),
			node.gets.append(row(updated_at=_ago(3 * 3600))),
			node.gets.pop(0),
		),
		ANSWERED,
		doctor("control_plane", "last_push"),
		check=lambda node, run: _some_check_complains(run),
	),
	Fault("the route to read a row back is missing", SILENCE, gets(page(404, b"{}")), DELIVERED, slow=True),
	Fault("the route to read a row back hangs", SILENCE, gets(silence), DELIVERED, slow=True),
]

# Refusals: by the control plane, and by whoever stands before it.
_REFUSALS = [
	_answered(
		"403 of an edge, code 1010",
		page(403, b"error code: 1010", "text/plain", *EDGE),
		NOT_DELIVERED,
		"",
		NOT_THE_KEY,
	),
	_answered(
		"403 of an edge, code 1020",
		page(403, b"error code: 1020", "text/plain", *EDGE),
		NOT_DELIVERED,
		"",
		NOT_THE_KEY,
		slow=True,
	),
	_answered(
		"403 with a challenge",
		page(403, CHALLENGE, "text/html", *EDGE, "cf-mitigated: challenge"),
		NOT_DELIVERED,
		"",
		NOT_THE_KEY,
	),
	_answered(
		"403 in HTML of a firewall",
		page(403, b"<html><title>Blocked</title></html>", "text/html"),
		NOT_DELIVERED,
		"",
		NOT_THE_KEY,
	),
	_answered(
		"503 with a page of HTML",
		page(503, CHALLENGE, "text/html"),
		FAILED,
		"",
		names_not("<html>"),
		slow=True,
	),
	_answered(
		"302 to the login of Access",
		page(
			302,
			b"",
			None,
			"Location: https://team.example/cdn-cgi/access/login/control-plane.example?kid=abc",
		),
		REFUSED,
		"",
		names("team.example"),
	),
	*(
		Fault(
			f"{status} to a stranger",
			KEY_SAFE,
			_redirect_to_a_stranger(status),
			REFUSED,
			check=_strangers_saw_nothing,
			slow=status != 307,
		)
		for status in (301, 307, 308)
	),
	_answered(
		"401", says(401, error="wrong key"), REFUSED, "", all_of(attempts(1), names("refuses the key"))
	),
	_answered("403 in JSON", says(403, error="wrong key"), REFUSED, "", names("refuses the key"), slow=True),
	*(
		_answered(str(status), says(status, error="no"), REFUSED, "", attempts(1), slow=True)
		for status in (400, 404, 405, 413, 422)
	),
	_answered("304", page(304, b"", None), REFUSED, slow=True),
	_answered("a status of 999", page(999), REFUSED, slow=True),
]

# Failures, which are tried again.
_FAILURES = [
	_answered("500 each time", says(500), FAILED, "", attempts(3), slow=True),
	_answered(
		"503 that asks to wait an hour",
		page(503, b"", None, "Retry-After: 3600"),
		FAILED,
		"",
		attempts(1),
		slow=True,
	),
	_answered(
		"429 that asks to wait for nonsense", page(429, b"", None, "Retry-After: soon"), FAILED, slow=True
	),
	_answered("408 each time", says(408), FAILED, "", attempts(3), slow=True),
	Fault(
		"502 once, then 200",
		SILENCE,
		posts(page(502, CHALLENGE, "text/html"), says(200)),
		DELIVERED,
		check=attempts(2),
	),
	Fault(
		"429 for a second, then 200",
		SILENCE,
		posts(page(429, b"", None, "Retry-After: 1"), says(200)),
		DELIVERED,
		slow=True,
	),
	Fault(
		"a reset once, then 200", SILENCE, posts(cut(b""), says(200)), DELIVERED, check=attempts(2), slow=True
	),
]

# What is not HTTP, or does not end.
_BROKEN = [
	_answered("silence", silence, FAILED),
	_answered("a reset", cut(b""), FAILED, slow=True),
	_answered("a reset within the headers", cut(b"HTTP/1.1 200 OK\r\nX: y"), FAILED, slow=True),
	_answered("closed without an answer", raw(b""), FAILED, slow=True),
	_answered("a banner of SSH", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), FAILED, slow=True),
	_answered("a status line without a status", raw(b"HTTP/1.1 OK\r\n\r\n"), FAILED, slow=True),
	_answered("bytes of nothing", raw(bytes(range(256)) * 20), FAILED, slow=True),
	_answered("headers that drip", raw_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.1), FAILED, slow=True),
	_answered("headers without end", raw_for_ever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), FAILED, slow=True),
	_answered(
		"100 Continue without end",
		raw_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
		FAILED,
		slow=True,
	),
	_answered(
		"100 Continue before a 200",
		preceded(b"HTTP/1.1 100 Continue\r\n\r\n", says(200)),
		DELIVERED,
		slow=True,
	),
	_answered("103 Early Hints before a 200", preceded(EARLY_HINTS, says(200)), DELIVERED, ""),
	_answered(
		"103 Early Hints before a 401",
		preceded(EARLY_HINTS, says(401)),
		REFUSED,
		"",
		names("refuses the key"),
		slow=True,
	),
	_answered(
		"102 Processing before a 500",
		preceded(b"HTTP/1.1 102 Processing\r\n\r\n", says(500)),
		FAILED,
		"",
		names("500"),
		slow=True,
	),
	_answered(
		"a length of less than nothing",
		raw(b"HTTP/1.1 500 No\r\nContent-Length: -5\r\n\r\n"),
		FAILED,
		slow=True,
	),
	_answered(
		"chunks of no length",
		raw(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
		FAILED,
		slow=True,
	),
]

# The key comes back, in notations of its own.
_ECHOES = [
	*(
		Fault(
			f"a 401 that repeats the key, {name}",
			KEY_SAFE,
			posts(echoes_key(401, notation)),
			REFUSED,
			slow=name != "plainly",
		)
		for name, notation in (
			("plainly", str),
			("in URL notation", lambda key: quote(key, safe="")),
			("in base64", lambda key: base64.b64encode(key.encode()).decode()),
			("as a JSON string", lambda key: json.dumps(key)[1:-1]),
		)
	),
	Fault(
		"a Location that repeats the key",
		KEY_SAFE,
		posts(echoes_key(302, str, "Location: https://x.example/?k={key}")),
		REFUSED,
	),
	Fault(
		"a reason phrase that repeats the key",
		KEY_SAFE,
		posts(lambda e: e.send(f"HTTP/1.1 500 {e.bearer}\r\n\r\n".encode())),
		FAILED,
		slow=True,
	),
	Fault(
		"a header line that is none repeats the key",
		KEY_SAFE,
		posts(lambda e: e.send(f"{e.bearer}\r\n\r\n".encode())),
		FAILED,
		slow=True,
	),
	Fault(
		"a 200 that fails and repeats the key",
		KEY_SAFE,
		posts(lambda e: says(200, error=f"wrong key {e.bearer}")(e)),
		NOT_DELIVERED,
		broken_by="",
	),
]

FAULTS = [*_SUCCESSES, *_READ_BACK, *_REFUSALS, *_FAILURES, *_BROKEN, *_ECHOES]
