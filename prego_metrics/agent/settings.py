"""The table of settings: what each is called, what it means, what is allowed, what holds by default."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

DAY_SECONDS = 86400.0

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")


@dataclass(frozen=True)
class Setting:
	"""One setting.

	kind says how its text in an environment variable is read: "text" as it stands, "number" as decimal
	digits, "json" for lists and booleans. parse returns the value to use, or raises ValueError with what
	is allowed. secret values are never shown.
	"""

	name: str
	default: object
	kind: str
	parse: Callable[[object], object]
	help: str
	required: bool = False
	secret: bool = False

	@property
	def variable(self) -> str:
		"""The environment variable that overrides it."""
		return "PREGO_METRICS_" + self.name.upper()


def is_loopback(host: str) -> bool:
	"""Tell whether `host` is an address of this machine's loopback, or exactly `localhost`.

	Names are not resolved: what a resolver answers today proves nothing of tomorrow.
	"""
	import ipaddress

	if host == "localhost":
		return True
	try:
		return ipaddress.ip_address(host).is_loopback
	except ValueError:
		return False


def _url(value: object) -> SplitResult:
	allowed = "an https:// URL (http:// only for localhost and loopback addresses)"
	if not isinstance(value, str) or not value:
		raise ValueError(f"must be {allowed}")
	if not (value.isascii() and value.isprintable()) or " " in value or "\\" in value:
		raise ValueError(f"must be {allowed} of printable ASCII without spaces or backslashes")
	try:
		parts = urlsplit(value)
		host, port = parts.hostname or "", parts.port
	except ValueError as error:
		raise ValueError(f"must be {allowed}; this is none: {error}") from None
	if parts.scheme not in ("http", "https") or not host or port == 0:
		raise ValueError(f"must be {allowed}")
	if "@" in parts.netloc:
		raise ValueError("must not contain a user name or password")
	if ":" not in host and not _HOST.fullmatch(host):
		raise ValueError(f"must be {allowed}; its host is not a host name")
	if parts.scheme == "http" and not is_loopback(host):
		raise ValueError("must begin with https:// (http:// would carry the key in clear; only loopback may)")
	return parts


def _control_plane_url(value: object) -> str:
	parts = _url(value)
	url = str(value)
	if "?" in url or "#" in url:
		raise ValueError("must have no query and no fragment")
	path = parts.path.rstrip("/")
	if path.endswith("/internal/server-metrics"):
		raise ValueError("must be the control plane's base URL, without /internal/server-metrics")
	if any(segment in (".", "..") for segment in path.split("/")):
		raise ValueError("must have no . or .. in its path")
	return url.rstrip("/")


def _heartbeat_url(value: object) -> str:
	_url(value)
	return str(value)


def _node_id(value: object) -> str:
	if not isinstance(value, str):
		raise ValueError("must be a text, exactly nodes.node_id in the control plane")
	if not value.strip() or value in (".", "..") or len(value) > 255:
		raise ValueError("must have 1 to 255 characters, not only spaces, and not be . or ..")
	if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value):
		raise ValueError("must have no control characters and be valid Unicode")
	return value


def _number(
	low: float, high: float, *, zero: bool = False, unit: str = "seconds"
) -> Callable[[object], float]:
	allowed = f"must be a number of {unit} from {low:g} to {high:g}" + (", or 0 for never" if zero else "")

	def parse(value: object) -> float:
		if isinstance(value, bool) or not isinstance(value, int | float):
			raise ValueError(allowed)
		if not (low <= value <= high or (zero and value == 0)):
			raise ValueError(allowed)
		return float(value)

	return parse


def _whole_number(low: int, high: int) -> Callable[[object], int]:
	def parse(value: object) -> int:
		if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
			raise ValueError(f"must be a whole number from {low} to {high}")
		return value

	return parse


def _boolean(value: object) -> bool:
	if not isinstance(value, bool) and not (isinstance(value, int) and value in (0, 1)):
		raise ValueError("must be true or false")
	return bool(value)


def _texts(*, empty: bool, absolute: bool = False) -> Callable[[object], tuple[str, ...]]:
	allowed = "must be a list of " + ("absolute paths" if absolute else "texts")
	example = '["/"]' if absolute else '["pool-*"]'

	def parse(value: object) -> tuple[str, ...]:
		if not isinstance(value, list):
			raise ValueError(f"{allowed}, such as {example}")
		if not value and not empty:
			raise ValueError(f"{allowed} with at least one entry")
		for entry in value:
			if not isinstance(entry, str) or not entry or "\0" in entry:
				raise ValueError(f"{allowed}, none of them empty")
			if absolute and not entry.startswith("/"):
				raise ValueError(f"{allowed}; {entry!r} does not begin with /")
		return tuple(value)

	return parse


def _absolute_path(value: object) -> str:
	if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
		raise ValueError("must be an absolute path, outside sites/")
	return value


def _benches(value: object) -> tuple[str, ...]:
	paths = _texts(empty=False)(value)
	if any("**" in path for path in paths):
		raise ValueError("must be paths or patterns with * ? [ ] inside one level; ** is not supported")
	return paths


def _site(value: object) -> str:
	if not isinstance(value, str) or not value or "/" in value or "\0" in value or value in (".", ".."):
		raise ValueError("must be the name of a site, as its folder in sites/ is called")
	return value


SETTINGS: tuple[Setting, ...] = (
	Setting("node_id", None, "text", _node_id, "this node, exactly nodes.node_id", required=True),
	Setting(
		"control_plane_url",
		None,
		"text",
		_control_plane_url,
		"base URL of the control plane, https://…",
		required=True,
	),
	Setting("api_key_file", None, "text", _absolute_path, "file that holds the bearer key, outside sites/"),
	Setting("push_interval", 60.0, "number", _number(5, DAY_SECONDS), "seconds between pushes"),
	Setting(
		"spread", 5.0, "number", _number(0, 60), "seconds over which cron's pushes of a fleet are spread"
	),
	Setting(
		"snapshot_interval",
		3600.0,
		"number",
		_number(5, DAY_SECONDS, zero=True),
		"seconds between snapshots, 0: never",
	),
	Setting(
		"disk_paths",
		None,
		"json",
		_texts(empty=False, absolute=True),
		"the fullest of their file systems is reported (default: sites/ and /)",
	),
	Setting("benches", None, "json", _benches, "benches of this node, paths or patterns (default: this one)"),
	Setting("site", None, "text", _site, "the operator's site, where the node is shown"),
	Setting(
		"exclude_sites", (), "json", _texts(empty=True), "sites that are no tenants, names or shell patterns"
	),
	Setting("allow_empty", False, "json", _boolean, "send 0 for a bench that holds no site at all"),
	Setting("scheduler_pushes", True, "json", _boolean, "false: Frappe's tick reports and does not push"),
	Setting("timeout", 10.0, "number", _number(0.1, 120), "seconds for one HTTP attempt, all of it"),
	Setting(
		"alert_after", 3, "number", _whole_number(1, 1000), "failed pushes in a row before somebody is told"
	),
	Setting(
		"heartbeat_url",
		None,
		"text",
		_heartbeat_url,
		"pinged after each delivered push; a secret, better in heartbeat_url_file",
		secret=True,
	),
	Setting("heartbeat_url_file", None, "text", _absolute_path, "file that holds the heartbeat URL"),
)

SETTING_BY_NAME = {setting.name: setting for setting in SETTINGS}
parse_heartbeat_url = _heartbeat_url
