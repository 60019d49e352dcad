"""What the kernel says of this process and its files: what is locked, and which users it can see."""

from __future__ import annotations

import os

LOCKS_FILE = "/proc/locks"
# What the kernel shows for an owner that has no number in this user namespace.
OVERFLOW_ID = 65534
_ALL_IDS = 4294967295


def is_locked(path: str) -> bool | None:
	"""Tell whether a file is locked; None if that cannot be known. Takes no lock: it could get in the way."""
	try:
		inode = os.stat(path).st_ino
		with open(LOCKS_FILE, encoding="ascii", errors="replace") as file:
			lines = file.read(1 << 22).splitlines()
	except OSError:
		return None
	# Of MAJOR:MINOR:INODE the inode alone: some file systems show programs another device than the kernel has.
	return any(part.endswith(f":{inode}") for line in lines for part in line.split()[5:6])


def lacks_ids(kind: str) -> bool:
	"""Tell whether this process is in a user namespace without some of the system's users ("uid") or groups ("gid")."""
	try:
		with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
			return sum(int(line.split()[2]) for line in file) < _ALL_IDS
	except OSError:
		return False


def is_unmapped(uid: int) -> bool:
	"""Tell whether that is what stands for a user that this user namespace does not have."""
	return uid == OVERFLOW_ID and lacks_ids("uid")
