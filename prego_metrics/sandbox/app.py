"""The stand-in's routes: the Worker's internal API as far as nodes and their metrics go.

The bearer is checked before anything else on /internal. Every answer is JSON: `{"ok": true, …}`, or
`{"error": "…"}` with the `field` at fault, if it is one. No answer repeats the key, and no error repeats
what was sent.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import (
	BadRequest,
	HTTPException,
	MethodNotAllowed,
	RequestEntityTooLarge,
	RequestTimeout,
	Unauthorized,
)
from werkzeug.routing import BaseConverter, Map, Rule
from werkzeug.wrappers import Request, Response

from prego_metrics.sandbox.store import Store, UnknownNode
from prego_metrics.sandbox.validation import (
	InvalidBody,
	forbid_key,
	parse_object,
	read_metrics,
	read_node,
)

if TYPE_CHECKING:
	from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY_BYTES = 64 * 1024

_PHRASES = {
	401: "the Authorization header must be exactly: Bearer INTERNAL_API_KEY",
	404: "no such route",
	405: "this route does not take this method",
	413: f"the body is larger than {MAX_BODY_BYTES} bytes",
}

logger = logging.getLogger(__name__)


class _NodeIdConverter(BaseConverter):
	"""Whatever follows the last fixed part of the path, slashes and line breaks included."""

	regex = r"(?s:.+)"
	part_isolating = False


_ROUTES = Map(
	[
		Rule("/internal/server-metrics", methods=["POST"], endpoint="push_metrics"),
		Rule("/internal/nodes", methods=["GET"], endpoint="list_nodes"),
		Rule("/internal/nodes", methods=["POST"], endpoint="register_node"),
		Rule("/internal/nodes/<node_id:node_id>", methods=["GET"], endpoint="show_node"),
	],
	converters={"node_id": _NodeIdConverter},
	merge_slashes=False,
)


class ControlPlaneApp:
	"""The WSGI application over a store.

	With `register_unknown`, a push from a node that is not registered creates it instead of a 404.
	"""

	def __init__(self, store: Store, key: str, *, register_unknown: bool = False) -> None:
		if not (key.isascii() and key.isprintable()) or not key or " " in key:
			raise ValueError("the key must be printable ASCII without spaces")
		self._store = store
		self._key = key
		self._register_unknown = register_unknown

	def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
		try:
			response = self._respond(Request(environ))
		except InvalidBody as error:
			response = _error(400, str(error), error.field)
		except UnknownNode:
			response = _error(404, "no node is registered under exactly this node_id", "node_id")
		except HTTPException as error:
			response = _http_error(error)
		except Exception:
			logger.exception("the local control plane failed to answer")
			response = _error(500, "the local control plane failed to answer")
		return response(environ, start_response)

	def _respond(self, request: Request) -> Response:
		if request.path == "/internal" or request.path.startswith("/internal/"):
			self._authenticate(request)
		adapter = _ROUTES.bind("localhost")
		endpoint, arguments = adapter.match(request.path, method=request.method)
		if endpoint == "push_metrics":
			return self._push_metrics(self._read_body(request))
		if endpoint == "register_node":
			return self._register_node(self._read_body(request))
		if endpoint == "list_nodes":
			return _json({"ok": True, "nodes": self._store.nodes()})
		return self._show_node(arguments["node_id"])

	def _authenticate(self, request: Request) -> None:
		# A header's bytes arrive as Latin-1; as bytes, any of them can be compared.
		given = request.headers.get("Authorization", "").encode("latin-1", "replace")
		if not hmac.compare_digest(given, f"Bearer {self._key}".encode()):
			raise Unauthorized

	def _read_body(self, request: Request) -> dict[str, object]:
		body = parse_object(_read_limited(request))
		forbid_key(body, self._key)
		return body

	def _push_metrics(self, body: dict[str, object]) -> Response:
		metrics, save_snapshot = read_metrics(body)
		saved = self._store.save(
			metrics, save_snapshot=save_snapshot, register_unknown=self._register_unknown
		)
		return _json({"ok": True, "node_id": metrics.node_id, "snapshot_saved": saved})

	def _register_node(self, body: dict[str, object]) -> Response:
		node_id, region, host = read_node(body)
		is_new = self._store.register_node(node_id, region, host)
		return _json({"ok": True, "node": self._store.node(node_id)}, 201 if is_new else 200)

	def _show_node(self, node_id: str) -> Response:
		node = self._store.node(node_id)
		if node is None:
			raise UnknownNode(node_id)
		return _json({"ok": True, "node": node})


def _read_limited(request: Request) -> bytes:
	"""Return the body; 413 as soon as more than MAX_BODY_BYTES are announced or were read.

	What is announced is never trusted alone: a chunked body announces nothing.
	"""
	announced = request.content_length or 0
	if announced > MAX_BODY_BYTES:
		raise RequestEntityTooLarge
	# Werkzeug's own wrapper of the stream limits, and times out, differently from version to version.
	stream = request.environ["wsgi.input"]
	wanted = MAX_BODY_BYTES + 1 if request.environ.get("wsgi.input_terminated") else announced
	body = bytearray()
	try:
		while part := stream.read(wanted - len(body)):
			body += part
	except TimeoutError:
		raise RequestTimeout("the body did not arrive in time") from None
	except OSError:
		raise BadRequest("the body broke off or is badly framed") from None
	if len(body) > MAX_BODY_BYTES:
		raise RequestEntityTooLarge
	return bytes(body)


def _json(content: dict[str, object], status: int = 200) -> Response:
	return Response(json.dumps(content, ensure_ascii=False), status, mimetype="application/json")


def _error(status: int, message: str, field: str | None = None) -> Response:
	content: dict[str, object] = {"error": message}
	if field is not None:
		content["field"] = field
	return _json(content, status)


def _http_error(error: HTTPException) -> Response:
	status = error.code or 500
	response = _error(status, _PHRASES.get(status) or error.description or error.name)
	if isinstance(error, Unauthorized):
		response.headers["WWW-Authenticate"] = "Bearer"
	if isinstance(error, MethodNotAllowed):
		response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
	return response
