"""Which trigger started this process: a systemd timer, cron, or a person."""

from __future__ import annotations

import os
from collections.abc import Mapping


def started_by_systemd(environ: Mapping[str, str]) -> bool:
	"""Tell whether this very process is what a systemd service runs.

	A service's children inherit its invocation id, and a cron daemon's jobs are such children (supercronic
	hands its whole environment on). From version 248 on systemd also names the process that it started.
	"""
	own = str(os.getpid())
	return "INVOCATION_ID" in environ and environ.get("SYSTEMD_EXEC_PID", own) == own
