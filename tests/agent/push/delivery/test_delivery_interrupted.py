"""What cannot be interrupted is left at the deadline, and what interrupts passes through without the key."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from delivering import (
	DEADLINE_SECONDS,
	HANGING,
	deliver,
)
from hostile_server import Behaviour, Exchange, HostileServer, answer
from pushing import ENVIRON, KEY, aim, kept, leaked, state_of

from prego_metrics.agent.base.messages import plain
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result

# --- what cannot be interrupted, and what interrupts -----------------------------------------------

SLOW_RESOLVER = """
import socket, sys, time
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.push.delivery import send
from prego_metrics.agent.push.payload import Payload
resolve = socket.getaddrinfo
def hanging(host, *arguments, **options):
	time.sleep(1.5)
	return resolve("127.0.0.1", *arguments, **options)
socket.getaddrinfo = hanging
started = time.monotonic()
ended = send("http://plane.example:" + sys.argv[1], Secret(sys.argv[2], "here"), Payload("node-1", None, None, None, 3),
	attempt_seconds=10, deadline_seconds=0.5)
print(ended.outcome, ended.error.code, ended.error.params["seconds"], round(time.monotonic() - started, 1), sep="|", flush=True)
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
	outcome, code, limit, seconds = done.stdout.strip().split("|")
	assert (outcome, code, limit) == ("failed", "no_answer", "0.5")
	assert float(seconds) <= 0.8
	assert server.requests == []
	assert done.stderr == ""


DEAD_RESOLVER = """
import socket, sys, time
socket.getaddrinfo = lambda *arguments, **options: time.sleep(20)
sys.argv[0] = "prego-metrics"
from prego_metrics.cli.__main__ import main
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
	last = state_of(bench).last
	assert (last.outcome, last.error.code) == ("failed", "no_answer")
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
	result = deliver("http://127.0.0.1:1")
	assert (result.outcome, result.error.code) == ("failed", "unexpected")
	assert result.error.params == {"error": "ZeroDivisionError"}


def test_what_carries_the_key_does_not_show_it() -> None:
	from prego_metrics.agent.http.client import Answer, Bearer, Client

	secret = Secret(KEY, "a test")
	client = Client("http://127.0.0.1:1", secret)
	assert not leaked(repr([secret, Bearer(secret), client, vars(client), Answer(401, {}, KEY)]))


def test_a_result_is_json_without_surprises() -> None:
	result = Result("failed", 0.0, error=plain("x"))
	assert json.loads(json.dumps(result.as_dict()))["at"] == "1970-01-01T00:00:00Z"
	assert textwrap.dedent(result.as_dict()["error"]) == "x"
