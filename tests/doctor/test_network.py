"""The doctor on the way to the control plane: proxies, names, certificates."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.doctor import network as checks_network
from prego_metrics.doctor.check import Check
from prego_metrics.doctor.runner import examine

Write = Callable[..., Path]
FAR = "https://control-plane.invalid"


def judge(bench: Path, name: str, *, online: bool = True) -> Check:
	(check,) = examine(open_bench(str(bench)), {}, online=online, only=[name])
	assert bool(check.action) == (check.state in ("warn", "fail")), check
	return check


@pytest.fixture
def aim(bench_folder: Path, settings: Write) -> Callable[..., Path]:
	def write(url: str, **values: object) -> Path:
		settings(bench_folder, **{"node_id": "node-1", "control_plane_url": url, "timeout": 2, **values})
		return bench_folder

	return write


# --- proxies -----------------------------------------------------------------------------------------


def test_the_proxy_that_would_be_used_is_named_without_its_password(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://user:secret-987654321@proxy.example:3128")
	check = judge(aim(FAR), "proxy")
	assert check.state == "pass" and check.seen.startswith("http://proxy.example:3128, ")
	assert "987654321" not in check.seen


def test_a_host_that_no_proxy_names_is_reached_directly(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
	monkeypatch.setenv("NO_PROXY", ".invalid")
	assert judge(aim(FAR), "proxy").seen == "none is set in this environment"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:1"])
def test_no_proxy_is_ever_used_for_loopback(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
	for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
		monkeypatch.setenv(name, "http://proxy.example:3128")
	assert judge(aim(url), "proxy").seen == "none, as always for loopback"


def test_a_proxy_that_is_no_url_is_a_failure(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://[half")
	assert judge(aim(FAR), "proxy").state == "fail"


# --- names -------------------------------------------------------------------------------------------


def test_a_name_that_cannot_be_resolved_is_a_failure(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
	def refuse(*_: object, **__: object) -> object:
		raise socket.gaierror(-2, "Name or service not known")

	monkeypatch.setattr(socket, "getaddrinfo", refuse)
	check = judge(aim(FAR), "dns")
	assert (check.state, check.seen) == ("fail", "control-plane.invalid: Name or service not known")


def test_a_resolver_that_hangs_does_not_hold_the_doctor_up(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
	over = threading.Event()
	monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20))
	began = time.monotonic()
	check = judge(aim(FAR, timeout=0.3), "dns")
	over.set()
	assert (check.state, check.seen) == ("fail", "control-plane.invalid: no answer within 0.3 s")
	assert time.monotonic() - began < 3


def test_a_name_is_shown_with_its_addresses(aim: Callable[..., Path]) -> None:
	check = judge(aim("https://localhost"), "dns")
	assert check.state == "pass" and ("127.0.0.1" in check.seen or "::1" in check.seen)


@pytest.mark.parametrize("name", ["dns", "tls"])
def test_offline_asks_nobody(aim: Callable[..., Path], name: str) -> None:
	assert judge(aim(FAR), name, online=False).seen == "not asked (--offline)"


# --- certificates ------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
	made = trustme.CA()
	made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
	return made


@pytest.fixture
def serve() -> Iterator[Callable[[trustme.LeafCert], str]]:
	"""`serve(certificate)` returns the URL of a server that shakes hands with that certificate."""
	listeners: list[socket.socket] = []

	def start(certificate: trustme.LeafCert) -> str:
		context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
		certificate.configure_cert(context)
		listener = socket.create_server(("127.0.0.1", 0))
		listeners.append(listener)

		def accept() -> None:
			while True:
				try:
					plain, _ = listener.accept()
				except OSError:
					return
				try:
					context.wrap_socket(plain, server_side=True).close()
				except OSError:
					plain.close()

		threading.Thread(target=accept, daemon=True).start()
		return f"https://localhost:{listener.getsockname()[1]}"

	yield start
	for listener in listeners:
		listener.close()


def in_days(days: float) -> datetime.datetime:
	return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)


def test_a_trusted_certificate_passes_with_its_days(
	aim: Callable[..., Path], authority: trustme.CA, serve: Callable[..., str]
) -> None:
	check = judge(aim(serve(authority.issue_cert("localhost", not_after=in_days(40.5)))), "tls")
	assert (check.state, check.seen) == ("pass", "the certificate is trusted, and expires in 40 days")


def test_a_certificate_that_soon_expires_is_a_warning(
	aim: Callable[..., Path], authority: trustme.CA, serve: Callable[..., str]
) -> None:
	check = judge(aim(serve(authority.issue_cert("localhost", not_after=in_days(3.2)))), "tls")
	assert (check.state, "expires in 3 days" in check.seen) == ("warn", True)


def test_a_certificate_that_expired_or_is_anothers_is_a_failure(
	aim: Callable[..., Path], authority: trustme.CA, serve: Callable[..., str]
) -> None:
	expired = authority.issue_cert("localhost", not_before=in_days(-9), not_after=in_days(-1))
	check = judge(aim(serve(expired)), "tls")
	assert check.state == "fail" and "expired" in check.seen
	check = judge(aim(serve(authority.issue_cert("elsewhere.example"))), "tls")
	assert check.state == "fail" and "not to be trusted" in check.seen
	check = judge(aim(serve(trustme.CA().issue_cert("localhost"))), "tls")
	assert check.state == "fail" and "REQUESTS_CA_BUNDLE" in check.action


def test_a_server_without_tls_or_without_a_word_is_a_failure(aim: Callable[..., Path]) -> None:
	with socket.create_server(("127.0.0.1", 0)) as silent:
		check = judge(aim(f"https://localhost:{silent.getsockname()[1]}", timeout=0.5), "tls")
	assert check.state == "fail" and "no answer within 0.5 s" in check.seen
	assert "no connection" in judge(aim("https://127.0.0.1:9"), "tls").seen


def test_http_on_loopback_has_no_certificate(aim: Callable[..., Path]) -> None:
	assert judge(aim("http://127.0.0.1:9"), "tls").state == "skip"


def test_through_a_proxy_the_push_itself_verifies(
	aim: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
	assert judge(aim(FAR), "tls").state == "skip"
	assert judge(aim(FAR), "dns").seen == "127.0.0.1 is an address"
	assert checks_network.proxy_of(FAR) == "http://127.0.0.1:9"
