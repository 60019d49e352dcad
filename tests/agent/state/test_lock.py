"""One push at a time: the lock, its holder's death, and file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_server import HostileServer, answer
from pushing import aim, folder_of, push_now, scheduled, spare_the_sample, state_of

from prego_metrics.agent.base.errors import LockUnsupported
from prego_metrics.agent.state.lock import PushLock

HOLDER = """
import sys, time
from prego_metrics.agent.state.lock import PushLock
lock = PushLock(sys.argv[1])
print(lock.acquire(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def sites(tmp_path: Path) -> str:
	return str(tmp_path)


@pytest.fixture
def holder(sites: str) -> Iterator[subprocess.Popen[str]]:
	"""Another process that holds the lock until it is told, or dies."""
	process = subprocess.Popen(
		[sys.executable, "-c", HOLDER, sites], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
	)
	assert process.stdout.readline() == "True\n"
	yield process
	process.kill()
	process.communicate()


def taken(sites: str, wait_seconds: float = 0.0) -> bool:
	with PushLock(sites) as lock:
		return lock.acquire(wait_seconds)


def test_the_lock_is_one_for_all_processes_and_needs_no_file(
	sites: str, holder: subprocess.Popen[str]
) -> None:
	assert not taken(sites)
	holder.stdin.write("\n")
	holder.stdin.flush()
	assert taken(sites, 5)
	assert os.listdir(sites) == []


def test_the_lock_is_one_under_every_name_of_the_folder(
	sites: str, holder: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
	link = tmp_path_factory.mktemp("names") / "link"
	link.symlink_to(sites)
	assert (
		not taken(str(link)) and not taken(sites + "/") and not taken(f"{sites}/../{os.path.basename(sites)}")
	)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_death_of_its_holder_frees_it(
	sites: str, holder: subprocess.Popen[str], number: signal.Signals
) -> None:
	holder.send_signal(number)
	started = time.monotonic()
	assert taken(sites, 5)
	assert time.monotonic() - started < 2


def test_waiting_ends_in_time(sites: str, holder: subprocess.Popen[str]) -> None:
	started = time.monotonic()
	assert not taken(sites, 0.4)
	assert 0.4 <= time.monotonic() - started < 0.8


def test_waiting_in_vain_and_waiting_at_all_leave_no_descriptor(
	sites: str, holder: subprocess.Popen[str]
) -> None:
	before = sorted(os.listdir("/proc/self/fd"))
	for _ in range(5):
		assert not taken(sites)
	assert sorted(os.listdir("/proc/self/fd")) == before


def test_who_waits_asks_again_and_again_until_its_time_is_over(
	sites: str, holder: subprocess.Popen[str]
) -> None:
	now = [0.0]
	with PushLock(sites) as lock:
		got = lock.acquire(
			10.0, monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)
		)
	assert not got
	assert 10 <= now[0] < 10.2


def test_a_lock_that_was_given_back_is_free(sites: str) -> None:
	with PushLock(sites) as lock:
		assert lock.acquire()
		assert not taken(sites)
		lock.release()
		assert taken(sites)
		lock.release()


def test_an_exception_inside_gives_it_back(sites: str) -> None:
	with pytest.raises(KeyboardInterrupt), PushLock(sites) as lock:
		lock.acquire()
		raise KeyboardInterrupt
	assert taken(sites)


def test_a_program_started_while_it_is_held_does_not_keep_it(sites: str) -> None:
	with PushLock(sites) as lock:
		assert lock.acquire()
		program = subprocess.Popen(["sleep", "30"], close_fds=False)
	try:
		assert taken(sites)
	finally:
		program.kill()
		program.wait()


def test_a_fork_made_while_it_is_held_does_not_keep_it_once_it_was_given_back(sites: str) -> None:
	with PushLock(sites) as lock:
		assert lock.acquire()
		child = os.fork()
		if child == 0:
			time.sleep(30)
			os._exit(0)
	try:
		assert taken(sites)
	finally:
		os.kill(child, signal.SIGKILL)
		os.waitpid(child, 0)


def test_a_folder_that_may_only_be_read_can_be_locked(tmp_path: Path) -> None:
	tmp_path.chmod(0o500)
	try:
		assert taken(str(tmp_path))
	finally:
		tmp_path.chmod(0o700)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
	with pytest.raises(FileNotFoundError):
		taken(str(tmp_path / "gone"))


# --- no flock --------------------------------------------------------------------------------------


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO], ids=["ENOLCK", "EOPNOTSUPP", "EIO"])
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
	def refuse(*_: object) -> None:
		raise OSError(request.param, os.strerror(request.param))

	monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_file_system_without_flock_is_said_and_not_waited_for(no_flock: None, sites: str) -> None:
	started = time.monotonic()
	with pytest.raises(LockUnsupported) as caught:
		taken(sites, 60)
	assert (caught.value.code, caught.value.message.params["folder"]) == ("lock_unsupported", sites)
	assert time.monotonic() - started < 1


def test_without_flock_no_scheduled_push_is_sent_and_a_push_by_hand_is(
	no_flock: None, bench_folder: Path
) -> None:
	spare_the_sample(bench_folder)
	with HostileServer(answer(200)) as server:
		aim(bench_folder, server.url)
		result = push_now(bench_folder, scheduled("timer"))
		assert (result.outcome, result.exit_code, server.connections) == ("not_sent", 2, 0)
		assert result.error_code == "lock_unsupported"
		assert state_of(bench_folder).last.outcome == "not_sent"
		assert state_of(bench_folder).last_attempt_at is None
		assert [tick.outcome for tick in folder_of(bench_folder).ticks()] == ["not_sent"]
		result = push_now(bench_folder)
		assert (result.outcome, server.connections) == ("delivered", 1)
