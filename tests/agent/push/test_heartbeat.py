"""The heartbeat follows a delivered push, without the bearer, and its URL is shown nowhere."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_server import Exchange, HostileServer, answer
from pushing import (
	ENVIRON,
	aim,
	folder_of,
	kept,
	leaked,
	push_now,
	scheduled,
	state_of,
)

from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.secret_urls import split_secret_url
from prego_metrics.agent.push.heartbeat import takes_failures
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.maintenance import OPERATOR, Maintenance, write_maintenance
from prego_metrics.sandbox.server import LocalControlPlane

# --- the heartbeat --------------------------------------------------------------------------------

BEAT = "/ping/0aa1-a-secret-path"


def test_a_heartbeat_follows_a_delivered_push_without_the_bearer(bench: Path) -> None:
	free: list[bool] = []

	def look(exchange: Exchange) -> None:
		with PushLock(str(bench / "sites")) as lock:
			free.append(lock.acquire())
		answer(200)(exchange)

	with HostileServer(look) as switch, HostileServer(answer(200)) as server:
		result = push_now(aim(bench, server.url, heartbeat_url=switch.url + BEAT))
	assert result.outcome == "delivered"
	(request,) = switch.requests
	assert request.startswith(f"GET {BEAT} HTTP/1.1\r\n".encode())
	assert b"uthorization" not in request and not leaked(request.decode())
	assert free == [True]


@pytest.mark.parametrize("status", [400, 503])
def test_no_heartbeat_follows_a_push_that_was_not_delivered(status: int, bench: Path) -> None:
	with HostileServer(answer(200)) as switch, HostileServer(answer(status)) as server:
		push_now(aim(bench, server.url, heartbeat_url=switch.url + BEAT))
		push_now(bench, INTERNAL_API_KEY="")
		assert switch.connections == 0


def test_a_tick_that_is_not_due_sends_no_heartbeat(bench: Path, control_plane: LocalControlPlane) -> None:
	with HostileServer(answer(200)) as switch:
		aim(bench, control_plane.url, heartbeat_url=switch.url + BEAT)
		push_now(bench, scheduled())
		push_now(bench, scheduled())
		assert switch.connections == 1


def echo_path(exchange: Exchange) -> None:
	exchange.send(b"z" * 180 + exchange.request.split(b" ")[1] + b"\r\n\r\n")


@pytest.mark.parametrize(
	("behaviour", "code", "status_code"),
	[
		(answer(404, BEAT.encode()), "answers", 404),
		(answer(302, b"", "Location: http://127.0.0.1:1/elsewhere"), "answers", 302),
		(answer(200, b'{"ok": false}'), "answers", 200),
		(Exchange.reset, "no_connection", None),
		(echo_path, "no_connection", None),
		(Exchange.wait, "no_answer", None),
	],
	ids=["404", "302", "200 that says it failed", "reset", "echo", "silence"],
)
@pytest.mark.parametrize("place", ["setting", "file"])
def test_a_heartbeat_that_fails_is_a_warning_without_its_url(
	place: str,
	behaviour: Callable[[Exchange], object],
	code: str,
	status_code: int | None,
	bench: Path,
	control_plane: LocalControlPlane,
	tmp_path: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setattr("prego_metrics.agent.push.heartbeat.LIMIT_SECONDS", 0.3)
	with HostileServer(behaviour) as switch:
		server_url = switch.url
		url = server_url + BEAT
		if place == "file":
			secret = tmp_path / "heartbeat"
			secret.write_text(url + "\n")
			secret.chmod(0o600)
			aim(bench, control_plane.url, heartbeat_url_file=str(secret))
		else:
			aim(bench, control_plane.url, heartbeat_url=url)
		result = push_now(bench)
	assert (result.outcome, result.exit_code) == ("delivered", 0)
	warning = result.warnings[-1]
	reason = warning.params["reason"]
	said = reason.params.get("status_code")
	assert (warning.code, reason.code) == ("heartbeat_failed", code)
	assert (said.params["status_code"] if isinstance(said, Message) else said) == status_code
	assert reason.params["url"] == server_url
	assert not leaked("\n".join([*result.warnings, kept(bench), repr(result)]), BEAT)


@pytest.mark.parametrize("suffix", ["", "/", "?id=0aa1", "/a?b=c"])
def test_a_heartbeat_url_is_requested_as_it_was_written(
	suffix: str, bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(200)) as switch:
		aim(bench, control_plane.url, heartbeat_url=switch.url.replace("http", "HTTP") + suffix)
		assert len(push_now(bench).warnings) == 1
	target = suffix if suffix.startswith("/") else "/" + suffix
	assert switch.requests[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())


class JobTimeout(Exception):
	"""What RQ raises from its signal handler."""


def test_an_interrupted_heartbeat_passes_on_without_its_url(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	def raise_it(*_: object) -> None:
		raise JobTimeout

	before = signal.signal(signal.SIGALRM, raise_it)
	try:
		with HostileServer(Exchange.wait) as switch:
			opened = open_bench(str(aim(bench, control_plane.url, heartbeat_url=switch.url + BEAT)))
			signal.setitimer(signal.ITIMER_REAL, 0.4)
			with pytest.raises(JobTimeout) as caught:
				push(opened, Request(), ENVIRON)
			inside = caught.value.with_traceback(caught.tb.tb_next)
			whole = traceback.TracebackException.from_exception(inside, capture_locals=True)
			shown = "".join(whole.format())
	finally:
		signal.setitimer(signal.ITIMER_REAL, 0)
		signal.signal(signal.SIGALRM, before)
	assert "in _ping" in shown
	assert not leaked(shown, BEAT) and not leaked(shown)
	assert state_of(bench).last.outcome == "delivered"


# --- a push that failed ------------------------------------------------------------------------------


def codes(result: Result) -> list[str]:
	"""The codes of a push's warnings; that the interval is short has none."""
	return [warning.code for warning in result.warnings if warning.code]


