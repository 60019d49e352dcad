"""Which lines each test executes: begun by `make mutation` in every Python process of its tests.

A line is appended to a file when a test first executes it. So what a process executed that is then killed, or that
dropped root, is there too.
"""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType
from typing import Any

LINES = "lines"
CURRENT = "current"
NO_TEST = "-1"


class Tracer:
	"""Appends "test, module, line" to the file of lines."""

	def __init__(self, folder: str, code: str) -> None:
		self._code = code
		self._lines = os.open(f"{folder}/{LINES}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
		self._current = f"{folder}/{CURRENT}"
		self._read_current()
		# Tests of the command line run it in forks of one process.
		os.register_at_fork(after_in_child=self._read_current)

	def _read_current(self) -> None:
		self._executed: set[tuple[str, int]] = set()
		try:
			with open(self._current) as file:
				self._test = file.read()
		except OSError:
			self._test = NO_TEST

	def begin(self, test: str) -> None:
		self._test = test
		self._executed = set()
		# Python stops tracing once a trace function raises, as one does in which a test's signal arrives.
		sys.settrace(self.trace)

	def trace(self, frame: FrameType, event: str, argument: object) -> Any:
		return self._trace_line if frame.f_code.co_filename.startswith(self._code) else None

	def _trace_line(self, frame: FrameType, event: str, argument: object) -> Any:
		place = (frame.f_code.co_filename, frame.f_lineno)
		if place not in self._executed:
			self._executed.add(place)
			try:
				os.write(self._lines, f"{self._test}\t{place[0]}\t{place[1]}\n".encode())
			except OSError:
				# A test takes away the descriptor, or the room for files.
				return None
		return self._trace_line


tracer: Tracer | None = None


def start(folder: str, code: str) -> None:
	"""Trace what this process executes of the files below `code`."""
	global tracer
	tracer = Tracer(folder, code)
	threading.settrace(tracer.trace)
	sys.settrace(tracer.trace)
