"""The kinds of settings: how each reads a value, what it allows, and what stands for it in `--help`.

To add a kind, derive from Kind: `accept` returns the value to use, or None for one that is not allowed, and
`allowed` is one sentence that begins with "must be", from the PARTS in agent/base/error_codes.py.
"""

from __future__ import annotations

import json
import os
import re

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.urls import safe_url_parts
from prego_metrics.agent.light_typing import ClassVar, Generic, TypeGuard, TypeVar

T_co = TypeVar("T_co", covariant=True)

PUSH_ROUTE = "/internal/server-metrics"

_INSTANCE_ID = r"[A-Za-z0-9._:-]{1,128}"
_DECIMAL = r"[0-9]{1,15}(\.[0-9]{1,15})?"


class Kind(Generic[T_co]):
	"""One kind of setting. Nothing shows a refused value of a secret kind."""

	metavar: ClassVar[str] = "TEXT"
	repeatable: ClassVar[bool] = False
	secret: ClassVar[bool] = False

	@property
	def allowed(self) -> Message:
		"""What is allowed, as the end of a sentence that begins with the setting's name."""
		raise NotImplementedError

	def accept(self, value: object) -> T_co | None:
		"""Return the value to use for a JSON value, None if it is not allowed. Never raises."""
		raise NotImplementedError

	def parse(self, value: object) -> T_co:
		"""Return the value to use for a JSON value. Raises ValueError with what is allowed."""
		accepted = self.accept(value)
		if accepted is None:
			raise ValueError(self.allowed)
		return accepted

	def from_text(self, text: str) -> object:
		"""Read a variable's or an option's text as a JSON value; what cannot be read stays text, to be refused."""
		return text

	def as_json(self, value: object) -> object:
		"""Return a value in use as it may be shown."""
		return value


class _Json(Kind[T_co]):
	"""A kind whose text is JSON."""

	def from_text(self, text: str) -> object:
		try:
			return json.loads(text)
		except (ValueError, RecursionError):
			return text


class _Decimal(Kind[T_co]):
	"""A kind whose text is a decimal number, without a sign or an exponent."""

	def from_text(self, text: str) -> object:
		if not re.fullmatch(_DECIMAL, text):
			return text
		return float(text) if "." in text else int(text)


class NodeId(Kind[str]):
	metavar = "ID"
	allowed = coded("allowed_node_id")

	def accept(self, value: object) -> str | None:
		if not isinstance(value, str) or not value.strip() or value in (".", "..") or len(value) > 255:
			return None
		unfit = any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value)
		return None if unfit else value


class InstanceId(Kind[str]):
	metavar = "ID"
	allowed = coded("allowed_instance_id")

	def accept(self, value: object) -> str | None:
		return value if isinstance(value, str) and re.fullmatch(_INSTANCE_ID, value) else None


class BaseUrl(Kind[str]):
	"""A URL to which paths are appended; trailing slashes are dropped."""

	metavar = "URL"
	allowed = coded("allowed_base_url", route=PUSH_ROUTE)

	def accept(self, value: object) -> str | None:
		if not isinstance(value, str) or "?" in value or "#" in value:
			return None
		parts = safe_url_parts(value)
		if parts is None:
			return None
		path = parts.path.rstrip("/")
		names = path.lower().replace("%2e", ".").split("/")
		if path.endswith(PUSH_ROUTE) or "." in names or ".." in names:
			return None
		return value.rstrip("/")


class SecretUrl(Kind[str]):
	"""A URL whose path and query are a secret, kept as written."""

	metavar = "URL"
	secret = True
	allowed = coded("allowed_secret_url")

	def accept(self, value: object) -> str | None:
		return value if isinstance(value, str) and safe_url_parts(value) else None

	def as_json(self, value: object) -> object:
		parts = safe_url_parts(str(value))
		return f"{parts.scheme}://{parts.server}/…" if parts else "…"


class Number(_Decimal[float]):
	"""A number from low to high, and 0 with `or_zero`."""

	unit: ClassVar[str]

	def __init__(self, low: float, high: float, *, or_zero: bool = False) -> None:
		self.low = low
		self.high = high
		self.or_zero = or_zero

	@property
	def allowed(self) -> Message:
		code = "allowed_number_or_zero" if self.or_zero else "allowed_number"
		return coded(code, unit=self.unit, low=f"{self.low:g}", high=f"{self.high:g}")

	def accept(self, value: object) -> float | None:
		if isinstance(value, bool) or not isinstance(value, int | float):
			return None
		return float(value) if self.low <= value <= self.high or (self.or_zero and value == 0) else None

	def as_json(self, value: object) -> object:
		return int(value) if isinstance(value, float) and value.is_integer() else value


