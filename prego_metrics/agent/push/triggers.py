"""Which trigger started this process: a systemd timer, cron, or a person."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

# A daemon in a container may have a terminal, and hand it on to its jobs.
_CRON_DAEMONS = frozenset(("anacron", "busybox", "cron", "crond", "fcron", "ofelia", "supercronic", "yacron"))


def started_by_systemd(environ: Mapping[str, str]) -> bool:
	"""Tell whether this very process is what a systemd service runs.

	A service's children inherit its invocation id, and a cron daemon's jobs are such children (supercronic
	hands its whole environment on). From version 248 on systemd also names the process that it started.
	"""
	own = str(os.getpid())
	return "INVOCATION_ID" in environ and environ.get("SYSTEMD_EXEC_PID", own) == own


def started_by_a_person() -> bool:
	"""Tell whether this process is on a terminal, and neither a cron daemon's nor a container's own process' doing.

	Without a terminal (`ssh HOST COMMAND`, `docker exec`) a person looks the same as cron: what runs once is
	no trigger either (`Tick.is_repeated`).
	"""
	if not any(os.isatty(stream) for stream in (0, 1, 2)) or os.getppid() == 1:
		return False
	return _CRON_DAEMONS.isdisjoint(_ancestors())


def _ancestors() -> Iterator[str]:
	"""Yield the names of the processes above this one, as far as they can be seen."""
	pid = os.getppid()
	while pid:
		try:
			with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
				# The name stands in brackets, and may hold some itself.
				name, _, rest = file.read().partition("(")[2].rpartition(")")
			pid = int(rest.split()[1])
		except (OSError, ValueError, IndexError):
			return
		yield name
