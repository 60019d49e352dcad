"""Many sites' folders read by a few processes.

A walk keeps the interpreter as busy as the kernel, so threads would wait for each other: two were slower than one.
The processes are forks: they have the sites already, and no password goes through a pipe.
"""

from __future__ import annotations

import contextlib

# Both are imported late otherwise, when root may have been given up.
import multiprocessing.popen_fork
import multiprocessing.resource_tracker  # noqa: F401
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import cast

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.tenants.inventory.site_folder import LocatedSite, SiteOnDisk, read_site

MAX_PROCESSES = 4


class ReaderLost(PregoMetricsError):
	"""A process that read a site's folder ended before it had answered."""


def read_sites(sites: Sequence[LocatedSite], *, sizes: bool) -> Iterator[tuple[LocatedSite, SiteOnDisk]]:
	"""Give each site as it has been read, in no order; with `sizes`, by as many processes as there are CPUs.

	The processes end with the iteration, however that ends. Not to be used beside other threads. Raises ReaderLost.
	"""
	count = min(len(os.sched_getaffinity(0)), MAX_PROCESSES, len(sites)) if sizes else 1
	with contextlib.ExitStack() as held:
		readers = _start(count, sites, held) if count > 1 else {}
		if not readers:
			yield from ((located, read_site(located, sizes=sizes)) for located in sites)
			return
		waiting = iter(range(len(sites)))
		reading: dict[Connection, int] = {}
		idle = list(readers)
		while idle:
			for connection, number in zip(idle, waiting, strict=False):
				reading[connection] = number
				with contextlib.suppress(ConnectionError):  # its process has ended: recv will say so
					connection.send(number)
			idle = cast("list[Connection]", wait(list(reading))) if reading else []
			for connection in idle:
				located = sites[reading.pop(connection)]
				try:
					disk = connection.recv()
				except (EOFError, ConnectionError):
					raise ReaderLost(_how_it_ended(readers[connection], located)) from None
				yield located, disk


def _start(
	count: int, sites: Sequence[LocatedSite], held: contextlib.ExitStack
) -> dict[Connection, ForkProcess]:
	context = get_context("fork")
	readers: dict[Connection, ForkProcess] = {}
	for _ in range(count):
		ours, theirs = context.Pipe()
		held.enter_context(ours)
		with theirs:
			process = context.Process(target=_serve, args=(theirs, [*readers, ours], sites), daemon=True)
			try:
				process.start()
			except OSError:
				break  # no more processes are allowed: those that are there do it, or this one alone
		held.callback(process.join)
		held.callback(process.kill)
		readers[ours] = process
	return readers


def _serve(requests: Connection, others: list[Connection], sites: Sequence[LocatedSite]) -> None:
	"""Read the sites whose numbers are asked for, until the other process is gone."""
	signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C comes here too, and the other process reports it
	for connection in others:
		connection.close()  # an end held here would hide that the other process is gone
	with contextlib.suppress(EOFError, ConnectionError):
		while True:
			requests.send(read_site(sites[requests.recv()], sizes=True))


def _how_it_ended(process: ForkProcess, located: LocatedSite) -> str:
	process.join()
	code = process.exitcode or 0
	how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
	return f"the process that read the files of {located.site.name} {how}: the sizes are not known. Try again"
