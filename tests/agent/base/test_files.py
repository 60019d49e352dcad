"""A file that anybody may have put there is read within bounds, and one that is replaced is never seen by half."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prego_metrics.agent.base.files import (
	UnfitFile,
	open_regular,
	opened_folder,
	read_limited,
	replace_atomically,
)

LIMIT = 10_000


# Reading


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, LIMIT - 1, LIMIT])
def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path, size: int) -> None:
	path = tmp_path / "file"
	content = os.urandom(size)
	path.write_bytes(content)
	assert read_limited(str(path), LIMIT) == content


@pytest.mark.parametrize(("size", "limit"), [(LIMIT + 1, LIMIT), (1 << 40, LIMIT), (11, 10), (1, 0)])
def test_a_file_above_the_limit_is_refused(tmp_path: Path, size: int, limit: int) -> None:
	path = tmp_path / "file"
	path.touch()
	os.truncate(path, size)
	with pytest.raises(UnfitFile) as raised:
		read_limited(str(path), limit)
	assert str(raised.value) == f"is larger than {limit} bytes"


@pytest.mark.parametrize("read", [lambda path: read_limited(path, LIMIT), open_regular])
@pytest.mark.parametrize(
	"make",
	[
		os.mkfifo,
		os.mkdir,
		*(lambda path, to=to: os.symlink(to, path) for to in ("/dev/null", "/dev/zero", "/")),
	],
	ids=["fifo", "folder", "null", "zero", "link to a folder"],
)
def test_what_is_no_regular_file_is_refused_at_once(
	tmp_path: Path, make: Callable[[str], object], read: Callable[[str], object]
) -> None:
	path = str(tmp_path / "file")
	make(path)
	before = len(os.listdir("/proc/self/fd"))
	started = time.monotonic()
	with pytest.raises(UnfitFile) as raised:
		read(path)
	assert str(raised.value) == "is not a regular file"
	assert time.monotonic() - started < 1
	assert len(os.listdir("/proc/self/fd")) == before


def test_a_fifo_with_a_writer_is_refused_too(tmp_path: Path) -> None:
	path = str(tmp_path / "file")
	os.mkfifo(path)
	held = os.open(path, os.O_RDWR | os.O_NONBLOCK)
	try:
		os.write(held, b"{}")
		with pytest.raises(UnfitFile):
			read_limited(path, LIMIT)
	finally:
		os.close(held)


def test_a_link_is_followed_only_if_asked(tmp_path: Path) -> None:
	(tmp_path / "file").write_bytes(b"content")
	link = tmp_path / "link"
	link.symlink_to("file")
	assert read_limited(str(link), LIMIT) == b"content"
	for read in (lambda: read_limited(str(link), LIMIT, follow=False),):
		with pytest.raises(OSError) as raised:
			read()
		assert raised.value.errno == errno.ELOOP


def test_a_name_is_looked_up_in_the_folder_that_was_opened(tmp_path: Path) -> None:
	folder = tmp_path / "folder"
	folder.mkdir()
	(folder / "file").write_bytes(b"content")
	with opened_folder(str(folder)) as descriptor:
		folder.rename(tmp_path / "elsewhere")
		assert read_limited("file", LIMIT, dir_fd=descriptor) == b"content"
		assert replace_atomically("file", b"new", dir_fd=descriptor)
	assert (tmp_path / "elsewhere" / "file").read_bytes() == b"new"


def test_a_folder_behind_a_link_is_opened_only_if_asked(tmp_path: Path) -> None:
	link = tmp_path / "link"
	link.symlink_to(tmp_path)
	with opened_folder(str(link)) as descriptor:
		assert os.listdir(descriptor) == ["link"]
	with pytest.raises(NotADirectoryError), opened_folder(str(link), follow=False):
		pass


# Replacing


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, durable: bool, alone: bool) -> None:
	path = tmp_path / "file"
	for content in (b"one", b"two"):
		assert replace_atomically(str(path), content, durable=durable, alone=alone)
		assert path.read_bytes() == content
	assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(tmp_path: Path, mode: int, umask: int) -> None:
	path = tmp_path / "file"
	path.touch(mode=0o666)
	before = os.umask(umask)
	try:
		replace_atomically(str(path), b"", mode=mode)
	finally:
		os.umask(before)
	assert stat.S_IMODE(path.stat().st_mode) == mode


def test_mode_owner_and_group_can_be_kept(tmp_path: Path) -> None:
	path = tmp_path / "file"
	path.touch()
	path.chmod(0o640)
	if os.geteuid() == 0:
		os.chown(path, 60001, 60002)
	before = path.stat()
	replace_atomically(str(path), b"new", like=before)
	after = path.stat()
	assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
	assert after.st_ino != before.st_ino


def test_an_owner_that_cannot_be_kept_does_not_hold_it_up(
	shared_folder: Path, as_user: Callable[..., object]
) -> None:
	shared_folder.chmod(0o777)
	path = shared_folder / "file"
	path.touch()
	path.chmod(0o644)
	assert as_user(60001, lambda: replace_atomically(str(path), b"new", like=path.stat()))
	assert path.stat().st_uid == 60001 and stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("place", ["file", ".file.tmp"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, place: str) -> None:
	victim = tmp_path / "victim"
	victim.write_bytes(b"precious")
	(tmp_path / place).symlink_to(victim)
	replace_atomically(str(tmp_path / "file"), b"new", alone=True)
	assert victim.read_bytes() == b"precious"
	assert (tmp_path / "file").read_bytes() == b"new" and not (tmp_path / "file").is_symlink()


def test_what_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
	path = tmp_path / "file"
	path.write_bytes(b"theirs")
	assert not replace_atomically(str(path), b"ours", unchanged=lambda: False)
	assert path.read_bytes() == b"theirs"
	assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
	def fail() -> bool:
		raise KeyboardInterrupt

	path = tmp_path / "file"
	path.write_bytes(b"old")
	with pytest.raises(KeyboardInterrupt):
		replace_atomically(str(path), b"new", unchanged=fail)
	(tmp_path / "folder").mkdir()
	with pytest.raises(IsADirectoryError):
		replace_atomically(str(tmp_path / "folder"), b"new")
	assert path.read_bytes() == b"old"
	assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_no_reader_sees_half_of_a_file_that_is_replaced_all_the_time(tmp_path: Path) -> None:
	path = tmp_path / "file"
	contents = [bytes([number]) * 50_000 for number in range(1, 5)]
	replace_atomically(str(path), contents[0], durable=False)
	over = threading.Event()

	def write(content: bytes) -> None:
		while not over.is_set():
			replace_atomically(str(path), content, durable=False)

	writers = [threading.Thread(target=write, args=(content,)) for content in contents]
	for writer in writers:
		writer.start()
	try:
		assert all(read_limited(str(path), 1 << 20) in contents for _ in range(500))
	finally:
		over.set()
		for writer in writers:
			writer.join()
	assert os.listdir(tmp_path) == ["file"]


def test_processes_that_are_killed_leave_one_file_at_most_and_the_next_removes_it(tmp_path: Path) -> None:
	path = tmp_path / "file"
	script = (
		"import os, signal, sys; from prego_metrics.agent.base.files import replace_atomically\n"
		"replace_atomically(sys.argv[1], b'half', alone=True, unchanged=lambda: os.kill(os.getpid(), signal.SIGKILL))"
	)
	for _ in range(2):
		killed = subprocess.run([sys.executable, "-c", script, str(path)], timeout=30)
		assert killed.returncode == -signal.SIGKILL
		assert os.listdir(tmp_path) == [".file.tmp"]
	replace_atomically(str(path), b"whole", alone=True)
	assert os.listdir(tmp_path) == ["file"]
