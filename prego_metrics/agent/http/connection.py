"""The connection under an exchange, to be cut at any time by whoever waits for it.

A watchdog, or the caller who gives up, shuts the socket down under urllib3, whatever that is doing: TLS,
a proxy's tunnel, sending, reading. What is not connected yet (a resolver cannot be interrupted) is refused
the moment it is.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator

import requests.adapters
import urllib3.connection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from prego_metrics.agent.base.time_limits import ThreadsExhausted
from prego_metrics.agent.http.addresses import addresses_of, first_connected
from prego_metrics.agent.light_typing import Any


class Connection:
	"""The connection that is open now, seen from the threads that may have to cut it.

	cut: its time is over. reached: the request may have got to the server.
	"""

	def __init__(self) -> None:
		self._lock = threading.RLock()
		self._socket: socket.socket | None = None
		self._abandoned = False
		self.cut = False
		self.reached = False

	def begin(self) -> None:
		"""Begin an attempt; refuse it if the exchange was abandoned."""
		with self._lock:
			self.cut = False
			# On a connection that was kept, the request is sent at once.
			self.reached = self._socket is not None
			self.refuse_if_over()

	def end(self) -> None:
		with self._lock:
			if self._socket:
				self._socket.close()
				self._socket = None

	def opened(self, opened: socket.socket) -> None:
		"""Note a connection before TLS or a proxy's tunnel begin on it; refuse it if its time is over."""
		with self._lock:
			self.refuse_if_over()
			if self._socket:
				self._socket.close()  # of a connection that was kept for a next attempt, and broke
			# A second handle on the same connection: TLS takes the first one apart.
			self._socket = socket.socket(fileno=os.dup(opened.fileno()))

	def connected(self) -> None:
		"""Note that the request follows now; refuse it if its time is over."""
		with self._lock:
			self.refuse_if_over()
			self.reached = True

	def abandon(self) -> None:
		"""Cut the connection, and refuse every other from now on."""
		with self._lock:
			self._abandoned = True
		self.shut_down()

	def shut_down(self) -> None:
		"""Cut the connection of this attempt, or refuse it when it comes."""
		with self._lock:
			self.cut = True
			if self._socket:
				with contextlib.suppress(OSError):
					self._socket.shutdown(socket.SHUT_RDWR)

	@contextlib.contextmanager
	def limit(self, seconds: float) -> Iterator[None]:
		"""Cut the connection when `seconds` are over, unless the block is left before."""
		watchdog = threading.Timer(seconds, self.shut_down)
		watchdog.daemon = True
		try:
			watchdog.start()
		except RuntimeError:
			raise ThreadsExhausted from None
		try:
			yield
		finally:
			watchdog.cancel()
			# One that is just going off must not cut what comes next.
			watchdog.join()

	def refuse_if_over(self) -> None:
		"""Raise OSError if this attempt's time is over."""
		with self._lock:
			if self._abandoned or self.cut:
				raise OSError("too late")


class _WholeLines:
	"""A file of which each line has to end: to http.client, headers that break off are headers that are complete."""

	def __init__(self, file: Any) -> None:
		self._file = file

	def __getattr__(self, name: str) -> Any:
		return getattr(self._file, name)

	def readline(self, limit: int) -> bytes:
		line: bytes = self._file.readline(limit)
		if len(line) < limit and not line.endswith(b"\n"):
			raise http.client.RemoteDisconnected(
				"the connection was closed before the answer's headers ended"
			)
		return line


class _FinalResponse(http.client.HTTPResponse):
	"""Reads past what is not an answer yet: of the informational ones http.client knows 100 alone.

	An answer whose headers break off is none: what they would say against it may be missing.
	"""

	def begin(self) -> None:
		file, self.fp = self.fp, _WholeLines(self.fp)  # type: ignore[assignment]
		super().begin()
		self.fp = file

	def _read_status(self) -> tuple[str, int, str]:
		while True:
			version, status, reason = super()._read_status()  # type: ignore[misc]
			# Another protocol, which nobody asked for, is what follows a 101.
			if not 100 < status < 200 or status == 101:
				return version, status, reason
			http.client.parse_headers(self.fp)


class _Reporting(urllib3.connection.HTTPConnection):
	"""A connection of urllib3's that reports to the one that can be cut."""

	cuttable: Connection
	response_class = _FinalResponse

	def _new_conn(self) -> socket.socket:
		opened = self._connected()
		try:
			self.cuttable.opened(opened)
		except BaseException:
			opened.close()
			raise
		return opened

	def _connected(self) -> socket.socket:
		"""Connect to the first address that answers within its share of the time."""
		seconds = self.timeout
		if not isinstance(seconds, int | float):
			return super()._new_conn()
		host = self._dns_host

		def connect(address: str, share_seconds: float) -> socket.socket:
			self.cuttable.refuse_if_over()
			self._dns_host, self.timeout = address, share_seconds
			try:
				return super(_Reporting, self)._new_conn()
			finally:
				self._dns_host, self.timeout = host, seconds

		opened = first_connected(connect, addresses_of(host, self.port), seconds)
		opened.settimeout(seconds)
		return opened

	def connect(self) -> None:
		super().connect()
		self.cuttable.connected()


class _ReportingTls(_Reporting, urllib3.connection.HTTPSConnection):
	pass


class UnredirectedSession(requests.Session):
	"""requests' session, which would read a whole body, and stumble over a Location, for a redirect not followed."""

	def get_redirect_target(self, resp: requests.Response) -> None:
		return None


class CuttableAdapter(requests.adapters.HTTPAdapter):
	"""requests' adapter, with connections that can be cut; it retries nothing."""

	def __init__(self, connection: Connection) -> None:
		class Plain(_Reporting):
			cuttable = connection

		class Tls(_ReportingTls):
			cuttable = connection

		# urllib3 makes connections by itself, of the class that a pool names.
		self._pools = {
			"http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
			"https": type("TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": Tls}),
		}
		super().__init__()

	def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
		super().init_poolmanager(*args, **kwargs)
		self.poolmanager.pool_classes_by_scheme = self._pools

	def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
		manager = super().proxy_manager_for(*args, **kwargs)
		manager.pool_classes_by_scheme = self._pools
		return manager


def causes_of(error: BaseException) -> list[BaseException]:
	"""Return an error and all that it wraps, outermost first."""
	causes: list[BaseException] = []
	waiting: list[object] = [error]
	while waiting and len(causes) < 20:
		cause = waiting.pop(0)
		if isinstance(cause, BaseException) and cause not in causes:
			causes.append(cause)
			waiting += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]
	return causes
