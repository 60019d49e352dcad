"""What the tests of a push share: pushes as processes of their own, and an attempt of the past."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pushing import (
	ENVIRON,
	folder_of,
	state_of,
)

ROUTE = "/internal/server-metrics"


NOBODY = 65534


def command(bench_folder: Path, *options: str) -> list[str]:
	return [sys.executable, "-m", "prego_metrics.cli", "push", *options, "--bench", str(bench_folder)]


def start(bench_folder: Path, *options: str, **environ: str) -> subprocess.Popen[str]:
	return subprocess.Popen(
		command(bench_folder, *options),
		env={**os.environ, **ENVIRON, **environ},
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
	)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
	out, err = process.communicate(timeout=30)
	return process.returncode, out, err


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
	give_up_at = time.monotonic() + seconds
	while not condition():
		assert time.monotonic() < give_up_at, "it did not come to pass"
		time.sleep(0.01)


def rewind(bench_folder: Path, seconds: float) -> None:
	"""Let the last attempt, its result and what it was asked be `seconds` further in the past."""
	state = state_of(bench_folder)
	last = state.last._replace(at=state.last.at - seconds) if state.last else None
	not_before = None if state.not_before is None else state.not_before - seconds
	earlier = state._replace(
		last_attempt_at=state.last_attempt_at - seconds, last=last, not_before=not_before
	)
	folder_of(bench_folder).write(earlier)
