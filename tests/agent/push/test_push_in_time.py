"""A push ends within its deadline also where counting or the state does not, and names what was late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pushing import ENVIRON, aim, push_now, state_of

from prego_metrics.agent.base.errors import TooLate
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.time_limits import in_time
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors import tenant_count
from prego_metrics.agent.push.push import dry_run, push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.sandbox.server import LocalControlPlane

LATE = coded("state_late", folder="/sites", seconds=2)


@pytest.fixture
def hang() -> Iterator[threading.Event]:
	"""Something that is waited for until the test is over."""
	over = threading.Event()
	yield over
	over.set()


def hanging(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, hang: threading.Event) -> None:
	real = getattr(owner, name)

	def slow(*args: Any, **kwargs: Any) -> object:
		hang.wait(20)
		return real(*args, **kwargs)

	monkeypatch.setattr(owner, name, slow)


def test_a_count_that_does_not_end_is_named_and_recorded_and_nothing_is_sent(
	bench: Path, control_plane: LocalControlPlane, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
	hanging(monkeypatch, tenant_count, "count_tenants", hang)
	began = time.monotonic()
	result = push_now(aim(bench, control_plane.url, push_interval=5))
	# A second of the deadline's four is left for sending, and no request begins in less.
	assert 2.9 < time.monotonic() - began < 4
	assert (result.outcome, result.error_code) == ("not_sent", "count_late")
	last = state_of(bench).last
	assert last and last.error and (last.outcome, last.error.code) == ("not_sent", "count_late")
	assert control_plane.answers == []
	hang.set()
	time.sleep(0.3)
	assert control_plane.answers == []
	with PushLock(str(bench / "sites")) as lock:
		assert lock.acquire()


def test_a_state_that_cannot_be_written_in_time_does_not_stop_the_push(
	bench: Path, control_plane: LocalControlPlane, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
	hanging(monkeypatch, StateFolder, "write", hang)
	began = time.monotonic()
	result = push(open_bench(str(bench)), Request(), ENVIRON)
	assert time.monotonic() - began < 4
	assert (result.outcome, result.error_code, result.exit_code) == ("delivered", "state_late", 1)
	assert [answer.split()[0] for answer in control_plane.answers] == ["POST", "GET"]


FILES = [
	"prego_metrics.agent.state.store.StateFolder.read",
	"prego_metrics.agent.push.steps.load_config",
	"prego_metrics.agent.state.lock.PushLock.acquire",
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr("prego_metrics.agent.base.time_limits.FILE_SECONDS", 0.5)


@pytest.mark.parametrize("name", FILES)
def test_files_that_do_not_answer_at_all_end_the_push(
	name: str,
	bench: Path,
	control_plane: LocalControlPlane,
	hang: threading.Event,
	impatient: None,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setattr(name, lambda *args, **kwargs: hang.wait(20))
	result = push(open_bench(str(bench)), Request(within_seconds=0.5), ENVIRON)
	assert (result.outcome, result.error_code) == ("not_sent", "state_late")
	assert control_plane.answers == []


@pytest.mark.parametrize("name", FILES[:2])
def test_files_that_do_not_answer_at_all_end_a_dry_run(
	name: str, bench: Path, hang: threading.Event, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(name, lambda *args, **kwargs: hang.wait(20))
	result = dry_run(open_bench(str(bench)), ENVIRON)
	assert (result.outcome, result.error_code) == ("not_sent", "state_late")


def test_a_count_that_does_not_end_ends_a_dry_run(
	bench: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
	hanging(monkeypatch, tenant_count, "count_tenants", hang)
	result = dry_run(open_bench(str(bench)), ENVIRON)
	assert (result.outcome, result.error_code) == ("not_sent", "count_late")


def test_a_bench_that_does_not_answer_is_named(
	bench: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr("prego_metrics.cli.ui.bench.FILE_SECONDS", 0.5)
	monkeypatch.setattr("prego_metrics.cli.ui.bench.find_bench", lambda path: hang.wait(20))
	with pytest.raises(TooLate) as raised:
		open_bench_as_owner(str(bench))
	assert (raised.value.code, raised.value.message.params["bench"]) == ("bench_late", str(bench))


def test_a_file_of_the_heartbeat_that_does_not_answer_fails_the_heartbeat_alone(
	bench: Path,
	control_plane: LocalControlPlane,
	hang: threading.Event,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setattr("prego_metrics.agent.config.secret_urls.read_secret_file", lambda path: hang.wait(20))
	result = push_now(aim(bench, control_plane.url, heartbeat_url_file="/mnt/heartbeat"))
	assert result.outcome == "delivered"
	(warning,) = [warning for warning in result.warnings if warning.code]
	assert (warning.code, warning.params["reason"].params["folder"]) == ("heartbeat_failed", "/mnt/heartbeat")


def test_a_step_gives_back_its_result_or_its_exception() -> None:
	assert in_time(lambda: 3, 5, LATE) == 3
	with pytest.raises(ZeroDivisionError):
		in_time(lambda: 1 / 0, 5, LATE)
	with pytest.raises(TooLate) as raised:
		in_time(lambda: time.sleep(5), 0.05, LATE)
	assert raised.value.code == "state_late"


def test_without_threads_a_push_fails_with_a_code_and_is_recorded(
	bench: Path, control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	def refuse(self: threading.Thread) -> None:
		raise RuntimeError("can't start new thread")

	with monkeypatch.context() as patched:
		patched.setattr(threading.Thread, "start", refuse)
		result = push_now(bench)
	assert (result.outcome, result.error_code) == ("failed", "no_threads")
	last = state_of(bench).last
	assert last and last.error and last.error.code == "no_threads"


def test_a_lock_that_nobody_waits_for_any_more_is_not_taken(tmp_path: Path) -> None:
	lock = PushLock(str(tmp_path))
	lock.release()
	assert not lock.acquire()
	with PushLock(str(tmp_path)) as other:
		assert other.acquire()
