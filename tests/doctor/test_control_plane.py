"""The doctor asks the control plane, and compares its clock."""

from __future__ import annotations

import datetime
import email.utils
import json
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from examining import checks, judge
from hostile_server import Behaviour, HostileServer, answer, echo
from pushing import KEY as HOSTILE_KEY
from pushing import leaked

from prego_metrics.agent.http.proxies import Proxy, proxy_of
from prego_metrics.doctor.check import Check

# --- the control plane -------------------------------------------------------------------------------


def aimed(bench: Path, url: str, node_id: str = "node-1", **values: object) -> Path:
	path = bench / "sites" / "common_site_config.json"
	section = {"node_id": node_id, "control_plane_url": url, "timeout": 0.5, **values}
	path.write_text(json.dumps({"prego_metrics": section}))
	return bench


def asked(bench: Path, *behaviours: Behaviour, key: str = "a-key-of-16-chars") -> tuple[Check, list[bytes]]:
	"""Let a server behave as it likes, and return the check and the requests that it got."""
	with HostileServer(*behaviours, rows=True) as server:
		check = judge(aimed(bench, server.url), {"INTERNAL_API_KEY": key}, "control_plane")
	return check, server.requests


def test_a_wrong_key_is_a_failure_that_says_where_the_key_is_from(bench: Path, control_plane: Any) -> None:
	check = judge(bench, {"INTERNAL_API_KEY": "a-wrong-key-987654321"}, "control_plane")
	assert (check.state, check.as_dict()["code"]) == ("fail", "key_refused")
	assert "this key is from INTERNAL_API_KEY" in check.action
	assert "987654321" not in check.seen + check.action


def test_a_node_that_is_not_registered_exactly_so_is_a_failure(
	bench: Path, environ: dict[str, str], control_plane: Any
) -> None:
	check = judge(aimed(bench, control_plane.url, "Node-1"), environ, "control_plane")
	assert (check.state, check.as_dict()["code"]) == ("fail", "node_unknown")
	assert "Node-1" in check.action


@pytest.mark.parametrize("node_id", ["sg/1", "한국 1", "a?b#c", "%2e", "..x", " padded "])
def test_any_node_id_that_may_be_configured_can_be_asked_for(
	bench: Path, environ: dict[str, str], control_plane: Any, node_id: str
) -> None:
	control_plane.store.register_node(node_id, "sg", "10.0.0.1")
	assert judge(aimed(bench, control_plane.url, node_id), environ, "control_plane").state == "pass"


def test_an_unreachable_control_plane_is_a_failure(bench: Path, environ: dict[str, str]) -> None:
	check = judge(aimed(bench, "http://127.0.0.1:9"), environ, "control_plane")
	assert (check.state, check.code) == ("fail", "no_connection")
	assert check.seen == "no connection to http://127.0.0.1:9: Connection refused"


def test_a_control_plane_that_says_nothing_is_a_failure_in_time(bench: Path) -> None:
	started = time.monotonic()
	check, _ = asked(bench, lambda exchange: exchange.wait())
	assert (check.state, check.code) == ("fail", "no_answer")
	assert time.monotonic() - started < 5


def test_a_redirect_is_a_failure_and_is_not_followed(bench: Path) -> None:
	check, requests = asked(bench, answer(302, b"", "Location: https://elsewhere.example/\x1b[31m"))
	assert (check.state, check.as_dict()["code"]) == ("fail", "redirected")
	assert "https://elsewhere.example/\\x1b[31m" in check.action
	assert len(requests) == 1


@pytest.mark.parametrize(
	("body", "code"),
	[
		(b'{"ok": true}', "row_missing"),
		(b"<html>hello</html>", "not_the_api"),
		(b'{"ok": false, "node_id": "node-1"}', "reported_failure"),
		(b"", "row_missing"),
		(b'{"node": {"node_id": "node-10"}}', "other_node"),
		(b'"node-1"', "row_missing"),
		(b'{"node_id": ["node-1"]}', "row_missing"),
		(b"[" * 60_000, "row_missing"),
		(b"\xff\xfe", "row_missing"),
	],
	ids=lambda body: repr(body[:30]),
)
def test_a_200_that_does_not_hold_the_node_id_is_a_failure(bench: Path, body: bytes, code: str) -> None:
	check, _ = asked(bench, answer(200, body))
	assert (check.state, check.code) == ("fail", code)


def test_a_row_that_cannot_be_read_is_no_row_that_is_missing(bench: Path) -> None:
	check, _ = asked(bench, answer(200, b"\x0b\x02\x80", "Content-Encoding: br"))
	assert (check.state, check.code) == ("warn", "row_unchecked")


