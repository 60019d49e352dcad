"""Copy the state's history of pushes into the log that the Desk shows.

A push is recorded in the state, without Frappe and its database; the operator's site catches up from there.
So pushes by a timer or cron appear too, and a database that was down loses nothing.
"""

from __future__ import annotations

import itertools

import frappe

from prego_metrics.agent.base.messages import translated
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.effective import as_pushed
from prego_metrics.agent.state.model import Push
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.adapters.site_locale import local_time, translator

DOCTYPE = "Prego Metrics Push"
# At most so many rows are written in one tick: after a day without a database it takes a few.
MAX_ROWS = 500
_CHUNK = 100
_MAX_INT = 2**31 - 1
FIGURES = ("cpu_pct", "memory_pct", "disk_pct", "tenant_count")


def catch_up(folder: StateFolder, config: Config, most: int = MAX_ROWS) -> int:
	"""Write the oldest pushes that the log lacks, at most `most`, and return how many were written.

	They are written oldest first. So all that follow the newest known one are missing, and none before it:
	what was cleared from the log stays cleared, and a tick reads no more of the history than it must.
	"""
	missing = _missing(folder)
	# Without a payload nobody's numbers were sent; it was this node that tried.
	node_id = node_id_in_log(folder, config) if missing else ""
	rows = [_row(push, node_id) for push in reversed(missing)][:most]
	if rows:
		# The push's id is the name, so a second insert means that it is already there.
		frappe.db.bulk_insert(
			DOCTYPE, list(rows[0]), [list(row.values()) for row in rows], ignore_duplicates=True
		)
	return len(rows)


def node_id_in_log(folder: StateFolder, config: Config) -> str:
	"""Return this node's id as the log has it; empty where nobody knows it yet."""
	return logged_node_id(as_pushed(config, folder, folder.read()[0]).node_id)


def logged_node_id(node_id: str) -> str:
	"""Return a node's id as the log has it."""
	return _as_html(node_id, 255)


def _missing(folder: StateFolder) -> list[Push]:
	"""Return the pushes that are newer than the newest that the log knows, newest first."""
	missing: list[Push] = []
	pushes = folder.newest_first()
	while chunk := list(itertools.islice(pushes, _CHUNK)):
		names = [push.id for push in chunk]
		known = set(frappe.get_all(DOCTYPE, filters={"name": ("in", names)}, pluck="name", limit=0))
		missing += itertools.takewhile(lambda push: push.id not in known, chunk)  # noqa: B023 used at once
		if known:
			break
	return missing


def _row(push: Push, node_id: str) -> dict[str, object]:
	"""Return a push as a row. Any app of the bench can write the history: nothing may be too long or too big."""
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
		# As text: a number field would show what is unknown as 0, a number that nobody read.
		**{name: str(payload[name]) if name in payload else None for name in FIGURES},
		"save_snapshot": int(bool(payload.get("save_snapshot"))),
		"status_code": min(push.status_code or 0, _MAX_INT),
		"attempts": min(push.attempts, _MAX_INT),
		"duration_ms": min(push.duration_ms, _MAX_INT),
		# Kept in one language, as mails are: the log is searched, and copied to others.
		"error": _lines(translated(push.error, translator())) if push.error else None,
	}


def _lines(text: str) -> str:
	"""Return a reason of one or several lines, fit to show."""
	return "\n".join(_as_html(line) for line in text.split("\n"))


def _as_html(text: str, limit: int = 0) -> str:
	"""Return `text` fit to show in the Desk, which takes a field's text for HTML: a server's words among others.

	Frappe cleans what is saved as a document, and these rows are not. With `limit` it is cut to fit its column.
	"""
	return frappe.utils.escape_html(sanitize(text, limit))[: limit or None]