UUID = "/ping/8f0e3c5e-3b1a-4c1d-9d5b-0123456789ab"


@pytest.mark.parametrize(
	("path", "target"),
	[
		(UUID, f"{UUID}/fail"),
		(f"{UUID}/", f"{UUID}/fail"),
		(f"{UUID}?rid=1", f"{UUID}/fail?rid=1"),
		(UUID.upper(), f"{UUID.upper()}/fail"),
		(BEAT, None),
		(f"{UUID}/start", None),
		(f"/x?u={UUID}", None),
	],
)
def test_a_url_of_healthchecks_gets_the_code_of_a_failed_push_once(
	path: str, target: str | None, bench: Path
) -> None:
	with HostileServer(answer(200)) as switch, HostileServer(answer(400)) as server:
		result = push_now(aim(bench, server.url, heartbeat_url=switch.url + path))
	assert (result.outcome, codes(result)) == ("refused", [])
	requests = [request.partition(b"\r\n\r\n") for request in switch.requests]
	lines = [head.split(b"\r\n")[0].decode() for head, _, _ in requests]
	assert lines == ([] if target is None else [f"POST {target} HTTP/1.1"])
	assert [body for _, _, body in requests] == ([] if target is None else [b"payload_refused"])


@pytest.mark.parametrize(
	("url", "takes"),
	[
		("https://hc-ping.com/a-ping-key/a-slug", True),
		("https://HC-PING.com:443/x", True),
		("https://hc-ping.com.example.org/x", False),
		("https://nothc-ping.com/x", False),
		("https://kuma.example/api/push/abc?status=up", False),
	],
)
def test_healthchecks_is_known_by_its_host_or_by_a_uuid(url: str, takes: bool) -> None:
	assert takes_failures(*split_secret_url(Secret(url, "test"))) is takes


def test_a_push_that_was_not_sent_says_why_it_was_not(bench: Path) -> None:
	with HostileServer(answer(200)) as switch, HostileServer(answer(200)) as server:
		push_now(aim(bench, server.url, heartbeat_url=switch.url + UUID), INTERNAL_API_KEY="")
	assert [request.rpartition(b"\r\n")[2] for request in switch.requests] == [b"key_missing"]


def test_neither_a_run_that_is_not_due_nor_one_that_was_asked_to_wait_is_a_failure(bench: Path) -> None:
	busy = answer(503, b"", "Retry-After: 300")
	with HostileServer(answer(200)) as switch, HostileServer(answer(200), busy) as server:
		aim(bench, server.url, heartbeat_url=switch.url + UUID)
		assert push_now(bench).outcome == "delivered"
		assert push_now(bench).outcome == "failed"
		assert push_now(bench, scheduled()).outcome == "not_due"
	assert [request.split(b" ")[0] for request in switch.requests] == [b"GET"]


def test_what_fails_during_a_maintenance_is_held(bench: Path) -> None:
	with HostileServer(answer(200)) as switch, HostileServer(answer(400)) as server:
		aim(bench, server.url, heartbeat_url=switch.url + UUID)
		now = time.time()
		write_maintenance(folder_of(bench), Maintenance(OPERATOR, now, now + 60))
		push_now(bench)
		assert switch.connections == 0
		write_maintenance(folder_of(bench), Maintenance(OPERATOR, now, now))
		push_now(bench)
	assert switch.connections == 1


def test_a_failure_that_cannot_be_reported_is_a_warning_without_the_url(bench: Path) -> None:
	with HostileServer(answer(404, UUID.encode())) as switch, HostileServer(answer(400)) as server:
		result = push_now(aim(bench, server.url, heartbeat_url=switch.url + UUID))
	assert codes(result) == ["heartbeat_failed"]
	assert not leaked("\n".join([*result.warnings, kept(bench), repr(result)]), UUID)
