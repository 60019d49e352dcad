"""What the tests of the local control plane share: a client with the key, and requests as bytes."""

from __future__ import annotations

import http.client
import socket
from typing import Any

import requests

from prego_metrics.sandbox.server import LocalControlPlane

KEY = "a-key-for-tests-0123456789"


PUSH = "/internal/server-metrics"


FULL_PAYLOAD = {
	"node_id": "sg-1",
	"cpu_pct": 12.5,
	"memory_pct": 48.1,
	"disk_pct": 61.0,
	"tenant_count": 42,
	"source": "node_push",
}


class Client:
	"""A client with the right key, unless told otherwise."""

	def __init__(self, session: requests.Session, control_plane: LocalControlPlane) -> None:
		self.session = session
		self.url = control_plane.url

	def call(
		self, method: str, path: str, authorization: str | None = f"Bearer {KEY}", **options: Any
	) -> Any:
		headers = {} if authorization is None else {"Authorization": authorization}
		return self.session.request(method, self.url + path, headers=headers, timeout=10, **options)

	def push(self, **payload: Any) -> Any:
		return self.call("POST", PUSH, json=payload)


def raw_exchange(control_plane: LocalControlPlane, request: bytes) -> int:
	"""Send bytes as they are, keep the connection open, and return the status of the whole answer."""
	with socket.create_connection(("127.0.0.1", control_plane.port), timeout=10) as connection:
		connection.sendall(request)
		with http.client.HTTPResponse(connection) as answer:
			answer.begin()
			answer.read()
			return answer.status


def head(*lines: str) -> bytes:
	return "\r\n".join(
		[f"POST {PUSH} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", *lines, "", ""]
	).encode()
