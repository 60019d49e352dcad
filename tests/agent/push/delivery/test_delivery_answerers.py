"""Who answered: the control plane, what stands before it, or a proxy on the way."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Callable

import pytest
from delivering import deliver, sends, sends_for_ever
from hostile_server import Behaviour, Exchange, HostileServer, answer, head
from pushing import leaked

CHALLENGE = b"<html><head><title>Just a\n moment...</title></head><body>x</body></html>"
EDGE = "Server: cloudflare"
ACCESS = "Location: https://team.example/cdn-cgi/access/login/control-plane.example?kid=abc"

REFUSALS: dict[str, tuple[Behaviour, str]] = {
	"1010": (answer(403, b"error code: 1010", EDGE), "edge_refused"),
	"1020": (answer(403, b"error code: 1020\n", EDGE), "edge_refused"),
	"a challenge": (answer(403, b"", EDGE, "cf-mitigated: challenge"), "edge_refused"),
	"a challenge with 503": (answer(503, CHALLENGE, EDGE, "CF-Mitigated: challenge"), "edge_refused"),
	"a page with 403": (answer(403, CHALLENGE), "edge_refused"),
	"a page with 401": (answer(401, CHALLENGE), "edge_refused"),
	"a page with 400": (answer(400, CHALLENGE), "edge_refused"),
	"a page with 403, compressed": (
		answer(403, gzip.compress(CHALLENGE), "Content-Encoding: gzip"),
		"edge_refused",
	),
	"JSON of a Worker": (answer(403, b'{"error": "wrong key"}', EDGE), "key_refused"),
	"words of a Worker": (answer(401, b"Unauthorized", EDGE), "key_refused"),
	"no words of a Worker": (answer(403, b"", EDGE), "key_refused"),
	"a proxy's 407": (answer(407, b""), "proxy_refused"),
}


@pytest.mark.parametrize(("behaviour", "code"), REFUSALS.values(), ids=REFUSALS)
def test_only_the_control_plane_refuses_the_key(behaviour: Behaviour, code: str) -> None:
	with HostileServer(behaviour) as server:
		result = deliver(server.url)
	assert result.error is not None
	assert (result.outcome, result.error.code, result.attempts) == ("refused", code, 1)


@pytest.mark.parametrize(
	("location", "code", "place"),
	[
		(ACCESS, "login_required", "team.example"),
		("Location: https://x.cloudflareaccess.com", "login_required", "x.cloudflareaccess.com"),
		("Location: //sso.example/oauth2/start?rd=a", "login_required", "sso.example"),
		("Location: https://u:p@new.example/internal/server-metrics", "redirected", "new.example"),
		("Location: https://login.example/internal", "redirected", "login.example"),
		("Location: /v2/internal?token=abc", "redirected", "/v2/internal"),
		("Location: https://[", "redirected", ""),
		("X-None: 1", "redirected", ""),
	],
)
def test_a_redirect_is_named_with_where_it_leads(location: str, code: str, place: str) -> None:
	with HostileServer(answer(302, b"", location)) as server:
		result = deliver(server.url)
	assert result.error is not None and (result.outcome, result.error.code) == ("refused", code)
	params = result.error.params
	found = (
		params["host"]
		if code == "login_required"
		else getattr(params["answer"], "params", {}).get("place", "")
	)
	assert found == place


def test_the_body_of_a_redirect_is_read_within_the_limits_of_any_other() -> None:
	start = head(302, "Location: https://elsewhere.example/", "Content-Length: 99999999")
	with HostileServer(sends_for_ever(start, b"y" * 65536)) as server:
		assert deliver(server.url, attempt_seconds=2).status_code == 302


@pytest.mark.parametrize(
	("body", "coding", "words"),
	[
		(gzip.compress(b"no such node"), "gzip", "no such node"),
		(zlib.compress(b"no such node"), "deflate", "no such node"),
		(zlib.compress(b"no such node")[2:-4], "deflate", "no such node"),
		(gzip.compress(gzip.compress(b"no such node")), "gzip, GZIP", "no such node"),
		(gzip.compress(b"no such node" * 9)[:-12], "gzip", "no such node"),
		(b"anything", "br", "[compressed: br]"),
		(b"anything", "gzip", "[compressed: gzip]"),
		(b"no such node", "identity", "no such node"),
	],
	ids=["gzip", "zlib", "raw deflate", "twice", "cut off", "unknown", "broken", "identity"],
)
def test_a_compressed_answer_is_read_or_called_compressed(body: bytes, coding: str, words: str) -> None:
	with HostileServer(answer(400, body, f"Content-Encoding: {coding}")) as server:
		result = deliver(server.url)
	assert result.error is not None and result.error.params["answer"].params["words"].startswith(words)


def test_a_compressed_answer_is_read_within_the_same_limit() -> None:
	bomb = gzip.compress(b"y" * 50_000_000)
	failure = gzip.compress(b'{"ok": false}')
	with HostileServer(
		answer(200, bomb, "Content-Encoding: gzip"), answer(200, failure, "Content-Encoding: gzip")
	) as server:
		assert deliver(server.url, attempt_seconds=2).outcome == "delivered"
		result = deliver(server.url)
	assert result.error is not None and result.error.code == "reported_failure"


@pytest.mark.parametrize("informational", [100, 102, 103, 199])
@pytest.mark.parametrize(("status", "outcome"), [(200, "delivered"), (401, "refused")])
def test_informational_answers_are_read_past(informational: int, status: int, outcome: str) -> None:
	hints = f"HTTP/1.1 {informational} Wait\r\nLink: </a.css>; rel=preload\r\n\r\n".encode() * 3

	def behave(exchange: Exchange) -> None:
		exchange.send(hints)
		answer(status, b"")(exchange)

	with HostileServer(behave) as server:
		result = deliver(server.url, max_attempts=1)
	assert (result.outcome, result.status_code) == (outcome, status)


@pytest.mark.parametrize("informational", [101, 103])
def test_informational_answers_alone_are_no_delivery(informational: int) -> None:
	with HostileServer(sends(f"HTTP/1.1 {informational} Wait\r\n\r\n".encode())) as server:
		assert deliver(server.url, max_attempts=1).outcome != "delivered"


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
	return lambda url: monkeypatch.setenv("HTTPS_PROXY", url)


@pytest.mark.parametrize(
	("behaviour", "reason"),
	[
		(sends(head(407, "Proxy-Authenticate: Basic")), "407"),
		(answer(403, b"no"), "403"),
		(answer(502, b"<html>"), "502"),
	],
)
def test_a_proxy_that_refuses_is_named(
	behaviour: Behaviour, reason: str, through_proxy: Callable[[str], None]
) -> None:
	with HostileServer(behaviour) as proxy:
		port = proxy.port
		through_proxy(proxy.url.replace("http://", "http://me:a-proxy-password@"))
		result = deliver("https://plane.invalid", max_attempts=1)
	assert result.error is not None and (result.outcome, result.error.code) == ("failed", "proxy_failed")
	assert result.error.params["proxy"] == f"127.0.0.1:{port}" and reason in result.error.params["reason"]
	assert not leaked(repr(result), "a-proxy-password")


def test_a_proxy_that_is_down_or_unknown_is_named(through_proxy: Callable[[str], None]) -> None:
	with socket.create_server(("127.0.0.1", 0)) as listener:
		port = listener.getsockname()[1]
	for proxy in (f"127.0.0.1:{port}", "proxy.invalid:3128"):
		through_proxy(f"http://{proxy}")
		result = deliver("https://plane.invalid", max_attempts=1)
		assert result.error is not None
		assert (result.error.code, result.error.params["proxy"]) == ("proxy_failed", proxy)
