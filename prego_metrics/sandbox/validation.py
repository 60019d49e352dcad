"""Which bodies the stand-in accepts: one checker a field, the first wrong field named in the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from prego_metrics.sandbox.store import REGIONS, Metrics

# The largest integer that a Worker, which knows only doubles, can hold exactly.
MAX_TENANT_COUNT = 2**53 - 1

Body = Mapping[str, object]
Value = TypeVar("Value")


class InvalidBody(ValueError):
	"""A body was refused; `field` names what is wrong in it, if it is one field.

	The message never repeats what was sent: it goes into an answer, and may be anything.
	"""

	def __init__(self, message: str, field: str | None = None) -> None:
		super().__init__(message)
		self.field = field


def parse_object(body: bytes) -> dict[str, object]:
	"""Return the JSON object in `body`; anything else raises InvalidBody."""
	try:
		# NaN and Infinity pass here, so that their field can be named by its own check.
		parsed = json.loads(body.decode("utf-8"))
	except (ValueError, RecursionError):
		raise InvalidBody("the body is not JSON") from None
	if not isinstance(parsed, dict):
		raise InvalidBody("the body must be a JSON object")
	return parsed


def forbid_key(body: Body, key: str) -> None:
	"""Raise InvalidBody where a field holds the API key: it would be stored, and shown to whoever asks."""
	for value in body.values():
		if isinstance(value, str) and key in value:
			raise InvalidBody("the body holds the API key, which belongs in the Authorization header alone")


def read_metrics(body: Body) -> tuple[Metrics, bool]:
	"""Return the metrics in the body of a push, and whether it asks for a snapshot."""
	metrics = Metrics(
		node_id=_required(body, "node_id", _text),
		cpu_pct=_optional(body, "cpu_pct", _percent, None),
		memory_pct=_optional(body, "memory_pct", _percent, None),
		disk_pct=_optional(body, "disk_pct", _percent, None),
		tenant_count=_optional(body, "tenant_count", _count, 0),
		source=_optional(body, "source", _text, "node_push"),
	)
	return metrics, _optional(body, "save_snapshot", _boolean, False)


def read_node(body: Body) -> tuple[str, str, str]:
	"""Return node_id, region and host of a node to register."""
	return (
		_required(body, "node_id", _text),
		_required(body, "region", _region),
		_required(body, "host", _text),
	)


def _required(body: Body, field: str, check: Callable[[str, object], str]) -> str:
	if field not in body:
		raise InvalidBody(f"{field} is required", field)
	return check(field, body[field])


def _optional(body: Body, field: str, check: Callable[[str, object], Value], default: Value) -> Value:
	return check(field, body[field]) if field in body else default


def _percent(field: str, value: object) -> float | None:
	if value is None:
		return None
	# bool is an int to Python, and no number to JSON; NaN fails every comparison.
	if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
		raise InvalidBody(f"{field} must be a number from 0 to 100, or null", field)
	return float(value)


def _count(field: str, value: object) -> int:
	if isinstance(value, float) and value.is_integer():
		value = int(value)  # to a Worker, 3.0 is 3
	if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TENANT_COUNT:
		raise InvalidBody(f"{field} must be an integer from 0 to 2^53 - 1", field)
	return value


def _boolean(field: str, value: object) -> bool:
	if not isinstance(value, bool):
		raise InvalidBody(f"{field} must be true or false", field)
	return value


def _text(field: str, value: object) -> str:
	if not isinstance(value, str) or not value:
		raise InvalidBody(f"{field} must be a non-empty string", field)
	# JSON can spell half a surrogate pair, which is no text and cannot be stored.
	if any("\ud800" <= character <= "\udfff" for character in value):
		raise InvalidBody(f"{field} must be valid Unicode", field)
	return value


def _region(field: str, value: object) -> str:
	if value not in REGIONS:
		raise InvalidBody(f"{field} must be one of {', '.join(REGIONS)}", field)
	return str(value)
