"""The host as families of metrics: its file systems, memory, swap, and how long tasks wait for each resource."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable

import psutil
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from prego_metrics.agent.base.errors import TooLate
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.cpu import UNREADABLE
from prego_metrics.agent.collectors.host import file_systems
from prego_metrics.agent.collectors.volumes import mount_point, unwatched_volumes
from prego_metrics.agent.config.config import Config

_PRESSURE_FOLDER = "/proc/pressure"
_SOME_AVG60 = re.compile(r"^some .*\bavg60=(\d+\.\d+)", re.MULTILINE)
_SECONDS = 2.0


def host_metrics(config: Config, census: Census | None, within: Callable[[float], float]) -> Iterable[Metric]:
	"""Give what can be read of the host.

	The file systems are those of `disk_paths`, and those that hold a site of `census` or MariaDB's data. `within`
	cuts a time limit to what is left for all metrics.
	"""
	yield from _file_systems(config, census, within)
	yield from _memory()
	yield from _pressure()


def _file_systems(
	config: Config, census: Census | None, within: Callable[[float], float]
) -> Iterable[Metric]:
	paths = list(config.disk_paths)
	try:
		if census is not None:
			paths += folder_in_time(
				lambda: unwatched_volumes(config, census), config.bench.sites, within(_SECONDS)
			)
	except TooLate:
		pass  # those of disk_paths may answer
	size, used, inodes = families = [
		GaugeMetricFamily(f"prego_filesystem_{name}", meaning, labels=["mountpoint"], unit=unit)
		for name, meaning, unit in (
			("size", "Size of a file system.", "bytes"),
			("used_ratio", "Share used of what ordinary users may use, as df shows it.", "ratio"),
			("inodes_used_ratio", "Share used of the inodes, as df -i shows it.", "ratio"),
		)
	]
	for path, one in file_systems(paths, within(_SECONDS))[0].items():
		labels = [sanitize(mount_point(path))]
		size.add_metric(labels, one.size_bytes)
		used.add_metric(labels, round(one.used_pct / 100, 4))
		if one.inodes_pct is not None:
			inodes.add_metric(labels, round(one.inodes_pct / 100, 4))
	yield from (family for family in families if family.samples)


def _memory() -> Iterable[Metric]:
	try:
		memory_bytes = psutil.virtual_memory().total
		with warnings.catch_warnings():
			# It warns where the kernel does not count what is swapped in and out.
			warnings.simplefilter("ignore", RuntimeWarning)
			swap = psutil.swap_memory()
	except UNREADABLE:
		return
	yield GaugeMetricFamily("prego_memory_total_bytes", "Memory of the host.", memory_bytes, unit="bytes")
	yield GaugeMetricFamily("prego_swap_total_bytes", "Swap space of the host.", swap.total, unit="bytes")
	if swap.total:
		ratio = round(swap.used / swap.total, 4)
		yield GaugeMetricFamily("prego_swap_used_ratio", "Share used of the swap space.", ratio, unit="ratio")


def _pressure() -> Iterable[Metric]:
	family = GaugeMetricFamily(
		"prego_pressure_ratio",
		"Share of the last 60 s in which some task waited for the resource (PSI).",
		labels=["resource"],
		unit="ratio",
	)
	for resource in ("cpu", "memory", "io"):
		try:
			with open(f"{_PRESSURE_FOLDER}/{resource}", encoding="ascii") as file:
				average = _SOME_AVG60.search(file.read(4096))
		except (OSError, ValueError):
			continue  # a kernel without PSI, or with psi=0
		if average:
			family.add_metric([resource], round(float(average[1]) / 100, 4))
	if family.samples:
		yield family
