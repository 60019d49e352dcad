"""Exports of the control plane's tables: a file becomes rows, or an error that says why it cannot.

Understood are what `wrangler d1 execute --json` prints, what D1's HTTP interface answers, plain JSON arrays
and objects, CSV with a header line, and a SQLite file. An export is input from elsewhere: whatever is in it,
the answer is rows or ExportError.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.sanitize import sanitize

Row = Mapping[str, object]

NODES_TABLE = "nodes"
METRICS_TABLE = "server_metrics"
TENANTS_TABLE = "tenants_master"

MAX_BYTES = 256 * 1024 * 1024
MAX_SQLITE_SECONDS = 30.0
_SQLITE_MAGIC = b"SQLite format 3\0"
_WRANGLER_KEYS = frozenset(("results", "success"))


@dataclass(frozen=True)
class Export:
	"""The rows of one table. source says where they came from, fit to show.

	columns are their names where the export says so itself; in JSON only its rows do.
	"""

	source: str
	rows: Sequence[Row]
	columns: tuple[str, ...] | None = None

	def has(self, column: str) -> bool:
		"""Tell whether there is this column. JSON without rows lacks none."""
		if self.columns is not None:
			return column in self.columns
		return not self.rows or any(column in row for row in self.rows)

	def require(self, column: str, option: str) -> None:
		"""Raise ExportError if no row has the column that `option` would name."""
		if not self.has(column):
			names = list(self.rows[0] if self.columns is None else self.columns)
			seen = ", ".join(sanitize(str(name), 40) for name in names[:12])
			raise ExportError(
				f"{self.source} has no column {sanitize(column)} (it has {seen or 'none'}): export it, or "
				f"name it by {option}"
			)


def read_export(path: str, table: str) -> Export:
	"""Read the rows of `table` from a file; in a SQLite file it is the table of that name.

	Raises ExportError.
	"""
	source = sanitize(path)
	try:
		with open(path, "rb") as file:
			content = file.read(MAX_BYTES + 1)
	except (OSError, ValueError) as error:
		reason = error.strerror if isinstance(error, OSError) else str(error)
		raise ExportError(f"{source} cannot be read: {reason}") from None
	if content.startswith(_SQLITE_MAGIC):
		return _from_sqlite(path, table, source)
	if len(content) > MAX_BYTES:
		raise ExportError(f"{source} is larger than {MAX_BYTES // 1024**2} MiB: export fewer columns")
	text = _decoded(content, source)
	if not text.strip():
		raise ExportError(f"{source} is empty: the export failed")
	if text.lstrip()[0] in "[{":
		return Export(source, json_rows(text, table, source))
	return _from_csv(text, source)


def parsed_json(text: str, source: str) -> object:
	"""Return what a JSON text holds, or raise ExportError."""
	try:
		return json.loads(text)
	except (ValueError, RecursionError):
		raise ExportError(f"{source} is not valid JSON: the export failed or was cut off") from None


def json_rows(text: str, table: str, source: str) -> list[Row]:
	"""Return the rows in a JSON text, or raise ExportError."""
	content = parsed_json(text, source)
	if isinstance(content, dict):
		content = _from_object(content, table, source)
	if not isinstance(content, list):
		raise ExportError(f"{source} holds no list of rows")
	if any(isinstance(entry, dict) and _WRANGLER_KEYS & entry.keys() for entry in content):
		if len(content) != 1:
			raise ExportError(f"{source} holds {len(content)} results: export one query to a file")
		content = _result_set(content[0], source)
	rows: list[Row] = []
	for number, row in enumerate(content, 1):
		if not isinstance(row, dict):
			raise ExportError(f"{source}, row {number} is not a JSON object")
		rows.append(row)
	return rows


def _from_object(content: dict[str, object], table: str, source: str) -> object:
	"""Return the rows, or the list of results, in one JSON object."""
	_refuse_failure(content, source)
	if "results" in content:
		return _result_set(content, source)
	# What GET /internal/nodes answers may have been saved, and holds the nodes' metrics too.
	lists = (table, "result", "rows", "data", *(("nodes",) if table == METRICS_TABLE else ()))
	for name in lists:
		if isinstance(content.get(name), list):
			return content[name]
	if "success" in content or "error" in content or "errors" in content:
		raise ExportError(f"{source} holds no result set: the export failed")
	return [content]


def _result_set(result: object, source: str) -> list[object]:
	if not isinstance(result, dict):
		raise ExportError(f"{source} holds no result set: the export failed")
	_refuse_failure(result, source)
	rows = result.get("results")
	if not isinstance(rows, list):
		raise ExportError(f"{source} holds no result set: the export failed")
	return rows


def _refuse_failure(result: Mapping[str, object], source: str) -> None:
	if "success" in result and result["success"] is not True:
		server_error = result.get("error") or result.get("errors")
		words = f": {sanitize(str(server_error), 200)}" if server_error else ""
		raise ExportError(f"{source} says that its query failed (success is not true){words}")


def _decoded(content: bytes, source: str) -> str:
	"""Return the text. A byte order mark decides first: a redirection in PowerShell writes UTF-16."""
	utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
	try:
		return content.decode("utf-16" if utf16 else "utf-8-sig")
	except UnicodeDecodeError:
		raise ExportError(f"{source} is neither SQLite nor text in UTF-8") from None


def _from_csv(text: str, source: str) -> Export:
	first_line = text.lstrip("\r\n").split("\n", 1)[0]
	delimiter = max(",;\t|", key=first_line.count)
	reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
	try:
		lines = [line for line in reader if line]
	except csv.Error as error:
		raise ExportError(f"{source} is neither JSON nor valid CSV: {error}") from None
	if len(lines) > 1 and not text.endswith(("\n", "\r")):
		# What was cut off may hold any number of tenants, and a node's name that was cut is another node's.
		raise ExportError(
			f"{source} ends within a line: the export was cut off. If it is whole, add the end of the line"
		)
	heading = tuple(name.strip() for name in lines[0])
	if len(set(heading)) != len(heading):
		raise ExportError(f"{source} names a column twice in its first line")
	for number, line in enumerate(lines[1:], 2):
		if len(line) != len(heading):
			raise ExportError(
				f"{source}, line {number} has {len(line)} fields where the first line names {len(heading)}: "
				"the export was cut off, or is none"
			)
	return Export(source, [dict(zip(heading, line, strict=True)) for line in lines[1:]], heading)


def _from_sqlite(path: str, table: str, source: str) -> Export:
	deadline = time.monotonic() + MAX_SQLITE_SECONDS
	try:
		with contextlib.closing(
			sqlite3.connect(f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro", uri=True)
		) as connection:
			connection.row_factory = sqlite3.Row
			connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
			connection.execute("PRAGMA trusted_schema = OFF")
			# A table may be a view, and a view may never end.
			connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
			found = connection.execute(f'SELECT * FROM "{table}"')
			columns = tuple(column[0] for column in found.description)
			return Export(f"{table} in {source}", [dict(row) for row in found], columns)
	except (sqlite3.Error, OverflowError, MemoryError) as error:
		raise ExportError(
			f"{source}: the table {table} cannot be read: {sanitize(str(error), 200)}"
		) from None
