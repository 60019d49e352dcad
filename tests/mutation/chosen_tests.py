"""The pytest plugin of `make mutation`: runs chosen tests alone, in their order, and writes down how each ended."""

from __future__ import annotations

import faulthandler
import sys
import time
from pathlib import Path

import line_tracer
import pytest
from _pytest.runner import runtestprotocol

TESTS = "tests"
# What an interpreter may need to start, to collect the tests or to end, on a machine that does much else.
STARTING_SECONDS = 600.0


def pytest_addoption(parser: pytest.Parser) -> None:
	parser.addoption("--records", help="the folder for what is recorded")
	parser.addoption("--trace-code", help="record which lines of the files in this folder each test executes")
	parser.addoption("--chosen", help="a file with a time limit in seconds and a test's ID on each line")


def pytest_configure(config: pytest.Config) -> None:
	if config.option.trace_code:
		line_tracer.start(config.option.records, config.option.trace_code)
	config.pluginmanager.register(Runner(Path(config.option.records), config.option.chosen))


def end_after(seconds: float) -> None:
	"""End this process if it does not ask again in time."""
	faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)


class Runner:
	"""Chooses the tests, bounds each, and keeps a list of those that ended."""

	def __init__(self, folder: Path, chosen: str | None) -> None:
		self._folder = folder
		self._limits: dict[str, float] = {}
		for line in Path(chosen).read_text().splitlines() if chosen else ():
			seconds, _, test = line.partition("\t")
			self._limits[test] = float(seconds)
		self._count = 0
		end_after(STARTING_SECONDS)

	@pytest.hookimpl(trylast=True)
	def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
		if self._limits:
			order = {test: place for place, test in enumerate(self._limits)}
			config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in order])
			items[:] = [item for item in items if item.nodeid in order]
			items.sort(key=lambda item: order[item.nodeid])

	@pytest.hookimpl(tryfirst=True)
	def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
		"""Run a test, once more if it fails: it may have been the machine's load."""
		number = str(self._count)
		self._count += 1
		if line_tracer.tracer:
			(self._folder / line_tracer.CURRENT).write_text(number)
			line_tracer.tracer.begin(number)
		end_after(self._limits.get(item.nodeid, STARTING_SECONDS))
		for _ in range(2):
			began = time.monotonic()
			item._initrequest()  # type: ignore[attr-defined]
			reports = runtestprotocol(item, log=False, nextitem=nextitem)
			seconds = time.monotonic() - began
			passed = not any(report.failed for report in reports)
			if passed:
				break
		end_after(STARTING_SECONDS)
		for report in reports:
			item.ihook.pytest_runtest_logreport(report=report)
		with (self._folder / TESTS).open("a") as file:
			file.write(f"{number}\t{seconds:.2f}\t{int(passed)}\t{item.nodeid}\n")
		return True
