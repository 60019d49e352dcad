"""What the kernel says of locks, processes and users: to see it this way cannot be in anybody's way."""

from __future__ import annotations

import os

from prego_metrics.agent.light_typing import NamedTuple

LOCKS_FILE = "/proc/locks"
# What the kernel shows for an owner that has no number in this user namespace.
OVERFLOW_ID = 65534
_ALL_IDS = 4294967295


class Holder(NamedTuple):
	"""The process that holds a lock; command is its name, as `ps` has it."""

	pid: int
	command: str


def is_locked(path: str) -> bool | None:
	"""Tell whether a file is locked; None if that cannot be known. Takes no lock: it could get in the way."""
	try:
		return bool(_locks_of(path))
	except OSError:
		return None


def flock_holder(path: str) -> Holder | None:
	"""Return who holds the flock of a file or folder; None if nobody does, or nobody who can be seen from here."""
	try:
		for kind, pid in _locks_of(path):
			if kind == "FLOCK" and int(pid) > 0:
				with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
					return Holder(int(pid), file.read(64).strip())
	except (OSError, ValueError):
		pass
	return None


def _locks_of(path: str) -> list[tuple[str, str]]:
	"""Return kind and process of each lock of a file, without those that only wait for it. Raises OSError.

	Some file systems show programs another device than the kernel has: then locks of that inode on any device.
	"""
	status = os.stat(path)
	with open(LOCKS_FILE, encoding="ascii", errors="replace") as file:
		lines = file.read(1 << 22).splitlines()
	device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
	# 1: FLOCK ADVISORY WRITE 4711 08:01:1234 0 EOF
	fields = [line.split() for line in lines]
	locks = [line for line in fields if len(line) > 5 and line[5].endswith(f":{status.st_ino}")]
	exact = [line for line in locks if line[5].startswith(f"{device}:")]
	return [(line[1], line[4]) for line in exact or locks]


def process_started_at(pid: int) -> float | None:
	"""Return when a process started, in seconds since the epoch; None if it is gone."""
	# Needed by the doctor alone, and psutil is the larger part of a run that is not due.
	import psutil

	try:
		return psutil.Process(pid).create_time()
	except psutil.Error:
		return None


def lacks_ids(kind: str) -> bool:
	"""Tell whether this process is in a user namespace without some of the system's users ("uid") or groups ("gid")."""
	try:
		with open(f"/proc/self/{kind}_map", "rb") as file:
			return sum(int(line.split()[2]) for line in file) < _ALL_IDS
	except OSError:
		return False


def is_unmapped(uid: int) -> bool:
	"""Tell whether that is what stands for a user that this user namespace does not have."""
	return uid == OVERFLOW_ID and lacks_ids("uid")
