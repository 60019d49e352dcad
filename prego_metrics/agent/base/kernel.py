"""Which files are locked, as the kernel lists it: to see it this way cannot be in anybody's way."""

from __future__ import annotations

import os

LOCKS_FILE = "/proc/locks"


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
