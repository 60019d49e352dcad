"""How loaded the host is: CPU, memory and disk in percent, or None where that is not known.

Each figure agrees with what an operator sees by hand on the same machine:

- cpu_pct is the share of time in which the CPUs were not idle since the last sample, all CPUs together,
  as `mpstat` has it in 100 − %idle − %iowait. Waiting for IO is idle (the CPU could work for another
  tenant), steal is busy (it could not). guest and guest_nice are already inside user and nice (proc(5)).
- memory_pct is (total − available) / total, where available is the kernel's own MemAvailable: what
  `free` shows in that column. Page cache that can be given back is not used memory. With memory_source = cgroup it is
  working set / limit of this process's memory cgroup, as cgroup_memory defines it.
- disk_pct is used / (used + available to ordinary users), as `df` has it in Use%, of the fullest of the
  file systems that were asked for. Blocks reserved for root count as neither, and each device once.

A figure that cannot be read is None, never 0 and never a guess.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping

from prego_metrics.agent.base.messages import Message, coded, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import Limited, ThreadsExhausted
from prego_metrics.agent.collectors.cpu import (
	MIN_SAMPLE_SECONDS,
	UNREADABLE,
	CpuReading,
	cpu_percent,
	percent_of,
	read_cpu_counters,
)
from prego_metrics.agent.light_typing import NamedTuple

MEMORY_OF_HOST, MEMORY_OF_CGROUP = "host", "cgroup"
DISK_SECONDS = 3.0


class FileSystem(NamedTuple):
	"""A file system: its device, its size, and how much of its space and of its inodes is used, in percent.

	inodes_pct is None where it has no fixed number of them, as with btrfs.
	"""

	device: int
	size_bytes: int
	used_pct: float
	inodes_pct: float | None


class Memory(NamedTuple):
	"""The memory in use in percent: of the host's, and of the cgroup's limit; None where that cannot be read.

	limit is the cgroup's in bytes, None where none is below the host's memory.
	"""

	host: float | None
	cgroup: float | None
	limit: int | None

	def of(self, source: str) -> float | None:
		"""Return the figure that memory_source asks for."""
		return self.cgroup if source == MEMORY_OF_CGROUP else self.host


class HostSample(NamedTuple):
	"""The host at one moment; disks holds the percentage of each path that could be read.

	memory_pct is the one of `memory` that memory_source asks for.
	"""

	cpu_pct: float | None
	memory_pct: float | None
	disk_pct: float | None
	disks: Mapping[str, float]
	cpu: CpuReading | None
	warnings: tuple[str, ...]
	memory: Memory


def sample_host(
	previous: CpuReading | None,
	disk_paths: Iterable[str],
	memory_source: str = MEMORY_OF_HOST,
	*,
	disk_seconds: float = DISK_SECONDS,
	read_cpu: Callable[[], CpuReading | None] | None = None,
	sleep: Callable[[float], None] = time.sleep,
) -> HostSample:
	"""Sample the host; `previous` is the CPU reading of the last push, from which the mean is taken.

	Without a usable one, the CPU is watched for one second. The file systems have `disk_seconds` to answer.
	"""
	warnings: list[str] = []
	read = read_cpu or read_cpu_counters
	reading = read()
	cpu_pct = cpu_percent(previous, reading)
	if cpu_pct is None and reading is not None:
		sleep(MIN_SAMPLE_SECONDS)
		first, reading = reading, read()
		cpu_pct = cpu_percent(first, reading, min_seconds=0.5)
	if cpu_pct is None:
		warnings.append(message("cpu_pct is left out: the kernel's CPU counters cannot be read"))
	memory = read_memory()
	memory_pct = memory.of(memory_source)
	if memory_pct is None:
		warnings.append(
			message("memory_pct is left out: the kernel's memory usage cannot be read")
			if memory.host is None
			else message("memory_pct is left out: the memory cgroup cannot be read")
		)
	disks, disk_warnings = disk_percents(disk_paths, disk_seconds)
	# The fullest of some of the file systems may be less than the fullest of all of them.
	disk_pct = max(disks.values()) if disks and not disk_warnings else None
	if disk_pct is None:
		warnings += [message("disk_pct is left out: {reason}", reason=warning) for warning in disk_warnings]
	return HostSample(cpu_pct, memory_pct, disk_pct, disks, reading, tuple(warnings), memory)


def read_memory() -> Memory:
	"""Read how much memory is in use. Where no cgroup limits it below the host's, the host's is the limit."""
	import psutil

	from prego_metrics.agent.collectors.cgroup_memory import read_cgroup_memory

	try:
		memory = psutil.virtual_memory()
	except UNREADABLE:
		return Memory(None, None, None)
	host = percent_of(memory.total - memory.available, memory.total)
	try:
		cgroup = read_cgroup_memory(memory.total)
	except UNREADABLE:
		return Memory(host, None, None)
	if cgroup is None:
		return Memory(host, host, None)
	return Memory(host, percent_of(cgroup.working_set, cgroup.limit), cgroup.limit)


def disk_percents(
	paths: Iterable[str], limit_seconds: float = DISK_SECONDS
) -> tuple[dict[str, float], list[str]]:
	"""Return the use of the file system of each path, one path a device, and what could not be read."""
	systems, problems = file_systems(paths, limit_seconds)
	return {path: one.used_pct for path, one in systems.items()}, problems


def file_systems(
	paths: Iterable[str], limit_seconds: float = DISK_SECONDS
) -> tuple[dict[str, FileSystem], list[str]]:
	"""Return the file system of each path, one path a device, and what could not be read.

	A dead network mount can hold statvfs for ever, so each path gets a thread of its own, and all of them
	one time limit.
	"""
	systems: dict[str, FileSystem] = {}
	problems: list[str] = []
	devices: set[int] = set()
	asked = [(path, _begin_to_ask(path)) for path in paths]
	give_up_at = time.monotonic() + limit_seconds
	for path, asking in asked:
		safe_path = sanitize(path)
		if isinstance(asking, Message):
			answer: FileSystem | str = asking
		elif asking.ends_within(give_up_at - time.monotonic()):
			answer = asking.result()
		else:
			problems.append(
				message(
					"the file system of {path} did not answer within {seconds} s",
					path=safe_path,
					seconds=f"{limit_seconds:.3g}",
				)
			)
			continue
		if isinstance(answer, str):
			problems.append(message("{path}: {reason}", path=safe_path, reason=answer))
		elif answer.device not in devices:
			devices.add(answer.device)
			systems[path] = answer
	return systems, problems


def _begin_to_ask(path: str) -> Limited[FileSystem | str] | Message:
	try:
		return Limited(lambda: _ask_file_system(path))
	except ThreadsExhausted:
		return coded("no_threads")


def _ask_file_system(path: str) -> FileSystem | str:
	"""Return the file system of `path`, or why it is not known."""
	try:
		device = os.stat(path).st_dev
		sizes = os.statvfs(path)
	except OSError as error:
		return error.strerror or str(error)
	except ValueError:
		return message("not a valid path")
	used = sizes.f_blocks - sizes.f_bfree
	used_pct = percent_of(used, used + sizes.f_bavail)
	if used_pct is None:
		return message("its file system reports no size")
	inodes_pct = percent_of(sizes.f_files - sizes.f_ffree, sizes.f_files)
	return FileSystem(device, sizes.f_blocks * sizes.f_frsize, used_pct, inodes_pct)
