"""Two things measured by turns (ours, theirs, ours, …), and their ratio beside its aim.

Time on the clock is what a node waits, and is all that other work on the machine can spoil; CPU time, user and system,
also of the processes that a process waited for, is what it takes from the tenants. Of both stand the ratio of the
shortest runs, which other work spoils least, and the median of the ratios pair by pair.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Taken(NamedTuple):
	"""What one run took, in seconds."""

	wall: float
	cpu: float


def of_process(command: Sequence[object], environ: Mapping[str, str]) -> Taken:
	"""Run a command to its end, its output thrown away, and return what it took."""
	began = time.perf_counter()
	process = subprocess.Popen(
		[str(part) for part in command], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
	)
	_, status, usage = os.wait4(process.pid, 0)
	taken = Taken(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)
	process.returncode = os.waitstatus_to_exitcode(status)
	if process.returncode:
		raise subprocess.CalledProcessError(process.returncode, process.args)
	return taken


def of_call(call: Callable[[], object]) -> Taken:
	"""Call a function in this process, and return what it took."""
	gc.collect()
	began, cpu_began = time.perf_counter(), cpu_seconds()
	call()
	return Taken(time.perf_counter() - began, cpu_seconds() - cpu_began)


def cpu_seconds() -> float:
	usage = resource.getrusage(resource.RUSAGE_SELF)
	return usage.ru_utime + usage.ru_stime


def by_turns(ours: Callable[[], Taken], theirs: Callable[[], Taken], pairs: int) -> list[tuple[Taken, Taken]]:
	"""Measure both once for nothing, as the caches are cold, and then by turns."""
	ours()
	theirs()
	return [(ours(), theirs()) for _ in range(pairs)]


def show(name: str, aim: float, aim_is: str, pairs: Sequence[tuple[Taken, Taken]]) -> None:
	"""Print the ratios of wall and CPU time; `aim_is` says which of them, "wall" or "cpu", the aim is for."""
	print(f"{name}: aim {aim:g} in {aim_is} time; {len(pairs)} pairs; load {os.getloadavg()[0]:.1f}")
	for kind in Taken._fields:
		ours, theirs = ([1000 * getattr(pair[side], kind) for pair in pairs] for side in (0, 1))
		least = min(ours) / min(theirs)
		median = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
		verdict = "" if kind != aim_is else "   met" if median <= aim else "   missed"
		print(
			f"  {kind:4} {least:5.2f} of the shortest, {median:5.2f} by pairs{verdict:9} "
			f"{min(ours):8.1f} and {min(theirs):.1f} ms at least, {statistics.median(ours):.1f} and "
			f"{statistics.median(theirs):.1f} ms in the middle"
		)


def plain_environment() -> dict[str, str]:
	"""Return this environment without what changes Python or this app: a run must find its modules compiled."""
	return {
		name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PREGO_METRICS_"))
	}
