"""What the tests of the census share: a kernel whose stamps a test decides, and a census taken apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.census import Census, take_census

MakeSite = Callable[..., Path]


MakeBench = Callable[..., Path]


OTHER_USER = 65534


class Kernel:
	"""Time as a census sees it, with things that happen while it sleeps or looks at the clock.

	The clock is in the folder's own time: it says how long after the folder's stamp "now" is, so that a
	test decides what the kernel's steps would hide. It begins long after the bench was made.
	"""

	def __init__(self, bench_folder: Path, age_seconds: float = 60.0) -> None:
		self.sites = bench_folder / "sites"
		self.age_seconds = age_seconds
		self.clock_reads = 0
		self.sleeps: list[float] = []
		self.at_clock: Callable[[int], object] = lambda number: None
		self.at_sleep: Callable[[int], object] = lambda number: None

	def clock(self) -> float:
		"""The clock is read once a pass, after the folder's stamp and before its entries are."""
		self.clock_reads += 1
		stamp = self.sites.stat().st_mtime_ns / 1e9
		self.at_clock(self.clock_reads)
		return stamp + self.age_seconds

	def sleep(self, seconds: float) -> None:
		self.sleeps.append(seconds)
		self.at_sleep(len(self.sleeps))

	def census(self, *exclude: str, allow_empty: bool = False) -> Census:
		return take_census(
			[open_bench(str(self.sites))],
			exclude,
			allow_empty=allow_empty,
			clock=self.clock,
			sleep=self.sleep,
		)


def counted(bench_folder: Path, *exclude: str, **options: Any) -> Census:
	return take_census([open_bench(str(bench_folder))], exclude, **options)


def verdicts(census: Census) -> dict[str, bool]:
	return {site.name: site.counted for site in census.sites}


def reason(census: Census, name: str) -> str:
	(found,) = [site.reason for site in census.sites if site.name == name]
	return found


def write_config(site: Path, text: str) -> None:
	(site / "site_config.json").write_text(text)