class Seconds(Number):
	metavar = "SECONDS"
	unit = coded("unit_seconds")


class Hours(Number):
	metavar = "HOURS"
	unit = coded("unit_hours")


class Percent(Number):
	metavar = "PERCENT"
	unit = coded("unit_percent")


class Gigabytes(Number):
	"""In decimal GB, as disks are sold."""

	metavar = "GB"
	unit = "GB"


class WholeNumber(_Decimal[int]):
	metavar = "N"

	def __init__(self, low: int, high: int) -> None:
		self.low = low
		self.high = high

	@property
	def allowed(self) -> Message:
		return coded("allowed_whole_number", low=self.low, high=self.high)

	def accept(self, value: object) -> int | None:
		if isinstance(value, bool) or not isinstance(value, int):
			return None
		return value if self.low <= value <= self.high else None


class Flag(_Json[bool]):
	"""true or false; 1 and 0, which Frappe writes, are read too."""

	metavar = "true|false"
	allowed = coded("allowed_flag")

	def accept(self, value: object) -> bool | None:
		return bool(value) if isinstance(value, int) and value in (0, 1) else None


class _Word(Kind[str]):
	"""One of the words that metavar has."""

	def accept(self, value: object) -> str | None:
		return value if isinstance(value, str) and value in self.metavar.split("|") else None


class MemorySource(_Word):
	metavar = "host|cgroup"
	allowed = coded("allowed_memory_source")


class AlertTemplate(_Word):
	metavar = "json|slack|alertmanager|ntfy"
	allowed = coded("allowed_alert_template")


class SecretFile(Kind[str]):
	"""The path of a file that holds a secret. Somebody may have typed the secret itself instead of its path."""

	metavar = "PATH"
	secret = True
	allowed = coded("allowed_path")

	def accept(self, value: object) -> str | None:
		return value if _is_file_name(value) and value.startswith("/") else None


class MetricsFile(Kind[str]):
	"""The path of a file for node_exporter's textfile collector, which reads those that end in .prom."""

	metavar = "PATH"
	allowed = coded("allowed_metrics_file")

	def accept(self, value: object) -> str | None:
		if not _is_file_name(value) or not value.startswith("/"):
			return None
		return value if value.endswith(".prom") else None


class SiteName(Kind[str]):
	metavar = "SITE"
	allowed = coded("allowed_site")

	def accept(self, value: object) -> str | None:
		return value if _is_file_name(value) and "/" not in value and value not in (".", "..") else None


class _Strings(_Json[tuple[str, ...]]):
	"""A list of strings that the file system could know; at least one unless `may_be_empty`."""

	repeatable = True
	may_be_empty: ClassVar[bool] = False

	def accept(self, value: object) -> tuple[str, ...] | None:
		if not isinstance(value, list) or not (value or self.may_be_empty):
			return None
		entries = tuple(entry for entry in value if _is_file_name(entry) and self.accepts_entry(entry))
		return entries if len(entries) == len(value) else None

	def accepts_entry(self, entry: str) -> bool:
		return True

	def as_json(self, value: object) -> object:
		return list(value) if isinstance(value, tuple) else value


class AbsolutePaths(_Strings):
	metavar = "PATH"
	allowed = coded("allowed_paths", example='["/"]')

	def accepts_entry(self, entry: str) -> bool:
		return entry.startswith("/")


class BenchPaths(_Strings):
	metavar = "PATH"
	allowed = coded("allowed_benches", example='["/home/*/bench"]')

	def accepts_entry(self, entry: str) -> bool:
		return "**" not in entry


class SitePatterns(_Strings):
	metavar = "PATTERN"
	may_be_empty = True
	allowed = coded("allowed_patterns", example='["pool-*"]')


def _is_file_name(value: object) -> TypeGuard[str]:
	"""Tell whether the file system could know a name; JSON can hold halves of characters that it cannot."""
	try:
		return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
	except UnicodeEncodeError:
		return False
