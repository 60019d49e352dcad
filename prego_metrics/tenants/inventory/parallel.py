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
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.tenants.inventory.site_folder import LocatedSite, SiteOnDisk, read_site

MAX_PROCESSES = 4
# Of one answer, which is one packet: the names of the bench's apps make the most of it, read from at most 64 KiB.
_MAX_PACKET_BYTES = 1 << 18


class ReaderLost(PregoMetricsError):
	"""A process that read a site's folder ended before it had answered."""


def read_sites(sites: Sequence[LocatedSite], *, sizes: bool) -> Iterator[tuple[LocatedSite, SiteOnDisk]]:
	"""Give each site as it has been read, in no order; with `sizes`, by as many processes as there are CPUs.

	The processes end with the iteration, however that ends. Not to be used beside other threads. Raises ReaderLost.
	"""
	count = min(len(os.sched_getaffinity(0)), MAX_PROCESSES, len(sites)) if sizes else 1
	with contextlib.ExitStack() as held:
		pids = _start(count, sites, held) if count > 1 else {}
		if not pids:
			yield from ((located, read_site(located, sizes=sizes)) for located in sites)
			return
		waiting = iter(enumerate(sites))
		reading: dict[socket.socket, LocatedSite] = {}
		idle = list(pids)
		while idle:
			for reader, (number, located) in zip(idle, waiting, strict=False):
				reading[reader] = located
				with contextlib.suppress(ConnectionError):  # its process has ended: its answer will say so
					reader.send(b"%d" % number)
			idle = select.select(list(reading), [], [])[0] if reading else []
			for reader in idle:
				located, answer = reading.pop(reader), b""
				with contextlib.suppress(ConnectionError):
					answer = reader.recv(_MAX_PACKET_BYTES)
				if not answer:
					raise ReaderLost(_how_it_ended(pids[reader], located))
				yield located, pickle.loads(answer)


def _start(count: int, sites: Sequence[LocatedSite], held: contextlib.ExitStack) -> dict[socket.socket, int]:
	"""Return the processes that read the sites whose numbers they are sent, each by the socket to it."""
	pids: dict[socket.socket, int] = {}
	for _ in range(count):
		ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		with theirs:
			try:
				pid = os.fork()
			except OSError:
				ours.close()
				break  # no more processes are allowed: those that are there do it, or this one alone
			if not pid:
				# An end held here would hide that the other process is gone.
				_serve(theirs, [*pids, ours], sites)
		pids[ours] = pid
		held.callback(_end, ours, pid)
	return pids


def _serve(asked: socket.socket, others: list[socket.socket], sites: Sequence[LocatedSite]) -> NoReturn:
	"""Read the sites whose numbers are asked for, until the other process is gone; then end, and unwind nothing."""
	code = 1
	try:
		# Ctrl-C comes here too, and the other process reports it.
		signal.signal(signal.SIGINT, signal.SIG_DFL)
		for end in others:
			end.close()
		with contextlib.suppress(ConnectionError):
			while number := asked.recv(_MAX_PACKET_BYTES):
				asked.send(pickle.dumps(read_site(sites[int(number)], sizes=True)))
		code = 0
	except Exception as error:  # noqa: BLE001 - shown, as nobody above is left to
		sys.excepthook(type(error), error, error.__traceback__)
	finally:
		os._exit(code)


def _end(reader: socket.socket, pid: int) -> None:
	reader.close()
	os.kill(pid, signal.SIGKILL)
	os.waitpid(pid, 0)


def _how_it_ended(pid: int, located: LocatedSite) -> str:
	result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
	assert result  # None is for WNOHANG alone
	how = "ended with exit code" if result.si_code == os.CLD_EXITED else "was killed by signal"
	return f"the process that read the files of {located.site.name} {how} {result.si_status}: the sizes are not known. Try again"
