"""One request and its answer: what is read of it, over which connections, and within which time."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests
import urllib3
from delivering import drips, sends
from hostile_server import Exchange, HostileServer, answer, head

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.redaction import WITHHELD, Secret
from prego_metrics.agent.http.client import Answer, Client, NoAnswer

SECONDS = 5.0


def answers_twice(exchange: Exchange) -> None:
	answer(200, b"one")(exchange)
	exchange.request = b""
	exchange.read_request()
	answer(200, b"two")(exchange)


def answers_once_and_hangs(exchange: Exchange) -> None:
	answer(200, b"one")(exchange)
	exchange.wait()


@pytest.fixture
def kept() -> Iterator[list[Client]]:
	clients: list[Client] = []
	yield clients
	for client in clients:
		client.close()


def body_of(reply: Answer | NoAnswer) -> str:
	assert isinstance(reply, Answer), reply
	return reply.body


@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 2)])
def test_connections_are_used_again_if_asked(kept: list[Client], keep_alive: bool, connections: int) -> None:
	behaviours = [answers_twice] if keep_alive else [answer(200, b"one"), answer(200, b"two")]
	with HostileServer(*behaviours) as server:
		client = Client(server.url, keep_alive=keep_alive)
		kept.append(client)
		assert [body_of(client.request("GET", "/", SECONDS)) for _ in range(2)] == ["one", "two"]
	assert server.connections == connections


def test_a_kept_connection_is_cut_in_time_too_and_the_request_may_have_arrived(kept: list[Client]) -> None:
	with HostileServer(answers_once_and_hangs) as server:
		client = Client(server.url, keep_alive=True)
		kept.append(client)
		assert body_of(client.request("GET", "/", SECONDS)) == "one"
		began = time.monotonic()
		reply = client.request("POST", "/", 0.3, b"{}")
		assert time.monotonic() - began < 1.5
	assert isinstance(reply, NoAnswer)
	assert (reply.reason.code, reply.unclear, server.connections) == ("no_answer", True, 1)


def test_of_a_success_to_a_post_4_kib_are_read_for_a_second() -> None:
	dripping = head(200, "Content-Length: 900")
	with HostileServer(
		answer(200, b"x" * 5000),
		lambda exchange: (exchange.send(dripping), drips(b"y" * 900, 0.05)(exchange)),
	) as server:
		assert len(body_of(Client(server.url).request("POST", "/", SECONDS))) == 4096
		began = time.monotonic()
		assert set(body_of(Client(server.url).request("POST", "/", SECONDS))) == {"y"}
		assert 0.9 < time.monotonic() - began < 2


@pytest.mark.parametrize(
	("method", "status", "length"),
	[
		("POST", 200, 4096),
		("POST", 299, 4096),
		("POST", 300, 65_536),
		("POST", 400, 65_536),
		("GET", 200, 65_536),
	],
)
def test_only_of_a_success_to_a_post_so_little_is_read_and_64_kib_of_anything_else(
	method: str, status: int, length: int
) -> None:
	with HostileServer(answer(status, b"x" * 70_000)) as server:
		reply = Client(server.url).request(method, "/", SECONDS)
	assert isinstance(reply, Answer) and (reply.status_code, len(reply.body)) == (status, length)
	assert reply.broken is not None


def test_of_an_answer_that_came_late_the_body_has_half_of_what_is_left() -> None:
	came: list[float] = []

	def behave(exchange: Exchange) -> None:
		exchange.closing.wait(1.5)
		came.append(time.monotonic())
		exchange.send(head(200, "Content-Length: 900"))
		drips(b"y" * 900, 0.02)(exchange)

	with HostileServer(behave) as server:
		ends = time.monotonic() + 3.0
		reply = Client(server.url).request("POST", "/", 3.0)
	assert isinstance(reply, Answer) and reply.broken and reply.broken.code == "no_answer"
	assert 0.4 < float(str(reply.broken.params["seconds"])) / (ends - came[0]) <= 0.51


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["nothing", "half a header"])
def test_an_answer_that_does_not_come_may_follow_a_request_that_arrived(start: bytes) -> None:
	with HostileServer(lambda exchange: (exchange.send(start), exchange.wait())) as server:
		url = server.url
		reply = Client(url).request("POST", "/", 0.4)
	assert isinstance(reply, NoAnswer)
	assert (reply.reason.code, reply.unclear) == ("no_answer", True)
	assert reply.reason.params == {"url": url, "seconds": 0.4}


@pytest.mark.parametrize("deadlines", [(0.3,), (0.3, None), (60.0, 0.3)])
def test_a_get_ends_by_its_deadline_or_else_by_its_time(deadlines: tuple[float, ...]) -> None:
	with HostileServer(Exchange.wait) as server:
		began = time.monotonic()
		reply = Client(server.url).get("/", *deadlines)
		assert 0.25 < time.monotonic() - began < 10
	assert isinstance(reply, NoAnswer)
	assert (reply.reason.code, reply.reason.params["seconds"], reply.unclear) == ("no_answer", 0.3, True)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
	("content", "limits", "body", "code"),
	[
		(b"Content-Length: 5\r\n\r\nwhole", {}, "whole", ""),
		(b"Content-Length: 9\r\n\r\nhalf", {}, "half", "no_connection"),
		(b"Content-Length: 5\r\n\r\nwhole", {"body_limit_bytes": 5}, "whole", ""),
		(b"Content-Length: 5\r\n\r\nwhole", {"body_limit_bytes": 4}, "whol", "no_connection"),
	],
	ids=["whole", "broken", "at the limit", "above the limit"],
)
def test_an_answer_says_whether_its_body_is_whole(
	status: int, content: bytes, limits: dict[str, int], body: str, code: str
) -> None:
	start = head(status).removesuffix(b"\r\n")
	with HostileServer(sends(start + content)) as server:
		reply = Client(server.url).request("GET", "/", SECONDS, **limits)
	assert isinstance(reply, Answer)
	assert (reply.status_code, reply.body) == (status, body)
	assert (reply.broken.code if reply.broken else "") == code


def test_a_body_that_drips_is_cut_and_said_to_be() -> None:
	content = head(200).removesuffix(b"\r\n") + b"Content-Length: 900\r\n\r\n"
	with HostileServer(
		lambda exchange: (exchange.send(content), drips(b"y" * 900, 0.05)(exchange))
	) as server:
		began = time.monotonic()
		reply = Client(server.url).request("GET", "/", SECONDS, body_seconds=1)
		assert time.monotonic() - began < 20
	assert isinstance(reply, Answer) and reply.broken is not None
	assert set(reply.body) == {"y"} and reply.broken.code == "no_answer"


def test_a_body_has_two_seconds_where_nothing_else_is_asked() -> None:
	def half(exchange: Exchange) -> None:
		exchange.send(head(400, "Content-Length: 9") + b"half")
		exchange.wait()

	with HostileServer(half) as server:
		reply = Client(server.url).request("GET", "/", SECONDS)
	assert isinstance(reply, Answer) and reply.broken and reply.body == "half"
	assert reply.broken.params["seconds"] == 2.0


@pytest.mark.parametrize("secret", [None, Secret("0aa1-a-secret-key", "a test")], ids=["none", "key"])
def test_the_reason_of_a_missing_answer_is_cut_at_200_characters(secret: Secret | None) -> None:
	with HostileServer(sends(b"x" * 400 + b"\r\n\r\n")) as server:
		reply = Client(server.url, secret).request("GET", "/", SECONDS)
	assert isinstance(reply, NoAnswer) and reply.reason.code == "no_connection"
	assert len(str(reply.reason.params["reason"])) == 200


@pytest.mark.parametrize(("status", "read_past"), [(100, True), (101, False), (102, True), (199, True)])
def test_an_informational_answer_is_read_past_but_for_another_protocol(status: int, read_past: bool) -> None:
	first = f"HTTP/1.1 {status} Wait\r\nX: y\r\n\r\n".encode()
	with HostileServer(sends(first * 2 + head(204))) as server:
		reply = Client(server.url).request("GET", "/", SECONDS)
	assert isinstance(reply, Answer) and reply.status_code == (204 if read_past else status)


@pytest.mark.parametrize(
	"sent",
	[
		b"HTTP/1.1 200",
		b"HTTP/1.1 200 OK\r\n",
		b"HTTP/1.1 200 OK\r\nContent-Type: text/h",
		b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
		b"HTTP/1.1 103 Wait\r\nX: y",
	],
)
def test_an_answer_whose_headers_break_off_is_none(sent: bytes) -> None:
	with HostileServer(sends(sent)) as server:
		reply = Client(server.url).request("POST", "/", SECONDS, b"{}")
	assert isinstance(reply, NoAnswer) and reply.unclear
	assert reply.reason.code == "no_connection"


def test_a_path_that_is_a_secret_is_requested_and_not_shown() -> None:
	path = Secret("/ping/0aa1-a-secret-path", "a test")
	with HostileServer(
		lambda exchange: exchange.send(exchange.request.split()[1] * 3 + b"\r\n\r\n")
	) as server:
		reply = Client(server.url).get(path, SECONDS)
	assert server.requests[0].startswith(b"GET /ping/0aa1-a-secret-path HTTP/1.1\r\n")
	assert isinstance(reply, NoAnswer) and reply.reason.params["reason"] == WITHHELD


@pytest.mark.parametrize("secret", [None, Secret("0aa1-a-secret-key", "a test")], ids=["none", "key"])
def test_a_coding_that_is_not_known_is_named_without_the_secret(secret: Secret | None) -> None:
	def behave(exchange: Exchange) -> None:
		answer(400, b"packed", f"Content-Encoding: {exchange.bearer or 'br'}" + ", x" * 60)(exchange)

	with HostileServer(behave) as server:
		reply = Client(server.url, secret).request("GET", "/", SECONDS)
	assert isinstance(reply, Answer) and reply.broken and reply.body == ""
	if secret:
		assert reply.broken.params == {"coding": WITHHELD}
	else:
		assert str(reply.broken.params["coding"]).startswith("br, x, x,")
		assert len(str(reply.broken.params["coding"])) == 80


@pytest.mark.parametrize(("unfolds_to", "is_whole"), [(65_536, True), (65_537, False)])
def test_a_compressed_body_is_whole_up_to_the_limit(unfolds_to: int, is_whole: bool) -> None:
	packed = gzip.compress(b"y" * unfolds_to)
	with HostileServer(answer(200, packed, "Content-Encoding: gzip")) as server:
		reply = Client(server.url).request("GET", "/", SECONDS)
	assert isinstance(reply, Answer) and len(reply.body) == 65_536
	assert (reply.broken is None) is is_whole
	if reply.broken:
		assert reply.broken.code == "no_connection"


def wrapped(cause: Exception) -> Exception:
	"""Wrap an error as requests and urllib3 do."""
	return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", cause))


def tls_error(reason: str) -> ssl.SSLError:
	error = ssl.SSLError(1, "[SSL] wrong version number")
	error.reason = reason
	return error


@pytest.mark.parametrize(
	("cause", "code", "reason"),
	[
		(TimeoutError("timed out"), "no_answer", None),
		(requests.ConnectTimeout("slow"), "no_answer", None),
		(urllib3.exceptions.TimeoutError("slow"), "no_answer", None),
		(ConnectionRefusedError(111, "Connection refused"), "no_connection", "Connection refused"),
		(TimeoutError(110, "Connection timed out"), "no_answer", None),
		(OSError("no number"), "no_connection", "no number"),
		(socket.gaierror(-2, "Name or service not known"), "name_unresolved", "Name or service not known"),
		(tls_error("WRONG_VERSION_NUMBER"), "tls_failed", "WRONG_VERSION_NUMBER"),
		(urllib3.exceptions.SSLError("hostname 'x'"), "tls_failed", "hostname 'x'"),
		(ssl.SSLError("made by Python"), "tls_failed", "made by Python"),
		(LookupError(), "no_connection", "LookupError"),
	],
)
def test_the_innermost_cause_is_named(cause: Exception, code: str, reason: str | None) -> None:
	for error in (cause, wrapped(cause)):
		found = Client("http://plane.example")._reason(error, 3.0, None)
		assert (found.code, found.params["url"]) == (code, "http://plane.example")
		assert found.params.get("seconds", 3.0) == 3.0
		assert found.params.get("reason") == reason


def test_what_is_wrong_behind_a_proxy_is_not_the_proxy_s(monkeypatch: pytest.MonkeyPatch) -> None:
	with HostileServer(sends(b"garbage\r\n\r\n"), answer(502)) as proxy:
		monkeypatch.setenv("http_proxy", proxy.url)
		monkeypatch.setenv("https_proxy", proxy.url)
		behind = Client("http://plane.example").request("GET", "/", SECONDS)
		itself = Client("https://plane.example").request("GET", "/", SECONDS)
	assert isinstance(behind, NoAnswer) and behind.reason.code == "no_connection"
	assert isinstance(itself, NoAnswer) and itself.reason.code == "proxy_failed"


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_large_is_no_fault_of_the_proxy(
	monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
	body = b"y" * 70_000
	behaviour = answer(200, gzip.compress(body), "Content-Encoding: gzip") if packed else answer(200, body)
	with HostileServer(behaviour) as proxy:
		monkeypatch.setenv("http_proxy", proxy.url)
		reply = Client("http://plane.example").request("GET", "/", SECONDS)
	assert proxy.connections == 1
	assert isinstance(reply, Answer) and reply.broken and reply.broken.code == "no_connection"
	assert reply.broken.params["reason"] == "the answer is larger than 65536 bytes"


@pytest.mark.parametrize(("times", "is_read"), [(1, True), (2, True), (3, False)])
def test_what_is_compressed_more_than_twice_is_not_read(times: int, is_read: bool) -> None:
	body = b"whole"
	for _ in range(times):
		body = gzip.compress(body)
	coding = ", ".join(["gzip"] * times)
	with HostileServer(answer(200, body, f"Content-Encoding: {coding}")) as server:
		reply = Client(server.url).request("GET", "/", SECONDS)
	assert isinstance(reply, Answer) and reply.body == ("whole" if is_read else "")
	assert is_read or reply.broken == coded("answer_compressed", coding=coding)


_GIVES_UP = """
import socket, sys, time
from prego_metrics.agent.http.client import Client
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
print(Client("http://plane.example").get("/", 60.0, 0.2).reason.code)
"""


def test_a_process_ends_while_a_resolver_hangs_that_it_gave_up_on() -> None:
	began = time.monotonic()
	result = subprocess.run([sys.executable, "-c", _GIVES_UP], capture_output=True, text=True, timeout=50)
	assert (result.stdout, result.stderr, result.returncode) == ("no_answer\n", "", 0)
	assert time.monotonic() - began < 30


@pytest.mark.parametrize(
	"proxy",
	[
		"http://u:{}@",
		"http://:{}@",
		"u:{}@",
		"http://{}@",
		"http://u:{}@127.0.0.1:99999",
		"http://u:{}",
		"http://u:{}/x@127.0.0.1:9",
		"http://u:x#{}@127.0.0.1:9",
		"http://{}@127.0.0.1:99999",
		"u:{}@127.0.0.1:9",
		"gopher://u:{}@127.0.0.1:9",
		"http://127.0.0.1:99999/?token={}",
	],
)
def test_a_proxy_that_is_no_url_is_named_without_its_password(
	monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", proxy.format("s3cr3t"))
	reply = Client("https://plane.example").request("GET", "/", 3)
	assert isinstance(reply, NoAnswer)
	assert reply.reason.code == "proxy_failed"
	assert reply.reason.params["reason"].code == "proxy_malformed"
	assert "s3cr3t" not in str(reply.reason)


@pytest.mark.parametrize("begins", [b"HTTP/1.1 407 ", b"HTTP/1.1 2000 ", b""])
def test_a_proxy_that_echoes_its_password_is_not_quoted(
	monkeypatch: pytest.MonkeyPatch, begins: bytes
) -> None:
	with HostileServer(
		lambda exchange: exchange.send(begins + b" ".join(exchange.request.split()) + b"\r\n\r\n")
	) as proxy:
		monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:s3cr%33t-Pass@"))
		reply = Client("https://plane.example", Secret("0aa1-a-secret-key", "a test")).request(
			"GET", "/", SECONDS
		)
	assert b"Basic dXNlcjpzM2NyM3QtUGFzcw==" in proxy.requests[0]
	assert isinstance(reply, NoAnswer) and reply.reason.params["reason"] == WITHHELD


@pytest.mark.parametrize("proxy", ["http://u:{}", "http://{}", "http://{}@", "{}", "http://{}:80", "u:{}@"])
def test_a_proxys_password_of_digits_without_a_host_is_not_shown(
	monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", proxy.format("90125551234"))
	reply = Client("https://plane.example").get("/", 3)
	assert isinstance(reply, NoAnswer) and reply.reason.code == "proxy_failed"
	assert "9012" not in str(reply.reason)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS5"])
def test_a_socks_proxy_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
	monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:s3cr3t@127.0.0.1:9")
	reply = Client("https://plane.example").request("GET", "/", 3)
	assert isinstance(reply, NoAnswer) and not reply.unclear
	assert reply.reason.code == "proxy_failed" and reply.reason.params["proxy"] == "127.0.0.1:9"
	assert reply.reason.params["reason"].code == "proxy_socks"
