"""Exports of the control plane's tables: a file becomes rows, or an error with the reason.

Three formats: what `wrangler d1 execute --json` prints (also behind its banner), a plain JSON list of objects,
and CSV with commas and a header line. Whatever a file holds, the result is rows or ExportError.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prego_metrics.agent.base.errors import ExportError
from prego_metrics.agent.base.files import UnfitFile, read_descriptor
from prego_metrics.agent.base.sanitize import sanitize

Row = Mapping[str, object]

MAX_BYTES = 256 * 1024 * 1024
_WRANGLER_KEYS = frozenset(("results", "success"))
# A list of objects, at the beginning of a line.
_JSON_LIST = re.compile(r"^\[\s*[{\[\]]", re.MULTILINE)


@dataclass(frozen=True)
class Export:
	"""The rows of one table. source names where they came from, sanitized.

	columns are the names in a CSV's first line, None for JSON.
	"""

	source: str
	rows: Sequence[Row]
	columns: tuple[str, ...] | None = None

	def has(self, column: str) -> bool:
		"""Return whether there is this column. JSON without rows lacks none."""
		if self.columns is not None:
			return column in self.columns
		return not self.rows or any(column in row for row in self.rows)

	def require(self, column: str) -> None:
		"""Raise ExportError if there is no such column."""
		if not self.has(column):
			names = list(self.rows[0] if self.columns is None else self.columns)
			present = ", ".join(sanitize(str(name), 40) for name in names[:12]) or "none"
			raise ExportError(self.source, f"has no column {column} (it has {present}): export it")


def read_export(path: str, max_age_seconds: float = math.inf) -> Export:
	"""Read the rows of one table from a file, or from a pipe. Raises ExportError, also for one that is older."""
	source = sanitize(path)
	try:
		with open(path, "rb") as file:
			age = time.time() - os.fstat(file.fileno()).st_mtime
			content = read_descriptor(file.fileno(), MAX_BYTES).decode("utf-8-sig")
	except OSError as error:
		raise ExportError(source, f"cannot be read: {error.strerror}") from None
	except UnicodeDecodeError:
		raise ExportError(source, "is not text in UTF-8") from None
	except UnfitFile as error:
		raise ExportError(source, str(error)) from None
	if age > max_age_seconds:
		limit = f"export it again, at most {max_age_seconds:.0f} s before the push"
		raise ExportError(source, f"was written {age:.0f} s ago: {limit}")
	if not content.strip():
		raise ExportError(source, "is empty: the export failed")
	json_list = _JSON_LIST.search(content)
	if json_list:
		return Export(source, _json_rows(content[json_list.start() :], source))
	if content.lstrip().startswith(("{", "[")):
		raise ExportError(source, f"is not a JSON list of rows: {sanitize(content.lstrip()[:200])}")
	return _from_csv(content, source)


def parsed_json(content: str, source: str) -> object:
	"""Return the value of a JSON document, or raise ExportError."""
	try:
		return json.loads(content)
	except (ValueError, RecursionError):
		raise ExportError(source, "is not valid JSON: the export failed or was cut off") from None


def _json_rows(content: str, source: str) -> list[Row]:
	rows = parsed_json(content, source)
	assert isinstance(rows, list)  # it begins as one
	if any(isinstance(entry, dict) and _WRANGLER_KEYS & entry.keys() for entry in rows):
		if len(rows) != 1:
			raise ExportError(source, f"holds {len(rows)} results: export one query to a file")
		if rows[0].get("success") is not True or not isinstance(rows[0].get("results"), list):
			raise ExportError(source, f"is of a query that failed: {sanitize(str(rows[0]), 200)}")
		rows = rows[0]["results"]
	for number, row in enumerate(rows, 1):
		if not isinstance(row, dict):
			raise ExportError(source, f"row {number} is not a JSON object")
	return rows


def _from_csv(content: str, source: str) -> Export:
	try:
		lines = [line for line in csv.reader(io.StringIO(content, newline=""), strict=True) if line]
	except csv.Error as error:
		raise ExportError(source, f"is neither a JSON list nor valid CSV: {error}") from None
	if len(lines) > 1 and not content.endswith(("\n", "\r")):
		# A node_id that was cut off is another node's, and any number of rows may be missing.
		raise ExportError(
			source, "ends within a line: the export was cut off. If it is whole, add the end of the line"
		)
	header = tuple(name.strip() for name in lines[0])
	if len(set(header)) != len(header):
		raise ExportError(source, "names a column twice in its first line")
	for number, line in enumerate(lines[1:], 2):
		if len(line) != len(header):
			fields = f"has {len(line)} fields where the first line names {len(header)}"
			raise ExportError(source, f"line {number} {fields}: the export was cut off, or is not CSV")
	return Export(source, [dict(zip(header, line, strict=True)) for line in lines[1:]], header)
