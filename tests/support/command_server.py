"""The command line in forks of one process that has imported it: starting Python is most of what a short command costs.

Each fork is a process of its own, with the environment, folder, user and streams that it is given, and ends as Python
does. What Python reads of its environment at the start alone is for a new one.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from run_as import IMPORTS

_SERVER = f"""
import gc, json, os, signal, socket, sys, time
{IMPORTS}
server = socket.socket(fileno=int(sys.argv[1]))
gc.freeze()
while True:
	request, streams, _, _ = socket.recv_fds(server, 1 << 20, 3)
	if not request:
		sys.exit()
	child = os.fork()
	if child == 0:
		break
	for stream in streams:
		os.close(stream)
	server.send(str(child).encode())
	server.send(str(os.waitpid(child, 0)[1]).encode())
server.close()
for number, stream in enumerate(streams):
	os.dup2(stream, number)
	os.close(stream)
arguments, environ, folder, umask, uid = json.loads(request)
os.chdir(folder)
os.umask(umask)
os.environ.clear()
os.environ.update(environ)
time.tzset()
sys.argv = [sys.modules[main.__module__].__file__, *arguments]
if uid:
	os.setgroups([])
	os.setresgid(uid, uid, uid)
	os.setresuid(uid, uid, uid)
main()
"""


class Commands:
	"""The process that forks, made when the first command is run. To be closed."""

	def __init__(self) -> None:
		self._lock = threading.Lock()
		self._server: subprocess.Popen[bytes] | None = None

	def run(
		self,
		arguments: list[str],
		environ: Mapping[str, str],
		*,
		cwd: Path | None,
		uid: int,
		timeout: float,
		errors: str = "strict",
	) -> subprocess.CompletedProcess[str] | None:
		"""Run a command as `subprocess.run` does; None where it needs an interpreter of its own, or another runs."""
		if not self._lock.acquire(blocking=False):
			return None
		try:
			mounts = os.readlink("/proc/self/ns/mnt")  # a test may have left for mounts of its own
			if self._server is None or mounts != self._mounts:
				self.close()
				self._mounts = mounts
				self._start(environ)
			if _at_start(environ) != self._environ:
				return None
			umask = os.umask(0o077)
			os.umask(umask)
			request = json.dumps([arguments, dict(environ), str(cwd or Path.cwd()), umask, uid]).encode()
			return self._run(request, arguments, timeout, errors)
		finally:
			self._lock.release()

	def _start(self, environ: Mapping[str, str]) -> None:
		self._environ = _at_start(environ)
		self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		with theirs:
			self._server = subprocess.Popen(
				[sys.executable, "-c", _SERVER, str(theirs.fileno())],
				env=environ,
				pass_fds=[theirs.fileno()],
				stdin=subprocess.DEVNULL,
				# As pipes, as they are in each fork: Python buffers them by what they are.
				stdout=subprocess.PIPE,
				stderr=subprocess.PIPE,
			)

	def _run(
		self, request: bytes, arguments: list[str], timeout: float, errors: str
	) -> subprocess.CompletedProcess[str]:
		output: dict[int, bytes] = {}
		with open(os.devnull) as stdin, selectors.DefaultSelector() as selector:
			pipes = [os.pipe(), os.pipe()]
			socket.send_fds(self._socket, [request], [stdin.fileno(), *(writing for _, writing in pipes)])
			for reading, writing in pipes:
				os.close(writing)
				selector.register(reading, selectors.EVENT_READ)
				output[reading] = b""
			child = int(self._socket.recv(32))
			ends_at = time.monotonic() + timeout
			late = False
			while selector.get_map():
				for key, _ in selector.select(max(0.0, ends_at - time.monotonic())):
					part = os.read(key.fd, 1 << 16)
					output[key.fd] += part
					if not part:
						selector.unregister(key.fd)
						os.close(key.fd)
				if not late and time.monotonic() >= ends_at:
					late = True
					os.kill(child, signal.SIGKILL)
		code = os.waitstatus_to_exitcode(int(self._socket.recv(32)))
		stdout, stderr = (content.decode(errors=errors) for content in output.values())
		if late:
			raise subprocess.TimeoutExpired(arguments, timeout, stdout, stderr)
		return subprocess.CompletedProcess(arguments, code, stdout, stderr)

	def close(self) -> None:
		if self._server:
			self._socket.close()
			self._server.communicate()
			self._server = None


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
	names = ("PYTHON", "LC_", "LANG", "LD_")
	return {name: value for name, value in environ.items() if name.startswith(names)}
