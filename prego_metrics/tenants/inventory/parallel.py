"""Many sites' folders read at once, by a few processes.

A walk is as much the interpreter's work as the kernel's, so threads would wait for each other: two were slower
than one. The processes are forks: what they read, they have at hand, and no password goes through a pipe.
"""

from __future__ import annotations

import contextlib
import multiprocessing.popen_fork  # noqa: F401 else it is imported late, when root may have been given up
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import cast

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.tenants.inventory.site_folder import LocatedSite, SiteOnDisk, read_site

MOST_READERS = 4


class ReaderLost(PregoMetricsError):
	"""A process that read a site's folder ended before it had answered."""


def read_sites(sites: Sequence[LocatedSite], *, sizes: bool) -> Iterator[tuple[LocatedSite, SiteOnDisk]]:
	"""Give each site as it has been read, in no order; with `sizes`, by as many processes as there are CPUs.

	They end with the iteration, however that ends. Not beside other threads. Raises ReaderLost.
	"""
	most = min(len(os.sched_getaffinity(0)), MOST_READERS, len(sites)) if sizes else 1
	with contextlib.ExitStack() as held:
		readers = _start(most, sites, held) if most > 1 else {}
		if not readers:
			for located in sites:
				yield located, read_site(located, sizes=sizes)
			return
		yield from _answers(readers, sites)


def _start(
	most: int, sites: Sequence[LocatedSite], held: contextlib.ExitStack
) -> dict[Connection, ForkProcess]:
	context = get_context("fork")
	readers: dict[Connection, ForkProcess] = {}
	for _ in range(most):
		ours, theirs = context.Pipe()
		held.enter_context(ours)
		with theirs:
			reader = context.Process(target=_serve, args=(theirs, [*readers, ours], sites), daemon=True)
			try:
				reader.start()
			except OSError:
				break  # no more processes are allowed: those that are there do it, or this one alone
		held.callback(_end, reader)
		readers[ours] = reader
	return readers


def _end(reader: ForkProcess) -> None:
	reader.kill()
	reader.join()


def _serve(asked: Connection, callers: list[Connection], sites: Sequence[LocatedSite]) -> None:
	"""Read the sites whose numbers are asked for, until nobody is there to ask."""
	signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C comes here too, and the caller speaks for all
	for caller in callers:
		caller.close()  # an end held here would hide that the caller is gone
	with contextlib.suppress(EOFError, ConnectionError):
		while True:
			asked.send(read_site(sites[asked.recv()], sizes=True))


def _answers(
	readers: dict[Connection, ForkProcess], sites: Sequence[LocatedSite]
) -> Iterator[tuple[LocatedSite, SiteOnDisk]]:
	waiting = iter(range(len(sites)))
	reading: dict[Connection, int] = {}

	def ask(reader: Connection) -> None:
		number = next(waiting, None)
		if number is not None:
			reading[reader] = number
			with contextlib.suppress(
				ConnectionError
			):  # then it has ended, which shows when it is listened to
				reader.send(number)

	for reader in readers:
		ask(reader)
	while reading:
		for reader in cast("list[Connection]", wait(list(reading))):
			located = sites[reading.pop(reader)]
			try:
				disk = reader.recv()
			except (EOFError, ConnectionError):
				raise ReaderLost(_how_it_ended(readers[reader], located)) from None
			ask(reader)
			yield located, disk


def _how_it_ended(reader: ForkProcess, located: LocatedSite) -> str:
	reader.join()
	code = reader.exitcode or 0
	how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
	return f"the process that read the files of {located.site.name} {how}: the sizes are not known. Try again"
