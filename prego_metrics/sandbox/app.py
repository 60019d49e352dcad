"""The Worker's internal API for nodes and their metrics, as a WSGI application over a store.

The bearer is checked before anything else. Every answer is JSON: `{"ok": true, …}`, or `{"error": "…"}`
with the `field` at fault, if it is one. No answer repeats the key or what was sent.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.sandbox.store import REGIONS, Metrics, Store, UnknownNode

if TYPE_CHECKING:
	from _typeshed.wsgi import StartResponse, WSGIEnvironment

METRICS_PATH = "/internal/server-metrics"
NODES_PATH = "/internal/nodes"
MAX_BODY_BYTES = 64 * 1024
# The largest integer that a Worker, which knows only doubles, can hold exactly.
MAX_TENANT_COUNT = 2**53 - 1
_REQUIRED = object()

logger = logging.getLogger(__name__)


class Refused(Exception):
	"""A request that is refused, with the status and the JSON of the answer."""

	def __init__(self, status: int, error: str, field: str | None = None, **headers: str) -> None:
		super().__init__(error)
		self.status = status
		self.content = {"error": error} if field is None else {"error": error, "field": field}
		self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class ControlPlaneApp:
	"""The routes. `on_request` gets a line for each answer: method, path and status, never a query or the key.

	With `register_unknown`, a push from a node that is not registered creates it instead of a 404. Raises
	ValueError for a key that no header can carry.
	"""

	def __init__(
		self, store: Store, key: str, register_unknown: bool, on_request: Callable[[str], object]
	) -> None:
		if not re.fullmatch(r"[!-~]+", key):
			raise ValueError("the key must be printable ASCII without spaces")
		self._store = store
		self._key = key
		self._register_unknown = register_unknown
		self._on_request = on_request

	def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
		request = Request(environ)
		headers: Mapping[str, str] = {}
		try:
			status, content = self._answer(request)
		except Refused as refused:
			status, content, headers = refused.status, dict(refused.content), refused.headers
		except Exception:
			logger.exception("the local control plane failed to answer")
			status, content = 500, {"error": "the local control plane failed to answer"}
		self._on_request(sanitize(f"{request.method} {request.path} {status}".replace(self._key, "[key]")))
		body = json.dumps(content, ensure_ascii=False)
		return Response(body, status, headers, mimetype="application/json")(environ, start_response)

	def _answer(self, request: Request) -> tuple[int, dict[str, Any]]:
		# A header's bytes arrive as Latin-1; as bytes, any of them can be compared.
		given = request.headers.get("Authorization", "").encode("latin-1", "replace")
		if not hmac.compare_digest(given, f"Bearer {self._key}".encode()):
			raise Refused(
				401,
				"the Authorization header must be exactly: Bearer INTERNAL_API_KEY",
				WWW_Authenticate="Bearer",
			)
		node_id = request.path.removeprefix(f"{NODES_PATH}/")
		if request.path == METRICS_PATH:
			methods = {"POST": lambda: self._save_metrics(_json_object(request))}
		elif request.path == NODES_PATH:
			methods = {
				"GET": lambda: (200, {"ok": True, "nodes": self._store.nodes()}),
				"POST": lambda: self._register_node(_json_object(request)),
			}
		elif node_id and node_id != request.path:
			methods = {"GET": lambda: (200, {"ok": True, "node": self._node(node_id)})}
		else:
			raise Refused(404, "no such route")
		if "GET" in methods:
			methods["HEAD"] = methods["GET"]
		if request.method not in methods:
			raise Refused(405, "this route does not take this method", Allow=", ".join(sorted(methods)))
		return methods[request.method]()

	def _save_metrics(self, body: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
		metrics = Metrics(
			_field(body, "node_id", _is_text, "a non-empty string"),
			cpu_pct=_field(body, "cpu_pct", _is_percent, "a number from 0 to 100, or null", None),
			memory_pct=_field(body, "memory_pct", _is_percent, "a number from 0 to 100, or null", None),
			disk_pct=_field(body, "disk_pct", _is_percent, "a number from 0 to 100, or null", None),
			tenant_count=int(_field(body, "tenant_count", _is_count, "an integer from 0 to 2^53 - 1", 0)),
			source=_field(body, "source", _is_text, "a non-empty string", "node_push"),
		)
		snapshot = _field(
			body, "save_snapshot", lambda value: isinstance(value, bool), "true or false", False
		)
		try:
			saved = self._store.save(metrics, save_snapshot=snapshot, register_unknown=self._register_unknown)
		except UnknownNode:
			raise _unknown_node() from None
		return 200, {"ok": True, "node_id": metrics.node_id, "snapshot_saved": saved}

	def _register_node(self, body: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
		node_id = _field(body, "node_id", _is_text, "a non-empty string")
		region = _field(body, "region", lambda value: value in REGIONS, f"one of {', '.join(REGIONS)}")
		host = _field(body, "host", _is_text, "a non-empty string")
		is_new = self._store.register_node(node_id, region, host)
		return 201 if is_new else 200, {"ok": True, "node": self._node(node_id)}

	def _node(self, node_id: str) -> dict[str, object]:
		node = self._store.node(node_id)
		if node is None:
			raise _unknown_node()
		return node


def _unknown_node() -> Refused:
	return Refused(404, "no node is registered under exactly this node_id", "node_id")


def _json_object(request: Request) -> dict[str, object]:
	"""Return the JSON object in the body."""
	size = request.content_length or 0  # a chunked body announces nothing
	try:
		body = request.get_data() if size <= MAX_BODY_BYTES else b""
	except (OSError, HTTPException):
		raise Refused(400, "the body broke off or is badly framed") from None
	if max(size, len(body)) > MAX_BODY_BYTES:
		raise Refused(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
	try:
		content = json.loads(body.decode())
	except (ValueError, RecursionError):
		raise Refused(400, "the body is not JSON") from None
	if not isinstance(content, dict):
		raise Refused(400, "the body must be a JSON object")
	return content


def _field(
	body: Mapping[str, object],
	name: str,
	is_valid: Callable[[Any], bool],
	expected: str,
	default: object = _REQUIRED,
) -> Any:
	"""Return a field, or `default` where it is left out. Raises Refused, which names the field."""
	value = body.get(name, default)
	if value is _REQUIRED:
		raise Refused(400, f"{name} is required", name)
	if not is_valid(value):
		raise Refused(400, f"{name} must be {expected}", name)
	return value


def _is_text(value: Any) -> bool:
	# JSON can spell half a surrogate pair, which cannot be stored.
	return isinstance(value, str) and value != "" and not re.search("[\ud800-\udfff]", value)


def _is_percent(value: Any) -> bool:
	# bool is a subclass of int; NaN fails every comparison.
	return value is None or (type(value) in (int, float) and 0 <= value <= 100)


def _is_count(value: Any) -> bool:
	return type(value) in (int, float) and 0 <= value <= MAX_TENANT_COUNT and value == int(value)
