"""Read a node's row back from the control plane: the only proof that a push arrived where it should.

A manual push reads it each time, a scheduled one only after the URL, node_id or key changed. What was read back is
kept as a mark. Of the key the mark holds eight bits of a salted hash: a changed key is missed once in 256 times, and
whoever reads the mark can rule out 255 of 256 guesses, and no more than that. So few bits make a slow hash needless:
that would only raise the price of each guess, at every push.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from prego_metrics.agent.base.formatting import duration, epoch_seconds
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.http.answers import (
	content_of,
	error_code,
	fault_in,
	node_ids_in,
	objects_in,
	refusal_of,
	summary_of,
)
from prego_metrics.agent.http.client import Answer, Client, NoAnswer
from prego_metrics.agent.http.retry import http_date_seconds
from prego_metrics.agent.light_typing import Any, NamedTuple

NODES_ROUTE = "/internal/nodes"
READ_SECONDS = 5.0
# Less time than this is not worth a request.
LEAST_SECONDS = 0.3
# Clocks, replicas and caches may differ by this much.
TOLERATED_SECONDS = 120.0
_FIGURES = ("tenant_count", "cpu_pct", "memory_pct", "disk_pct")
_MARK = re.compile("([0-9a-f]{16})-[0-9a-f]{32}-[0-9a-f]{2}")


class RowRead(NamedTuple):
	"""What the row says. fault: it is not this node's. final: asking again would say the same."""

	fault: Message | None
	warnings: tuple[Message, ...]
	final: bool


def read_row(url: str, key: Secret, payload: Mapping[str, Any], seconds: float) -> RowRead:
	"""Read back the row of a payload that was delivered just now, within `seconds`."""
	ends_at = time.monotonic() + seconds
	node_id = payload["node_id"]

	def get(path: str) -> Answer | NoAnswer:
		left_seconds = max(0.05, ends_at - time.monotonic())
		return Client(url, key).get(path, left_seconds, body_seconds=left_seconds / 2)

	answer = get(node_path(node_id))
	if isinstance(answer, NoAnswer):
		return _unchecked(answer.reason, final=False)
	if 200 <= answer.status_code < 300:
		fault = fault_of_row(answer, key, node_id)
		if fault and fault.code == "row_missing" and answer.broken:
			return _unchecked(answer.broken, final=False)
		return RowRead(fault, () if fault else differences(answer, payload, time.time()), fault is None)
	if error_code(answer) == "node_unknown":
		if lists_nodes(get(NODES_ROUTE)):
			return RowRead(refusal_of(answer, key), (), final=False)
		return _unchecked(coded("route_missing", route=NODES_ROUTE), final=True)
	return _unchecked(refusal_of(answer, key), final=False)


def node_path(node_id: str) -> str:
	return f"{NODES_ROUTE}/{quote(node_id, safe='')}"


def lists_nodes(answer: Answer | NoAnswer) -> bool:
	"""Tell whether the control plane has the route of the nodes, so that a 404 for one means that node."""
	return isinstance(answer, Answer) and answer.status_code == 200 and content_of(answer.body) is not None


def fault_of_row(answer: Answer, key: Secret, node_id: str) -> Message | None:
	"""Return what is wrong with a 2xx for a node's row; None if it names the node."""
	fault = fault_in(answer, key, node_id)
	if fault is None and node_id not in node_ids_in(content_of(answer.body)):
		fault = coded("row_missing", answer=summary_of(answer, key))
	return fault


def differences(answer: Answer, payload: Mapping[str, Any], delivered_at: float) -> tuple[Message, ...]:
	"""Return what a row says otherwise than the push that was delivered last, as warnings.

	`delivered_at` is of this clock; a row's age is measured by the control plane's own, where its answer has a date.
	"""
	row = _metrics_in(answer, payload["node_id"])
	since_seconds = time.time() - delivered_at
	try:
		now = http_date_seconds(answer.headers.get("date", ""))
		age_seconds = (time.time() if now is None else now) - epoch_seconds(row.get("updated_at"))
	except ValueError:
		age_seconds = None
	if age_seconds is not None and age_seconds > since_seconds + TOLERATED_SECONDS:
		return (coded("row_stale", delivered=duration(since_seconds), age=duration(age_seconds)),)
	if age_seconds is not None and age_seconds < since_seconds - 1:
		return ()  # of a later push
	others = [name for name in _FIGURES if _differ(row.get(name), payload.get(name))]
	return tuple(coded("row_differs", field=name, found=row[name], sent=payload[name]) for name in others)


def changed_mark(mark: str | None, url: str, node_id: str, key: Secret) -> str | None:
	"""Return the mark of a row that is still to be read back, None if `mark` is of the same one."""
	known = _MARK.fullmatch(mark or "")
	if known and _mark(known[1], url, node_id, key) == mark:
		return None
	return _mark(secrets.token_hex(8), url, node_id, key)


def read_when_changed(
	url: str,
	key: Secret,
	payload: Mapping[str, Any],
	mark: str | None,
	always: bool,
	left: Callable[[], float],
) -> tuple[RowRead | None, str | None]:
	"""Read a row back if it must be; return what it says, and the mark to keep."""
	changed = changed_mark(mark, url, payload["node_id"], key)
	if not always and changed is None:
		return None, mark
	seconds = min(READ_SECONDS, left())
	if seconds < LEAST_SECONDS:
		return None, mark
	row = read_row(url, key, payload, seconds)
	if row.fault:
		return row, None
	return row, changed or mark if row.final else mark


def _mark(salt: str, url: str, node_id: str, key: Secret) -> str:
	place = _digest(salt, url, node_id)
	return f"{salt}-{place[:32]}-{_digest(salt, key.reveal())[:2]}"


def _digest(*parts: str) -> str:
	return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _unchecked(reason: Message, *, final: bool) -> RowRead:
	return RowRead(None, (coded("row_unchecked", reason=reason),), final)


def _metrics_in(answer: Answer, node_id: str) -> Mapping[str, Any]:
	"""Return the object that holds the node's metrics, wherever it is; empty if there is none.

	A time beside figures is theirs; one beside the node_id alone may be, too.
	"""
	rows = [row for row in objects_in(content_of(answer.body)) if row.get("node_id", node_id) == node_id]
	with_figures = [row for row in rows if any(_is_number(row.get(name)) for name in _FIGURES)]
	named = [row for row in rows if "node_id" in row]
	return next(iter(with_figures or named), {})


def _differ(found: object, sent: object) -> bool:
	# The control plane may round, and an omitted figure may be anything.
	return _is_number(found) and _is_number(sent) and abs(float(found) - float(sent)) > 0.51  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
	return isinstance(value, int | float) and not isinstance(value, bool)
