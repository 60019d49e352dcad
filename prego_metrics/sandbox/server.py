"""The stand-in as a server on a loopback address, in a thread beside a test or in the foreground.

Never for production: one process, one key, no TLS, and a store that may live in memory only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.sandbox.app import ControlPlaneApp
from prego_metrics.sandbox.store import Store

OnRequest = Callable[[str], object]

# How long a client may stay silent within a request, and how long it may keep on sending after its answer.
SILENCE_SECONDS = 10.0
LINGER_SECONDS = 0.5
_POLL_SECONDS = 0.02
_LINGER_BYTES = 8 * 1024 * 1024
_BACKLOG = 128

logger = logging.getLogger(__name__)


class LocalControlPlane:
	"""A control plane on loopback: `with LocalControlPlane(key) as control_plane: … control_plane.url`.

	The port is bound from the beginning (so `url` is known), and answers from `start` on, which the
	context manager calls. `on_request` gets one line for each answer, method, path and status, from the
	thread that served it; never a header, a query or the key. Raises ValueError for a host that is not a
	loopback address or a key that no header can carry, OSError if the port is taken.
	"""

	def __init__(
		self,
		key: str,
		*,
		database: str = ":memory:",
		register_unknown: bool = False,
		snapshots: bool = True,
		host: str = "127.0.0.1",
		port: int = 0,
		on_request: OnRequest | None = None,
	) -> None:
		address = _loopback(host)
		with contextlib.ExitStack() as undo:
			listener = undo.enter_context(_listen(address, port))
			self.store = Store(database, snapshots=snapshots)
			undo.callback(self.store.close)
			app = ControlPlaneApp(self.store, key, register_unknown=register_unknown)
			self._server = _Server(address, app, listener, _request_line_reporter(on_request, key))
			# The server listens on its own copy of the socket; only the store must outlive this block.
			undo.pop_all()
			listener.close()
		self._thread: threading.Thread | None = None
		self._closed = False

	@property
	def port(self) -> int:
		return self._server.port

	@property
	def url(self) -> str:
		"""The base URL, without a trailing slash."""
		host = self._server.host
		return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

	def start(self) -> LocalControlPlane:
		"""Answer from now on, in a daemon thread; does nothing when it already does."""
		if self._closed:
			raise RuntimeError("the local control plane is closed: make a new one")
		if self._thread is None:
			self._thread = threading.Thread(
				target=self._server.serve_forever,
				args=(_POLL_SECONDS,),
				name="local-control-plane",
				daemon=True,
			)
			self._thread.start()
		return self

	def serve_forever(self) -> None:
		"""Answer until `close` is called elsewhere; an interrupt comes out of here, with all still open."""
		self.start()
		if self._thread is not None:
			self._thread.join()

	def close(self) -> None:
		"""Free the port, cut the open connections, wait for their threads, close the store."""
		if self._closed:
			return
		self._closed = True
		if self._thread is None:
			self._server.server_close()
		else:
			self._server.shutdown()
			self._server.cut_connections()
			self._thread.join()
		self.store.close()

	def __enter__(self) -> LocalControlPlane:
		return self.start()

	def __exit__(
		self,
		kind: type[BaseException] | None,
		error: BaseException | None,
		traceback: TracebackType | None,
	) -> None:
		self.close()


class _Server(ThreadedWSGIServer):
	"""A thread a connection; it knows its connections, so that closing does not wait for idle clients."""

	daemon_threads = False  # server_close waits for those that are not

	def __init__(
		self, address: str, app: ControlPlaneApp, listener: socket.socket, report: OnRequest
	) -> None:
		self.report = report
		self._connections: set[socket.socket] = set()
		self._connections_lock = threading.Lock()
		# Werkzeug ends the process when it cannot bind, so it is given a socket that is bound already.
		super().__init__(address, 0, app, _RequestHandler, fd=listener.fileno())

	def get_request(self) -> tuple[socket.socket, Any]:
		connection, client = super().get_request()
		with self._connections_lock:
			self._connections.add(connection)
		return connection, client

	def shutdown_request(self, request: Any) -> None:
		"""Close a connection after what the client still sends: else a reset could overtake the answer."""
		with contextlib.suppress(OSError):
			_linger(request)
		with self._connections_lock:
			self._connections.discard(request)
		super().shutdown_request(request)

	def cut_connections(self) -> None:
		with self._connections_lock:
			for connection in self._connections:
				with contextlib.suppress(OSError):
					connection.shutdown(socket.SHUT_RDWR)

	def log(self, type: str, message: str, *args: Any) -> None:
		"""Keep Werkzeug's own lines, which it would print, to what is an error of ours."""
		if type == "error":
			logger.error(message, *args)


class _RequestHandler(WSGIRequestHandler):
	"""Silent but for one reported line an answer, and JSON where http.server would answer with HTML."""

	server: _Server
	timeout = SILENCE_SECONDS

	def run_wsgi(self) -> None:
		"""Answer through the application, if the target can be split at all: Werkzeug would not answer."""
		try:
			urlsplit(self.path)
		except ValueError:
			self.send_error(HTTPStatus.BAD_REQUEST)
		else:
			super().run_wsgi()

	def send_response(self, code: int, message: str | None = None) -> None:
		"""Begin the answer; what the client sends after it is waited for only as long as lingering takes."""
		self.connection.settimeout(LINGER_SECONDS)
		super().send_response(code, message)

	def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
		status = int(code) if isinstance(code, int) else code
		path = getattr(self, "path", "-").partition("?")[0]
		self.server.report(f"{getattr(self, 'command', None) or '-'} {unquote(path)} {status}")

	def log(self, type: str, message: str, *args: Any) -> None:
		"""Say nothing: what http.server and Werkzeug log here may repeat what a client sent."""

	def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
		"""Answer a request that is not even HTTP, without repeating any of it."""
		body = json.dumps({"error": HTTPStatus(code).phrase}).encode()
		# Before it has parsed a version, http.server believes in HTTP/0.9 and would send no headers.
		self.request_version = self.protocol_version
		self.send_response(code)
		self.send_header("Content-Type", "application/json")
		self.send_header("Content-Length", str(len(body)))
		self.send_header("Connection", "close")
		self.end_headers()
		self.wfile.write(body)


def _linger(connection: socket.socket) -> None:
	connection.shutdown(socket.SHUT_WR)
	connection.settimeout(LINGER_SECONDS)
	received = 0
	while received < _LINGER_BYTES and (part := connection.recv(65536)):
		received += len(part)


def _request_line_reporter(on_request: OnRequest | None, key: str) -> OnRequest:
	"""Return what makes a line fit to show, without the key, and hands it on."""
	if on_request is None:
		return lambda line: None
	return lambda line: on_request(sanitize(line.replace(key, "[key]")))


def _loopback(host: str) -> str:
	"""Return the address for `host`, which must be one of loopback, or exactly localhost."""
	try:
		address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
	except ValueError:
		address = None
	if address is None or not address.is_loopback:
		raise ValueError(
			f"{sanitize(host)} is not a loopback address: the local control plane is not for production, "
			"and serves 127.0.0.1, ::1 or localhost only"
		)
	return str(address)


def _listen(address: str, port: int) -> socket.socket:
	family = socket.AF_INET6 if ":" in address else socket.AF_INET
	listener = socket.socket(family, socket.SOCK_STREAM)
	try:
		listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		listener.bind((address, port))
		listener.listen(_BACKLOG)
	except BaseException:
		listener.close()
		raise
	return listener