def test_a_200_that_holds_the_node_id_anywhere_is_believed(bench: Path) -> None:
	check, _ = asked(bench, answer(200, b'{"data": [{"x": 1}, {"row": {"node_id": "node-1"}}]}'))
	assert check.state == "pass"


def test_a_404_without_the_nodes_route_leaves_it_to_the_last_push(bench: Path) -> None:
	check, requests = asked(bench, answer(404, b"no such page"))
	assert check.state == "warn"
	assert "/internal/nodes," in check.seen and "`last_push`" in check.action
	assert [request.split(b" ")[1] for request in requests] == [b"/internal/nodes/node-1", b"/internal/nodes"]


def test_a_404_beside_a_list_of_nodes_is_a_node_that_is_not_registered(bench: Path) -> None:
	check, _ = asked(bench, answer(404, b"unknown"), answer(200, b"[]"))
	assert (check.state, check.as_dict()["code"]) == ("fail", "node_unknown")
	assert "unknown" in check.seen


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_a_push_would_try_again_is_a_control_plane_out_of_reach(bench: Path, status: int) -> None:
	check, _ = asked(bench, answer(status, b"maintenance"))
	assert check.state == "fail"
	assert check.as_dict()["code"] == ("rate_limited" if status == 429 else "server_error")


@pytest.mark.parametrize(
	("status", "state"), [(201, "fail"), (204, "fail"), (400, "warn"), (405, "warn"), (418, "warn")]
)
def test_any_other_2xx_is_a_failure_and_any_other_answer_a_warning(
	bench: Path, status: int, state: str
) -> None:
	check, _ = asked(bench, answer(status, b"" if status == 204 else b"hm"))
	assert check.state == state and f": {status}" in check.seen


def test_only_gets_are_ever_sent(bench: Path) -> None:
	for status in (200, 301, 401, 404, 405, 500):
		_, requests = asked(bench, answer(status))
		assert all(request.startswith(b"GET /internal/nodes") for request in requests)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 503])
def test_the_key_is_shown_nowhere_though_the_server_echoes_it(bench: Path, status: int) -> None:
	check, _ = asked(bench, echo(status, lambda key: key), key=HOSTILE_KEY)
	assert not leaked(json.dumps(check.as_dict(), ensure_ascii=False), HOSTILE_KEY)


def test_the_key_is_shown_nowhere_though_a_redirect_leads_to_it(bench: Path) -> None:
	check, _ = asked(bench, answer(302, b"", "Location: https://e.example/?key=a-key-of-16-chars"))
	assert check.state == "fail"
	assert "key-of-16" not in check.seen + check.action


def test_the_servers_words_are_cut_and_shown_not_obeyed(bench: Path) -> None:
	check, _ = asked(bench, answer(401, b"\x1b[2J\xe2\x80\xae\xff" + b"x" * 5000))
	assert "\\x1b[2J\\u202e\\xff" in check.seen
	assert len(check.seen) < 400


# --- the clock ---------------------------------------------------------------------------------------


def clock(bench: Path, *headers: str) -> Check:
	with HostileServer(answer(200, b"{}", *headers), rows=True) as server:
		return judge(aimed(bench, server.url), {"INTERNAL_API_KEY": "k"}, "clock")


@pytest.mark.parametrize("seconds", [-3600, -130, 130, 86400 * 400])
def test_a_clock_that_differs_from_the_control_planes_is_a_warning(bench: Path, seconds: float) -> None:
	check = clock(bench, "Date: " + email.utils.formatdate(time.time() - seconds, usegmt=True))
	assert check.state == "warn"
	assert abs(int(check.seen.split(" ")[0]) - seconds) <= 2
	assert check.seen.endswith(" s off the control plane's clock") and "NTP" in check.action


@pytest.mark.parametrize("seconds", [-100, 0, 100])
def test_a_clock_that_differs_a_little_passes(bench: Path, seconds: float) -> None:
	check = clock(bench, "Date: " + email.utils.formatdate(time.time() - seconds, usegmt=True))
	assert check.state == "pass"


