"""The part of the Hetzner Cloud API that the sidecar reads, as a real HTTP server on loopback.

Its answers have the shapes that the API describes: servers in pages of at most 50 with `meta.pagination`,
metrics as pairs of a timestamp and a text, errors as `{"error": {"code", "message"}}`, and the rate limit
in headers. `faults` makes a path fail: it maps `servers?page=2`, or a server's number, to what happens.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "Xq7vN2kW9zR4mT8yB3cF6hJ1pL5sD0gA"


@dataclass(frozen=True)
class Answer:
	"""What a path answers in place of what it should: `cut` ends half-way, `drip` takes ten seconds."""

	status: int = 200
	code: str = "service_error"
	headers: dict[str, str] = field(default_factory=dict)
	cut: bool = False
	drip: bool = False
	body: str | None = None
	times: int = 1000


def server(number: int, name: str = "", **labels: str) -> dict[str, Any]:
	"""A running server of four cores, as the API lists it."""
	return {
		"id": number,
		"name": name or f"app-{number}",
		"status": "running",
		"created": "2026-01-30T23:55:00Z",
		"labels": {key.replace("_", "-"): value for key, value in labels.items()},
		"server_type": {"id": 22, "name": "cx32", "cores": 4, "memory": 8.0, "disk": 80},
		"location": {"id": 1, "name": "sin", "country": "SG", "network_zone": "ap-southeast"},
		"public_net": {"ipv4": None, "ipv6": None, "floating_ips": [], "firewalls": []},
		"private_net": [],
		"volumes": [],
	}


class HetznerFake(ThreadingHTTPServer):
	"""`with HetznerFake(servers) as api: … api.endpoint, api.requests`."""

	daemon_threads = True

	def __init__(self, servers: list[dict[str, Any]]) -> None:
		super().__init__(("127.0.0.1", 0), _Handler)
		self.servers = servers
		self.cpu: dict[int, list[str]] = {}
		self.faults: dict[str, Answer] = {}
		self.rate_limit: dict[str, str] = {"RateLimit-Limit": "3600", "RateLimit-Remaining": "3000"}
		self.requests: list[str] = []
		self.questions: list[dict[str, list[str]]] = []

	@property
	def endpoint(self) -> str:
		return f"http://127.0.0.1:{self.server_port}/v1"

	def __enter__(self) -> HetznerFake:
		threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
		return self

	def __exit__(self, *_: object) -> None:
		self.shutdown()
		self.server_close()


class _Handler(BaseHTTPRequestHandler):
	server: HetznerFake
	protocol_version = "HTTP/1.1"

	def do_GET(self) -> None:
		split = urlsplit(self.path)
		query = parse_qs(split.query)
		parts = split.path.removeprefix("/v1/").split("/")
		name = f"servers?page={query.get('page', ['1'])[0]}" if parts == ["servers"] else "/".join(parts[1:2])
		self.server.requests.append(name)
		self.server.questions.append(query)
		fault = self.server.faults.get(name)
		if fault and fault.times > 0:
			self.server.faults[name] = Answer(**{**vars(fault), "times": fault.times - 1})
			self._fail(fault)
		elif self.headers["Authorization"] != f"Bearer {TOKEN}":
			self._answer(401, _error("unauthorized", f"no access with {self.headers['Authorization']}"))
		elif parts == ["servers"]:
			self._answer(200, self._page(int(query["page"][0]), int(query["per_page"][0])))
		else:
			self._answer(200, self._metrics(int(parts[1]), query))

	def _page(self, page: int, per_page: int) -> dict[str, Any]:
		per_page = min(50, per_page)
		servers = self.server.servers
		last = max(1, -(-len(servers) // per_page))
		return {
			"servers": servers[(page - 1) * per_page : page * per_page],
			"meta": {
				"pagination": {
					"page": page,
					"per_page": per_page,
					"previous_page": page - 1 or None,
					"next_page": page + 1 if page < last else None,
					"last_page": last,
					"total_entries": len(servers),
				}
			},
		}

	def _metrics(self, number: int, query: dict[str, list[str]]) -> dict[str, Any]:
		values = self.server.cpu.get(number, ["100", "60"])
		now = time.time()
		return {
			"metrics": {
				"start": query["start"][0],
				"end": query["end"][0],
				"step": 60.0,
				"time_series": {"cpu": {"values": [[now - 60 * i, text] for i, text in enumerate(values)]}},
			}
		}

	def _fail(self, fault: Answer) -> None:
		if fault.drip:
			self.close_connection = True
			with contextlib.suppress(OSError):
				self._send(200, b"", 100)
				for _ in range(100):
					self.wfile.write(b" ")
					time.sleep(0.1)
		elif fault.body is not None or fault.cut:
			content = (fault.body or json.dumps(self._page(1, 50))).encode()
			self._send(fault.status, content[: len(content) // 2] if fault.cut else content, len(content))
			self.close_connection = True
		else:
			self._answer(fault.status, _error(fault.code, "as the test wants it"), fault.headers)

	def _answer(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
		body = json.dumps(content).encode()
		self._send(status, body, len(body), headers)

	def _send(self, status: int, body: bytes, length: int, headers: dict[str, str] | None = None) -> None:
		self.send_response(status)
		for key, value in {**self.server.rate_limit, **(headers or {})}.items():
			self.send_header(key, value)
		self.send_header("Content-Type", "application/json")
		self.send_header("Content-Length", str(length))
		self.end_headers()
		self.wfile.write(body)

	def log_message(self, format: str, *args: object) -> None:
		"""Say nothing."""


def _error(code: str, message: str) -> dict[str, Any]:
	return {"error": {"code": code, "message": message, "details": None}}
