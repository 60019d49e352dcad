"""The stand-in as a server on 127.0.0.1, in a thread. Never for production: one key, no TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from werkzeug.serving import WSGIRequestHandler, make_server

from prego_metrics.sandbox.app import ControlPlaneApp
from prego_metrics.sandbox.store import Store


class LocalControlPlane:
	"""A control plane on loopback: `with LocalControlPlane(key) as plane: … plane.url, plane.store`.

	The port is bound from the beginning, so `url` is known; answers come from `start` on, which the
	context manager calls. `on_request` gets a line for each answer, such as `POST /internal/nodes 201`, in
	the thread that serves it. Raises ValueError for a key that no header can carry, OSError if the port is
	taken, sqlite3.Error for a database that cannot be used.
	"""

	def __init__(
		self,
		key: str,
		*,
		database: str = ":memory:",
		register_unknown: bool = False,
		snapshots: bool = True,
		port: int = 0,
		on_request: Callable[[str], object] = lambda line: None,
	) -> None:
		self.store = Store(database, snapshots=snapshots)
		try:
			app = ControlPlaneApp(self.store, key, register_unknown, on_request)
			# Werkzeug ends the process where it cannot bind, so it gets a copy of a bound socket.
			with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
				self._server = make_server(
					"127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
				)
		except BaseException:
			self.store.close()
			raise
		self.port = self._server.port
		self.url = f"http://127.0.0.1:{self.port}"
		self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

	def start(self) -> LocalControlPlane:
		"""Answer from now on, in a daemon thread. To be called once."""
		self._thread.start()
		return self

	def close(self) -> None:
		"""Free the port and close the store, whatever clients still wait for; may be repeated."""
		if self._thread.is_alive():
			self._server.shutdown()
			self._thread.join()
		self._server.server_close()
		self.store.close()

	def __enter__(self) -> LocalControlPlane:
		return self.start()

	def __exit__(self, *_: object) -> None:
		self.close()


class _QuietHandler(WSGIRequestHandler):
	"""Prints nothing, and gives up on a client that is silent for ten seconds."""

	timeout = 10

	def log(self, type: str, message: str, *args: object) -> None:
		pass