@pytest.mark.parametrize("zone", ["-0000", ""])
def test_a_date_without_a_zone_is_utc_and_not_the_nodes_own(
	bench: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
	date = email.utils.formatdate(time.time(), usegmt=True).removesuffix("GMT") + zone
	monkeypatch.setenv("TZ", "Asia/Seoul")
	time.tzset()
	try:
		assert clock(bench, f"Date: {date}").state == "pass"
	finally:
		monkeypatch.undo()
		time.tzset()


@pytest.mark.parametrize("headers", [(), ("Date: yesterday",), ("Date: Mon, 99 Jan 2026 00:00:00 GMT",)])
def test_a_date_that_is_none_is_skipped(bench: Path, headers: tuple[str, ...]) -> None:
	assert clock(bench, *headers).state == "skip"


def test_without_an_answer_no_clock_and_no_certificate_is_judged(
	bench: Path, environ: dict[str, str]
) -> None:
	made = checks(aimed(bench, "https://127.0.0.1:9"), environ, online=True)
	assert [made[name].state for name in ("control_plane", "clock", "tls")] == ["fail", "skip", "skip"]


# --- the proxy ---------------------------------------------------------------------------------------


def test_an_answer_that_a_proxy_kept_away_names_the_proxy_without_its_password(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://user:secret-987654321@127.0.0.1:9")
	check = judge(aimed(bench, "https://control-plane.invalid"), environ, "control_plane")
	assert check.state == "fail"
	assert check.code == "proxy_failed" and "127.0.0.1:9" in check.action
	assert "987654321" not in check.seen + check.action


def test_a_host_that_no_proxy_names_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
	assert proxy_of("https://control-plane.invalid") == Proxy("proxy.example:3128")
	monkeypatch.setenv("NO_PROXY", ".invalid")
	assert proxy_of("https://control-plane.invalid") is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:1"])
def test_no_proxy_is_ever_used_for_loopback(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
	for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
		monkeypatch.setenv(name, "http://proxy.example:3128")
	assert proxy_of(url) is None


def test_a_proxy_that_is_no_url_is_a_failure(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setenv("HTTPS_PROXY", "http://[half")
	assert judge(aimed(bench, "https://control-plane.invalid"), environ, "control_plane").state == "fail"


def test_a_resolver_that_hangs_does_not_hold_the_doctor_up(
	bench: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
	over = threading.Event()
	monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20))
	began = time.monotonic()
	check = judge(aimed(bench, "https://control-plane.invalid", timeout=0.3), environ, "control_plane")
	over.set()
	assert check.state == "fail"
	assert time.monotonic() - began < 5


# --- the certificate ---------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
	made = trustme.CA()
	made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
	return made


def served(bench: Path, certificate: trustme.LeafCert) -> dict[str, Check]:
	"""Examine a node whose control plane has that certificate, and registers every node."""
	context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
	certificate.configure_cert(context)
	with HostileServer(answer(200, b'{"node_id": "node-1"}'), tls=context, rows=True) as server:
		aimed(bench, f"https://127.0.0.1:{server.port}", timeout=2)
		return checks(bench, {"INTERNAL_API_KEY": "k"}, online=True)


def in_days(days: float) -> datetime.datetime:
	return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)


def test_a_trusted_certificate_passes_with_its_days(bench: Path, authority: trustme.CA) -> None:
	made = served(bench, authority.issue_cert("127.0.0.1", not_after=in_days(40.5)))
	assert made["control_plane"].state == "pass"
	assert (made["tls"].state, made["tls"].seen) == (
		"pass",
		"the certificate is trusted and expires in 40 days",
	)


def test_authorities_may_lie_in_a_folder(
	bench: Path, tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
	folder = tmp_path / "authorities"
	folder.mkdir()
	(folder / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
	subprocess.run(["openssl", "rehash", str(folder)], check=True)
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))
	assert served(bench, authority.issue_cert("127.0.0.1"))["tls"].state == "pass"


def test_a_certificate_that_soon_expires_is_a_warning(bench: Path, authority: trustme.CA) -> None:
	made = served(bench, authority.issue_cert("127.0.0.1", not_after=in_days(3.2)))
	assert (made["tls"].state, "expires in 3 days" in made["tls"].seen) == ("warn", True)


@pytest.mark.parametrize("kind", ["expired", "of another host", "of an unknown authority"])
def test_a_certificate_that_is_not_to_be_trusted_is_a_failure_of_one_check(
	bench: Path, authority: trustme.CA, kind: str
) -> None:
	certificate = {
		"expired": lambda: authority.issue_cert("127.0.0.1", not_before=in_days(-9), not_after=in_days(-1)),
		"of another host": lambda: authority.issue_cert("elsewhere.example"),
		"of an unknown authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
	}[kind]()
	made = served(bench, certificate)
	assert (made["control_plane"].state, made["tls"].state) == ("fail", "skip")
	assert "certificate" in made["control_plane"].seen
	assert "REQUESTS_CA_BUNDLE" in made["control_plane"].action


def test_http_on_loopback_has_no_certificate(bench: Path, environ: dict[str, str]) -> None:
	assert judge(bench, environ, "tls").state == "skip"
