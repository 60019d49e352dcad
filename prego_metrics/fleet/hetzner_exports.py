"""What the sidecar reads of the control plane's tables: when each node last pushed, and tenant counts.

An export is what `wrangler d1 execute --json` prints, any JSON list of objects, or CSV with a header. One
that cannot be understood, that holds nothing where something must be, or that is old, is an error: it must
never look as if all were well.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from prego_metrics.agent.errors import PregoMetricsError
from prego_metrics.agent.payload import NODE_PUSH
from prego_metrics.agent.printable import printable
from prego_metrics.fleet.hetzner_push import LastRow

STANDARD_INPUT = "-"
MAX_AGE_SECONDS = 300.0
MAX_FILE_BYTES = 256 * 1024 * 1024
# Above this an epoch is one of milliseconds: in seconds it would lie in the year 5138.
_MILLISECONDS_FROM = 1e11
# The largest integer that the Worker, which knows only doubles, holds exactly.
MAX_TENANT_COUNT = 2**53 - 1

Row = Mapping[str, Any]


class ExportError(PregoMetricsError):
	"""A file cannot be taken for what it is given as; the message names it and says why."""

	def __init__(self, path: str, reason: str) -> None:
		super().__init__(f"{'standard input' if path == STANDARD_INPUT else printable(path)} {reason}")


def read_last_rows(path: str) -> dict[str, LastRow]:
	"""Return each node's row of an export of server_metrics that is at most five minutes old.

	An export without rows is one of a fleet of which no node ever pushed. Raises ExportError.
	"""
	_check_age(path)
	rows: dict[str, LastRow] = {}
	for row in read_rows(path):
		node_id = _text(path, row, "node_id")
		if node_id in rows:
			raise ExportError(path, f"has node {printable(node_id, 80)} twice")
		try:
			moment = epoch_seconds(row.get("updated_at"))
		except ValueError as error:
			raise ExportError(path, f"at node {printable(node_id, 80)}: updated_at {error}") from None
		rows[node_id] = LastRow(moment, str(row.get("source") or NODE_PUSH))
	return rows


def count_tenants_of_nodes(path: str, statuses: Collection[str] = ()) -> dict[str, int]:
	"""Return how many rows of an export of tenants_master each node has, at most five minutes old.

	With `statuses` only rows of these count. A node without a row has no count: it is not known whether
	the export should have had one. Raises ExportError, also for an export without rows.
	"""
	_check_age(path)
	counts: Counter[str] = Counter()
	rows = read_rows(path)
	if not rows:
		raise ExportError(path, "holds no tenant at all: is it the export of tenants_master?")
	for row in rows:
		if statuses and "status" not in row:
			raise ExportError(path, "has a row without status, which --status needs")
		# A tenant that is placed nowhere yet is on no node.
		if row.get("node_id") not in (None, "") and (not statuses or row["status"] in statuses):
			counts[_text(path, row, "node_id")] += 1
	if not counts:
		raise ExportError(path, "places no tenant on any node (column node_id, and --status)")
	return dict(counts)


def read_counts(path: str) -> dict[str, int]:
	"""Return the counts of a file: a JSON object {NODE_ID: count}, or rows of node_id and tenant_count.

	Raises ExportError.
	"""
	text = _read(path)
	content = _json(path, text) if text.lstrip()[:1] == "{" else None
	if isinstance(content, dict) and "results" not in content:
		pairs = list(content.items())
	else:
		pairs = [(_text(path, row, "node_id"), row.get("tenant_count")) for row in _rows(path, text)]
	if not pairs:
		raise ExportError(path, "holds no count")
	counts: dict[str, int] = {}
	for node_id, value in pairs:
		if node_id in counts:
			raise ExportError(path, f"has node {printable(node_id, 80)} twice")
		number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
		if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_TENANT_COUNT:
			raise ExportError(path, f"must give node {printable(node_id, 80)} a whole number from 0")
		counts[node_id] = number
	return counts


def read_rows(path: str) -> list[Row]:
	"""Return the rows of an export. Raises ExportError."""
	return _rows(path, _read(path))


def epoch_seconds(value: object) -> float:
	"""Return a time in seconds since the epoch: an epoch (s or ms), ISO 8601, or SQLite's form, both UTC.

	Raises ValueError with what is allowed.
	"""
	allowed = "must be an epoch in seconds or milliseconds, ISO 8601, or YYYY-MM-DD HH:MM:SS (UTC)"
	if isinstance(value, bool) or not isinstance(value, str | int | float):
		raise ValueError(allowed)
	try:
		number = float(value)
	except ValueError:
		number = math.nan
	except OverflowError:
		raise ValueError(allowed) from None
	if math.isfinite(number) and number >= 0:
		return number / 1000 if number >= _MILLISECONDS_FROM else number
	try:
		# Python 3.10 knows no Z.
		moment = datetime.datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
		moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
		return moment.timestamp()
	except (ValueError, OverflowError):
		raise ValueError(allowed) from None


def _check_age(path: str) -> None:
	if path == STANDARD_INPUT:
		return
	try:
		age = time.time() - os.stat(path).st_mtime
	except OSError as error:
		raise ExportError(path, f"cannot be read: {error.strerror}") from None
	if age > MAX_AGE_SECONDS:
		raise ExportError(
			path,
			f"was written {age:.0f} s ago: export it anew, at most {MAX_AGE_SECONDS:.0f} s before the push",
		)


def _read(path: str) -> str:
	try:
		if path == STANDARD_INPUT:
			raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
		else:
			with open(path, "rb") as file:
				raw = file.read(MAX_FILE_BYTES + 1)
	except OSError as error:
		raise ExportError(path, f"cannot be read: {error.strerror}") from None
	if len(raw) > MAX_FILE_BYTES:
		raise ExportError(path, f"is larger than {MAX_FILE_BYTES} bytes")
	try:
		text = raw.decode("utf-8-sig")
	except UnicodeDecodeError:
		raise ExportError(path, "is not UTF-8") from None
	if not text.strip():
		raise ExportError(path, "is empty")
	return text


def _rows(path: str, text: str) -> list[Row]:
	if text.lstrip()[:1] not in ("[", "{"):
		return _csv(path, text)
	content = _json(path, text)
	# wrangler prints a list with one result set for each statement.
	if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
		content = content[0] if "results" in content[0] or "success" in content[0] else content
	if isinstance(content, dict):
		if content.get("success") is False:
			raise ExportError(path, "is the answer to a query that failed (success: false)")
		content = content.get("results")
	if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
		raise ExportError(path, "is no list of rows, nor what `wrangler d1 execute --json` prints")
	return content


def _json(path: str, text: str) -> Any:
	try:
		return json.loads(text)
	except (ValueError, RecursionError):
		raise ExportError(path, "is neither JSON nor CSV with a header") from None


def _csv(path: str, text: str) -> list[Row]:
	reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
	try:
		if "node_id" not in (reader.fieldnames or ()):
			raise ExportError(path, "is neither JSON nor CSV with a column node_id")
		return list(reader)
	except csv.Error as error:
		raise ExportError(path, f"is no CSV: {error}") from None


def _text(path: str, row: Row, column: str) -> str:
	value = row.get(column)
	if not isinstance(value, str) or not value:
		raise ExportError(path, f"has a row without {column}")
	return value
