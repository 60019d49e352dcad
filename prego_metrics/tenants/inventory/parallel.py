"""Many sites' folders read by a few processes.

A walk keeps the interpreter as busy as the kernel, so threads would wait for each other: two were slower than one.
The processes are forks: they have the sites already, and no password goes through a pipe. `multiprocessing` would do
the same, and its import alone takes a third as long as the command's own start.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, NoReturn

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.tenants.inventory.site_folder import LocatedSite, SiteOnDisk, read_site

MAX_PROCESSES = 4


class ReaderLost(PregoMetricsError):
	"""A process that read a site's folder ended before it had answered."""


class _Reader(NamedTuple):
	"""A process that reads the sites whose numbers are written to requests, one a line, and answers with pickles."""

	pid: int
	requests: BinaryIO
	answers: BinaryIO


def read_sites(sites: Sequence[LocatedSite], *, sizes: bool) -> Iterator[tuple[LocatedSite, SiteOnDisk]]:
	"""Give each site as it has been read, in no order; with `sizes`, by as many processes as there are CPUs.

	The processes end with the iteration, however that ends. Not to be used beside other threads. Raises ReaderLost.
	"""
	count = min(len(os.sched_getaffinity(0)), MAX_PROCESSES, len(sites)) if sizes else 1
	with contextlib.ExitStack() as held:
		readers = _start(count, sites, held) if count > 1 else []
		if not readers:
			yield from ((located, read_site(located, sizes=sizes)) for located in sites)
			return
		waiting = iter(range(len(sites)))
		reading: dict[_Reader, int] = {}
		idle = readers
		while idle:
			for reader, number in zip(idle, waiting, strict=False):
				reading[reader] = number
				with contextlib.suppress(BrokenPipeError):  # its process has ended: its answer will say so
					reader.requests.write(b"%d\n" % number)
			answered = select.select([reader.answers for reader in reading], [], [])[0] if reading else []
			idle = [reader for reader in reading if reader.answers in answered]
			for reader in idle:
				located = sites[reading.pop(reader)]
				try:
					disk = pickle.load(reader.answers)
				except (EOFError, pickle.UnpicklingError):
					raise ReaderLost(_how_it_ended(reader, located)) from None
				yield located, disk


def _start(count: int, sites: Sequence[LocatedSite], held: contextlib.ExitStack) -> list[_Reader]:
	readers: list[_Reader] = []
	for _ in range(count):
		requests, answers = os.pipe(), os.pipe()
		try:
			pid = os.fork()
		except OSError:
			for descriptor in (*requests, *answers):
				os.close(descriptor)
			break  # no more processes are allowed: those that are there do it, or this one alone
		if not pid:
			# An end held here would hide that the other process is gone.
			ours = [end.fileno() for reader in readers for end in (reader.requests, reader.answers)]
			_serve(requests[0], answers[1], [*ours, requests[1], answers[0]], sites)
		os.close(requests[0])
		os.close(answers[1])
		reader = _Reader(pid, open(requests[1], "wb", buffering=0), open(answers[0], "rb"))
		readers.append(reader)
		held.callback(_end, reader)
	return readers


def _serve(requests: int, answers: int, others: list[int], sites: Sequence[LocatedSite]) -> NoReturn:
	"""Read the sites whose numbers are asked for, until the other process is gone; then end, and unwind nothing."""
	code = 1
	try:
		# Ctrl-C comes here too, and the other process reports it.
		signal.signal(signal.SIGINT, signal.SIG_DFL)
		for descriptor in others:
			os.close(descriptor)
		with open(requests, "rb") as lines, contextlib.suppress(BrokenPipeError):
			for line in lines:
				disk = pickle.dumps(read_site(sites[int(line)], sizes=True))
				while disk:
					disk = disk[os.write(answers, disk) :]
		code = 0
	except Exception as error:  # noqa: BLE001 - shown, as nobody above is left to
		sys.excepthook(type(error), error, error.__traceback__)
	finally:
		os._exit(code)


def _end(reader: _Reader) -> None:
	reader.requests.close()
	reader.answers.close()
	os.kill(reader.pid, signal.SIGKILL)
	os.waitpid(reader.pid, 0)


def _how_it_ended(reader: _Reader, located: LocatedSite) -> str:
	result = os.waitid(os.P_PID, reader.pid, os.WEXITED | os.WNOWAIT)
	assert result  # None is for WNOHANG alone
	how = "ended with exit code" if result.si_code == os.CLD_EXITED else "was killed by signal"
	return f"the process that read the files of {located.site.name} {how} {result.si_status}: the sizes are not known. Try again"
