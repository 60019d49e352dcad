"""Who holds a lock, and when a process started, as the kernel tells it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prego_metrics.agent.base import kernel
from prego_metrics.agent.base.kernel import flock_holder, is_locked, process_started_at

HOLDER = (
	"import fcntl, os, sys, time\n"
	"fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
	"print(flush=True); time.sleep(60)\n"
)


def test_the_process_that_holds_a_lock_is_named(tmp_path: Path) -> None:
	assert flock_holder(str(tmp_path)) is None and is_locked(str(tmp_path)) is False
	process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
	try:
		assert process.stdout and process.stdout.readline()
		holder = flock_holder(str(tmp_path))
		assert holder and holder.pid == process.pid and holder.command
		assert is_locked(str(tmp_path)) is True
	finally:
		process.kill()
		process.communicate()
	assert flock_holder(str(tmp_path)) is None


@pytest.mark.parametrize(
	("lines", "pid"),
	[
		("1: FLOCK  ADVISORY  WRITE {pid} {device}:{inode} 0 EOF", True),
		("1: FLOCK  ADVISORY  WRITE {pid} ff:7f:{inode} 0 EOF", True),
		(
			"1: FLOCK  ADVISORY  WRITE 1 ff:7f:{inode} 0 EOF\n2: FLOCK  ADVISORY  WRITE {pid} {device}:{inode} 0 EOF",
			True,
		),
		("1: POSIX  ADVISORY  WRITE {pid} {device}:{inode} 0 EOF", False),
		("1: -> FLOCK  ADVISORY  WRITE {pid} {device}:{inode} 0 EOF", False),
		("1: FLOCK  ADVISORY  WRITE 0 {device}:{inode} 0 EOF", False),
		("1: FLOCK  ADVISORY  WRITE {pid} {device}:1{inode} 0 EOF", False),
		("nonsense", False),
	],
)
def test_of_the_kernels_list_the_flock_of_this_file_counts(
	lines: str, pid: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	status = tmp_path.stat()
	device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
	content = lines.format(pid=os.getpid(), device=device, inode=status.st_ino)
	(tmp_path / "locks").write_text(content)
	monkeypatch.setattr(kernel, "LOCKS_FILE", str(tmp_path / "locks"))
	holder = flock_holder(str(tmp_path))
	assert (holder.pid if holder else None) == (os.getpid() if pid else None)


def test_what_cannot_be_known_is_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr(kernel, "LOCKS_FILE", str(tmp_path / "none"))
	assert flock_holder(str(tmp_path)) is None and is_locked(str(tmp_path)) is None
	with open(tmp_path / "file", "w") as file:
		fcntl.flock(file, fcntl.LOCK_EX)
		assert flock_holder(str(tmp_path / "gone")) is None


def test_the_start_of_a_process_is_a_time_of_the_clock() -> None:
	before = time.time()
	with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
		started_at = process_started_at(process.pid)
		assert process.stdin
		process.stdin.close()
	# The kernel knows the boot to the second.
	assert started_at is not None and before - 2 <= started_at <= time.time() + 2
	assert process_started_at(process.pid) is None
