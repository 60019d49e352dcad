"""A server that answers in any way it likes: raw bytes on real sockets of loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

Behaviour = Callable[["Exchange"], object]

_SILENCE_SECONDS = 20.0
_ROW = b"GET /internal/nodes/"


class Exchange:
	"""One connection, as the server's side sees it."""

	def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
		self.connection = connection
		self.closing = closing
		self.request = b""

	def read_request(self) -> bytes:
		"""Read a request's head and its body, as far as the client sends it."""
		while b"\r\n\r\n" not in self.request and (part := self.connection.recv(65536)):
			self.request += part
		head, _, body = self.request.partition(b"\r\n\r\n")
		announced = 0
		for line in head.split(b"\r\n"):
			if line.lower().startswith(b"content-length:"):
				announced = int(line.partition(b":")[2])
		while len(body) < announced and (part := self.connection.recv(65536)):
			self.request += part
			body += part
		return self.request

	@property
	def bearer(self) -> str:
		"""What the client sent as its key."""
		for line in self.request.split(b"\r\n"):
			if line.lower().startswith(b"authorization: bearer "):
				return line.split(b" ", 2)[2].decode()
		return ""

	def send(self, content: bytes) -> None:
		self.connection.sendall(content)

	def send_for_ever(self, content: bytes, every_seconds: float = 0.0) -> None:
		"""Send something again and again, until the client is gone or the server closes."""
		while not self.closing.wait(every_seconds):
			self.connection.sendall(content)

	def wait(self) -> None:
		"""Say nothing until the client is gone."""
		while not self.closing.is_set() and self.connection.recv(65536):
			pass

	def reset(self) -> None:
		"""End the connection with a RST instead of a FIN."""
		self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		self.connection.close()


class HostileServer:
	"""`with HostileServer(behaviour, …) as server: … server.url`.

	The first connection gets the first behaviour, and so on; the last one stays. `requests` holds what
	each client sent, `connections` counts them. With `tls`, connections are wrapped before anything else;
	without `reads`, the behaviour begins before the request was read; without `listens`, nothing is accepted.
	A node's row, which a push reads back, names the node that was asked for and is counted nowhere; with `rows`,
	it is a request as any other.
	"""

	def __init__(
		self,
		*behaviours: Behaviour,
		tls: ssl.SSLContext | None = None,
		reads: bool = True,
		listens: bool = True,
		rows: bool = False,
	) -> None:
		self._behaviours = behaviours
		self._tls = tls
		self._reads = reads
		self._rows = rows
		self._closing = threading.Event()
		self._listener = socket.socket()
		self._listener.bind(("127.0.0.1", 0))
		self._listens = listens
		self._threads: list[threading.Thread] = []
		self._open: set[socket.socket] = set()
		self.requests: list[bytes] = []
		self.connections = 0

	@property
	def port(self) -> int:
		return self._listener.getsockname()[1]

	@property
	def url(self) -> str:
		return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

	@property
	def bodies(self) -> list[bytes]:
		return [request.partition(b"\r\n\r\n")[2] for request in self.requests]

	def __enter__(self) -> HostileServer:
		if self._listens:
			self.listen()
		return self

	def listen(self) -> None:
		"""Accept connections from now on; without `listens`, they were refused until then."""
		self._listener.listen(128)
		self._start(self._accept)

	def __exit__(self, *_: object) -> None:
		self._closing.set()
		with contextlib.suppress(OSError):
			self._listener.shutdown(socket.SHUT_RDWR)
		self._listener.close()
		for connection in list(self._open):
			with contextlib.suppress(OSError):
				connection.shutdown(socket.SHUT_RDWR)
		for thread in self._threads:
			thread.join(5)

	def _start(self, target: Callable[..., None], *arguments: Any) -> None:
		thread = threading.Thread(target=target, args=arguments, daemon=True)
		self._threads.append(thread)
		thread.start()

	def _accept(self) -> None:
		while not self._closing.is_set():
			try:
				connection, _ = self._listener.accept()
			except OSError:
				return
			number = self.connections
			self.connections += 1
			self._open.add(connection)
			behaviour = self._behaviours[min(number, len(self._behaviours) - 1)]
			self._start(self._serve, connection, behaviour)

	def _serve(self, connection: socket.socket, behaviour: Behaviour) -> None:
		connection.settimeout(_SILENCE_SECONDS)
		raw = connection
		# A client that leaves, or a handshake that fails, is what these tests are about.
		with contextlib.suppress(OSError), contextlib.ExitStack() as leaving:
			leaving.callback(raw.close)
			if self._tls:
				connection = self._tls.wrap_socket(connection, server_side=True)
				self._open.add(connection)
				leaving.callback(connection.close)
			exchange = Exchange(connection, self._closing)
			if self._reads:
				exchange.read_request()
				if not self._rows and exchange.request.startswith(_ROW):
					self.connections -= 1
					behaviour = _name_node
				elif exchange.request:
					self.requests.append(exchange.request)
			behaviour(exchange)


def _name_node(exchange: Exchange) -> None:
	node_id = unquote(exchange.request.split(b" ")[1].removeprefix(_ROW.split(b" ")[1]).decode())
	answer(200, json.dumps({"node": {"node_id": node_id}}).encode())(exchange)


def answer(
	status: int, body: bytes = b"{}", *headers: str, length: int | None = None, reason: str = "Whatever"
) -> Behaviour:
	"""Answer properly; `length` announces another length than the body's."""

	def behave(exchange: Exchange) -> None:
		exchange.send(head(status, *headers, f"Content-Length: {len(body) if length is None else length}"))
		exchange.send(body)

	return behave


def echo(status: int, notation: Callable[[str], str], *, cut: int | None = None) -> Behaviour:
	"""Answer with the client's key in some notation; `cut` closes after that many of its characters."""

	def behave(exchange: Exchange) -> None:
		body = f'{{"error": "wrong key: {notation(exchange.bearer)[:cut]}'.encode()
		if cut is None:
			body += b'"}'
		exchange.send(head(status, f"Content-Length: {len(body) if cut is None else 4000}") + body)

	return behave


def head(status: int, *headers: str) -> bytes:
	lines = (f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", *headers)
	return "\r\n".join((*lines, "", "")).encode()
