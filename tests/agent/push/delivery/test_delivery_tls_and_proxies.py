"""Who gets the key: certificates, names, proxies, .netrc and cookies."""

from __future__ import annotations

import datetime
import gc
import os
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from delivering import (
	SNAPSHOT,
	deliver,
	sends,
	sends_for_ever,
)
from hostile_server import HostileServer, answer
from pushing import KEY, aim, leaked, push_now

from prego_metrics.agent.http.client import Answer, Client

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


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_tls_with_the_bundle_of_the_environment_delivers(
	variable: str, authority: trustme.CA, trusted: None, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	bundle = os.environ["REQUESTS_CA_BUNDLE"]
	monkeypatch.delenv("REQUESTS_CA_BUNDLE")
	monkeypatch.setenv(variable, bundle)
	with HostileServer(answer(200), tls=tls_context(authority.issue_cert("127.0.0.1"))) as server:
		result = push_now(aim(bench, server.url, timeout=2))
	assert result.outcome == "delivered", result.error


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
		result = push_now(aim(bench, server.url, timeout=1))
	assert (result.outcome, result.attempts) == ("failed", 3)
	assert result.error.code == "tls_failed"
	assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "plane.example"])
def test_without_a_bundle_in_the_environment_an_unknown_authority_gets_no_key(
	host: str,
	authority: trustme.CA,
	plane_example: None,
	bench: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
		monkeypatch.delenv(variable, raising=False)
	with HostileServer(answer(200), tls=tls_context(authority.issue_cert(host))) as server:
		result = push_now(aim(bench, server.url.replace("127.0.0.1", host), timeout=1))
	assert (result.outcome, result.attempts) == ("failed", 3)
	assert result.error.code == "tls_failed"
	assert (server.connections, server.requests) == (3, [])


def test_plain_http_on_a_tls_port_and_tls_on_a_plain_one_fail_without_the_key(
	authority: trustme.CA, trusted: None
) -> None:
	with HostileServer(answer(200), tls=tls_context(authority.issue_cert("127.0.0.1"))) as server:
		assert deliver(server.url.replace("https", "http")).outcome == "failed"
	with HostileServer(sends(b"HTTP/1.1 400 This port speaks HTTP\r\n\r\n"), reads=False) as server:
		result = deliver(server.url.replace("http", "https"), SNAPSHOT)
		assert (result.outcome, result.error.code) == ("failed", "tls_failed")
		assert not result.snapshot_taken


def test_a_handshake_that_drips_ends_with_the_attempt_and_takes_no_snapshot() -> None:
	# The head of a TLS record that announces more than ever comes.
	behaviour = sends_for_ever(b"\x16\x03\x03\x40\x00\x02", b"\x00", 0.1)
	with HostileServer(behaviour, reads=False) as server:
		started = time.monotonic()
		result = deliver(
			server.url.replace("http", "https"),
			SNAPSHOT,
			attempt_seconds=0.5,
			deadline_seconds=10,
			max_attempts=1,
		)
		assert time.monotonic() - started < 1.5
	assert (result.error.code, result.error.params["seconds"]) == ("no_answer", 0.5)
	assert not result.snapshot_taken


def test_a_bundle_that_is_not_there_is_an_error_and_not_no_verification(
	bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
	with HostileServer(answer(200), tls=tls_context(trustme.CA().issue_cert("127.0.0.1"))) as server:
		result = push_now(aim(bench, server.url))
	assert result.outcome == "failed" and "/nowhere/ca.pem" in result.error
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
		result = push_now(aim(bench, f"https://plane.example:{server.port}", timeout=2))
	assert result.outcome == "delivered", result.error
	assert f"Authorization: Bearer {KEY}".encode() in server.requests[0]
	assert b"Basic" not in server.requests[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_gets_what_is_meant_for_loopback(
	host: str, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	with HostileServer(answer(200)) as proxy, HostileServer(answer(200)) as server:
		for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
			monkeypatch.setenv(name, proxy.url)
		result = push_now(aim(bench, f"http://{host}:{server.port}"))
		assert result.outcome == "delivered"
		assert (proxy.connections, server.connections) == (0, 1)


def test_no_proxy_is_asked_for_what_is_on_the_link_itself(monkeypatch: pytest.MonkeyPatch) -> None:
	resolve = socket.getaddrinfo
	monkeypatch.setattr(
		socket, "getaddrinfo", lambda host, *rest, **options: resolve("127.0.0.1", *rest, **options)
	)
	with HostileServer(answer(200)) as proxy, HostileServer(answer(200)) as server:
		monkeypatch.setenv("http_proxy", proxy.url)
		assert isinstance(Client(f"http://169.254.169.254:{server.port}").get("/", 4), Answer)
		assert (proxy.connections, server.connections) == (0, 1)
		# Any other address is the proxy's.
		assert isinstance(Client(f"http://169.25.0.1:{server.port}").get("/", 4), Answer)
		assert (proxy.connections, server.connections) == (1, 1)


def test_a_proxy_from_the_environment_sees_neither_the_key_nor_the_payload(
	bench: Path, plane_example: None, monkeypatch: pytest.MonkeyPatch
) -> None:
	with HostileServer(answer(502, b"no way")) as proxy:
		monkeypatch.setenv("HTTPS_PROXY", f"http://me:proxy-password@127.0.0.1:{proxy.port}")
		result = push_now(aim(bench, "https://plane.example"))
	assert result.outcome == "failed" and result.attempts == 3
	assert all(request.startswith(b"CONNECT plane.example:443 HTTP/1.") for request in proxy.requests)
	assert not leaked(b"".join(proxy.requests).decode())
	assert "proxy-password" not in result.error


# Python's ssl forgets to close a connection that was reset before its handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_proxy_that_drips_ends_with_the_attempt(
	plane_example: None, monkeypatch: pytest.MonkeyPatch
) -> None:
	drip = sends_for_ever(b"HTTP/1.1 200 Connection established\r\nX: ", b"y", 0.1)
	with HostileServer(drip) as proxy:
		monkeypatch.setenv("HTTPS_PROXY", proxy.url)
		started = time.monotonic()
		result = deliver(
			"https://plane.example", SNAPSHOT, attempt_seconds=0.5, deadline_seconds=10, max_attempts=1
		)
		assert time.monotonic() - started < 1.5
	gc.collect()
	assert (result.error.code, result.error.params["seconds"]) == ("no_answer", 0.5)
	assert not result.snapshot_taken


def test_cookies_are_not_kept_from_one_attempt_to_the_next() -> None:
	with HostileServer(answer(503, b"", "Set-Cookie: a=b"), answer(200)) as server:
		deliver(server.url)
	assert b"ookie" not in server.requests[1]
