"""The log of pushes that the Desk shows: a copy of the state's history in the operator site's database.

Pushes are recorded in the state, without Frappe and its database, and the operator site catches up from there. So
pushes by a timer or cron appear too, and a database that was down loses nothing.
"""

from __future__ import annotations

import itertools

import frappe

from prego_metrics.agent.base.messages import code_of, translated
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.model import Push
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.desk.adapters.site_locale import local_time, translator

DOCTYPE = "Prego Metrics Push"
# Rows written in one tick: after a day without a database it takes a few ticks.
MAX_ROWS = 500
# So many pushes are looked up first, as nearly always only the newest is missing, and so many at a time after that.
_FIRST_CHUNK, _CHUNK = 4, 100
_MAX_INT = 2**31 - 1
METRICS = ("cpu_pct", "memory_pct", "disk_pct", "tenant_count")


def catch_up(folder: StateFolder, config: Config, limit: int = MAX_ROWS) -> int:
	"""Write the oldest pushes that the log lacks, at most `limit`, and return how many were written.

	Rows are written oldest first, so exactly the pushes after the newest logged one are missing. Cleared rows stay
	cleared, and a tick reads no more of the history than it needs.
	"""
	missing = _missing(folder)
	# A push without a payload names no node; this node tried it.
	node_id = node_id_in_log(folder, config) if missing else ""
	rows = [_row(push, node_id) for push in reversed(missing)][:limit]
	if rows:
		# The push's id is the name, so a second insert means that it is already there.
		frappe.db.bulk_insert(
			DOCTYPE, list(rows[0]), [list(row.values()) for row in rows], ignore_duplicates=True
		)
	return len(rows)


def node_id_in_log(folder: StateFolder, config: Config) -> str:
	"""Return this node's id as it is written into the log; empty if it is not known yet."""
	return logged_node_id(as_pushed(config, folder, folder.read()[0]).node_id)


def logged_node_id(node_id: str) -> str:
	"""Return a node's id as it is written into the log."""
	return _as_html(node_id, 255)


def _missing(folder: StateFolder) -> list[Push]:
	"""Return the pushes that are newer than the newest logged one, newest first."""
	missing: list[Push] = []
	pushes = folder.history_newest_first()
	size = _FIRST_CHUNK
	while chunk := list(itertools.islice(pushes, size)):
		size = _CHUNK
		names = [push.id for push in chunk]
		# Not get_all, which takes a millisecond more, at each tick.
		logged = set(frappe.db.get_values(DOCTYPE, {"name": ("in", names)}, pluck=True))
		missing += itertools.takewhile(lambda push: push.id not in logged, chunk)  # noqa: B023 used at once
		if logged:
			break
	return missing


def _row(push: Push, node_id: str) -> dict[str, object]:
	"""Return a push as a row. Any app of the bench can write the history, so lengths and numbers are limited."""
	payload = push.payload or {}
	at = local_time(push.at)
	return {
		"name": push.id,
		"creation": at,
		"modified": at,
		"owner": "Administrator",
		"modified_by": "Administrator",
		"docstatus": 0,
		"idx": 0,
		"pushed_at": at,
		"epoch_seconds": round(push.at, 3),
		"node_id": logged_node_id(push.node_id) if push.node_id else node_id,
		"outcome": push.outcome,
		"driver": push.trigger,
		"pushed_by": _as_html(push.who, 140) if push.who else None,
		# As text: a number field would show an unknown value as 0.
		**{name: str(payload[name]) if name in payload else None for name in METRICS},
		"save_snapshot": int(bool(payload.get("save_snapshot"))),
		"status_code": min(push.status_code or 0, _MAX_INT),
		"attempts": min(push.attempts, _MAX_INT),
		"duration_ms": min(push.duration_ms, _MAX_INT),
		"error_code": code_of(push.error) or None,
		# In the language of the site: the log is searched, and exported.
		"error": _lines(translated(push.error, translator())) if push.error else None,
	}


def _lines(reason: str) -> str:
	return "\n".join(_as_html(line) for line in reason.split("\n"))


def _as_html(value: str, limit: int = 0) -> str:
	"""Return `value` sanitized and escaped, since the Desk shows a field's text as HTML; `limit` is its column's length.

	Frappe cleans documents when it saves them, and these rows are not saved as documents.
	"""
	return frappe.utils.escape_html(sanitize(value, limit))[: limit or None]
