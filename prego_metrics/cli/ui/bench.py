"""The bench that a command is about. Imports nothing heavy: a scheduled push uses it every minute."""

from __future__ import annotations

import os
from collections.abc import Callable

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import FILE_SECONDS, in_time
from prego_metrics.agent.bench.locate import Bench, find_bench
from prego_metrics.agent.bench.privileges import drop_privileges


def open_bench_as_owner(bench_path: str | None, preload: Callable[[], None] = lambda: None) -> Bench:
	"""Find the bench and, started by root, become its owner before anything is read. Raises PregoMetricsError.

	`preload` imports what the command needs besides, which root's interpreter may keep from the owner.
	"""
	late = coded("bench_late", bench=sanitize(bench_path or os.curdir), seconds=f"{FILE_SECONDS:g}")
	bench = in_time(lambda: find_bench(bench_path), FILE_SECONDS, late)
	drop_privileges(bench, lambda: _preload(preload))
	return bench


def _preload(preload_more: Callable[[], None]) -> None:
	"""Import what root's interpreter may keep where the owner cannot read it."""
	import prego_metrics.doctor.runner  # noqa: F401
	from prego_metrics.agent.push.push import preload

	preload()
	preload_more()
