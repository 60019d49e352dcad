"""Runs pytest in forks of a process that has imported it, and what the tests need besides prego_metrics.

Each line of the standard input is a JSON list of pytest's arguments; its exit status is the line of the answer.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import hypothesis  # noqa: F401
import pytest
import requests  # noqa: F401
import trustme  # noqa: F401
import werkzeug.serving  # noqa: F401


def run(arguments: list[str]) -> int:
	"""Return the exit status of a pytest in a session of its own, whose processes all end with it."""
	child = os.fork()
	if child == 0:
		os.setsid()
		for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
			os.dup2(os.open(os.devnull, mode), descriptor)
		sys.exit(pytest.main(arguments))
	_, status = os.waitpid(child, 0)
	try:
		os.killpg(child, signal.SIGKILL)
	except ProcessLookupError:
		pass
	return os.waitstatus_to_exitcode(status)


for line in sys.stdin:
	print(run(json.loads(line)), flush=True)
