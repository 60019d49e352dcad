"""How busy the CPUs are: a reading of their counters, and the mean between two of them.

A run that is not due imports this for the reading in the state, and nothing of the host's other figures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from prego_metrics.agent.light_typing import NamedTuple

MIN_SAMPLE_SECONDS = 1.0
MAX_SAMPLE_SECONDS = 900.0
_BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"
# What psutil raises where /proc is hidden, cut short, or not what it expects.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)


class CpuReading(NamedTuple):
	"""The CPU's counters at one moment, in seconds summed over all CPUs.

	boot_seconds is the time since boot, suspend included: the wall clock may jump. The counters begin
	again at each boot, which boot_id names, and are not comparable when the number of CPUs changed.
	"""

	boot_id: str
	boot_seconds: float
	cpus: int
	times: Mapping[str, float]


def read_cpu_counters() -> CpuReading | None:
	"""Read the CPU's counters, or None where they cannot be read."""
	import psutil

	try:
		times = psutil.cpu_times()._asdict()
		with open(_BOOT_ID_FILE, encoding="ascii") as file:
			boot_id = file.read(64).strip()
	except UNREADABLE:
		return None
	return CpuReading(
		boot_id=boot_id,
		boot_seconds=time.clock_gettime(time.CLOCK_BOOTTIME),
		cpus=os.cpu_count() or 0,
		times={name: float(value) for name, value in times.items()},
	)


def cpu_percent(
	previous: CpuReading | None, current: CpuReading | None, *, min_seconds: float = MIN_SAMPLE_SECONDS
) -> float | None:
	"""Return the mean CPU use between two readings in percent, or None if they cannot be compared.

	They can if they are of one boot, with the same number of CPUs, between `min_seconds` and 900 seconds
	apart, and no busy counter ran backwards (idle and iowait may, by a little: proc(5)).
	"""
	if previous is None or current is None:
		return None
	if previous.boot_id != current.boot_id or previous.cpus != current.cpus:
		return None
	if not min_seconds <= current.boot_seconds - previous.boot_seconds <= MAX_SAMPLE_SECONDS:
		return None
	if previous.times.keys() != current.times.keys():
		return None
	delta = {name: current.times[name] - previous.times[name] for name in current.times}
	idle = sum(max(0.0, delta.get(name, 0.0)) for name in ("idle", "iowait"))
	busy = 0.0
	for name, seconds in delta.items():
		if name in ("idle", "iowait", "guest", "guest_nice"):
			continue
		if seconds < 0:
			return None
		busy += seconds
	# A machine that slept through the time between the readings has counted next to nothing.
	if busy + idle < min_seconds / 2:
		return None
	return percent_of(busy, busy + idle)


def percent_of(part: float, whole: float) -> float | None:
	"""Return 0 to 100 with one decimal, None of nothing."""
	if whole <= 0:
		return None
	return round(min(100.0, max(0.0, 100.0 * part / whole)), 1)
