"""The table of settings: what each is called, what it means, what is allowed, what holds by default."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard
from urllib.parse import SplitResult, unquote, urlsplit

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.urls import is_loopback

DAY_SECONDS = 86400.0

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_INSTANCE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HOST = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


@dataclass(frozen=True)
class Setting:
	"""One setting.

	kind says how its text in an environment variable is read: "text" as it stands, "number" as decimal
	digits, "json" for lists and booleans. parse returns the value to use, or raises ValueError with what
	is allowed. A secret value is not shown when it is refused.
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


def _is_host(netloc: str, host: str) -> bool:
	import ipaddress

	if "[" not in netloc:
		return _HOST.fullmatch(host) is not None
	try:
		return "%" not in host and ipaddress.ip_address(host).version == 6
	except ValueError:
		return False


def _url(value: object) -> SplitResult:
	allowed = message("must be an https:// URL (http:// only for localhost and loopback addresses)")
	if not isinstance(value, str) or not value:
		raise ValueError(allowed)
	if not (value.isascii() and value.isprintable()) or " " in value or "\\" in value:
		raise ValueError(
			message("{allowed} of printable ASCII without spaces or backslashes", allowed=allowed)
		)
	try:
		parts = urlsplit(value)
		host, port = parts.hostname or "", parts.port
	except ValueError:
		raise ValueError(message("{allowed}; its host or port is none", allowed=allowed)) from None
	if parts.scheme not in ("http", "https") or not host or port == 0:
		raise ValueError(allowed)
	if "@" in parts.netloc:
		raise ValueError(message("must not contain a user name or password"))
	if not _is_host(parts.netloc, host):
		raise ValueError(
			message("{allowed}; its host is neither a host name nor an address", allowed=allowed)
		)
	if parts.scheme == "http" and not is_loopback(host):
		raise ValueError(
			message("must begin with https:// (http:// would carry the key in clear; only loopback may)")
		)
	return parts


def _control_plane_url(value: object) -> str:
	parts = _url(value)
	url = str(value)
	if "?" in url or "#" in url:
		raise ValueError(message("must have no query and no fragment"))
	path = parts.path.rstrip("/")
	if path.endswith("/internal/server-metrics"):
		raise ValueError(message("must be the control plane's base URL, without /internal/server-metrics"))
	if any(unquote(segment) in (".", "..") for segment in path.split("/")):
		raise ValueError(message("must have no . or .. in its path"))
	return url.rstrip("/")


def _heartbeat_url(value: object) -> str:
	_url(value)
	return str(value)


def _node_id(value: object) -> str:
	if not isinstance(value, str):
		raise ValueError(message("must be a text, exactly nodes.node_id in the control plane"))
	if not value.strip() or value in (".", "..") or len(value) > 255:
		raise ValueError(message("must have 1 to 255 characters, not only spaces, and not be . or .."))
	if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value):
		raise ValueError(message("must have no control characters and be valid Unicode"))
	return value


def _instance_id(value: object) -> str:
	if not isinstance(value, str) or not _INSTANCE_ID.fullmatch(value):
		raise ValueError(
			message("must be the id that the hoster gave this server, 1 to 128 of A-Z a-z 0-9 . _ : -")
		)
	return value


def _number(low: float, high: float, *, zero: str = "", unit: str = "seconds") -> Callable[[object], float]:
	"""Return a parser of numbers from `low` to `high`, and of 0 where `zero` says what it is for."""
	allowed = _allowed_numbers(f"{low:g}", f"{high:g}", unit)
	if zero == "never":
		allowed = message("{allowed}, or 0 for never", allowed=allowed)
	elif zero:
		allowed = message("{allowed}, or 0 for no quota", allowed=allowed)

	def parse(value: object) -> float:
		if isinstance(value, bool) or not isinstance(value, int | float):
			raise ValueError(allowed)
		if not (low <= value <= high or (zero and value == 0)):
			raise ValueError(allowed)
		return float(value)

	return parse


def _allowed_numbers(low: str, high: str, unit: str) -> Message:
	if unit == "percent":
		return message("must be a number of percent from {low} to {high}", low=low, high=high)
	if unit == "GB":
		return message("must be a number of GB from {low} to {high}", low=low, high=high)
	return message("must be a number of seconds from {low} to {high}", low=low, high=high)


def _whole_number(low: int, high: int) -> Callable[[object], int]:
	def parse(value: object) -> int:
		if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
			raise ValueError(message("must be a whole number from {low} to {high}", low=low, high=high))
		return value

	return parse


def _boolean(value: object) -> bool:
	if not isinstance(value, bool) and not (isinstance(value, int) and value in (0, 1)):
		raise ValueError(message("must be true or false"))
	return bool(value)


def _is_file_name(value: object) -> TypeGuard[str]:
	"""Tell whether the file system could know a name; JSON can hold halves of characters that it cannot."""
	try:
		return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
	except UnicodeEncodeError:
		return False


def _texts(*, empty: bool, absolute: bool = False) -> Callable[[object], tuple[str, ...]]:
	allowed = message("must be a list of absolute paths") if absolute else message("must be a list of texts")
	example = '["/"]' if absolute else '["pool-*"]'

	def parse(value: object) -> tuple[str, ...]:
		if not isinstance(value, list):
			raise ValueError(message("{allowed}, such as {example}", allowed=allowed, example=example))
		if not value and not empty:
			raise ValueError(message("{allowed} with at least one entry", allowed=allowed))
		for entry in value:
			if not _is_file_name(entry):
				raise ValueError(
					message("{allowed}, none of them empty or impossible as a name of files", allowed=allowed)
				)
			if absolute and not entry.startswith("/"):
				raise ValueError(
					message(
						"{allowed}; '{entry}' does not begin with /",
						allowed=allowed,
						entry=sanitize(entry, 80),
					)
				)
		return tuple(value)

	return parse


def _absolute_path(value: object) -> str:
	if not _is_file_name(value) or not value.startswith("/"):
		raise ValueError(message("must be an absolute path, outside sites/"))
	return value


def _benches(value: object) -> tuple[str, ...]:
	paths = _texts(empty=False)(value)
	if any("**" in path for path in paths):
		raise ValueError(
			message("must be paths or patterns with * ? [ ] inside one level; ** is not supported")
		)
	return paths


def _site(value: object) -> str:
	if not _is_file_name(value) or "/" in value or value in (".", ".."):
		raise ValueError(message("must be the name of a site, as its folder in sites/ is called"))
	return value


# In decimal GB, as disks are sold. A site's own `prego_quota_gb` is judged by it too.
parse_quota_gb = _number(0.001, 100_000, zero="no quota", unit="GB")

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
	Setting(
		"instance_id",
		None,
		"text",
		_instance_id,
		"the server that these settings were made for: a clone of it does not push",
	),
	# Secret, though only a path: somebody may have typed the key itself, and a refusal would show it.
	Setting(
		"api_key_file",
		None,
		"text",
		_absolute_path,
		"file that holds the bearer key, outside sites/",
		secret=True,
	),
	Setting("push_interval", 60.0, "number", _number(5, DAY_SECONDS), "seconds between pushes"),
	Setting(
		"spread", 5.0, "number", _number(0, 60), "seconds over which cron's pushes of a fleet are spread"
	),
	Setting(
		"snapshot_interval",
		3600.0,
		"number",
		_number(5, DAY_SECONDS, zero="never"),
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
		"disk_alert_pct",
		90.0,
		"number",
		_number(1, 100, zero="never", unit="percent"),
		"percent of the fullest disk from which somebody is told, 0: never",
	),
	Setting(
		"collect_tenants",
		True,
		"json",
		_boolean,
		"false: Frappe does not collect what each tenant takes by night",
	),
	Setting(
		"tenant_series",
		1000,
		"number",
		_whole_number(0, 1_000_000),
		"sites with series of their own in OpenMetrics, the largest first; 0: none",
	),
	Setting(
		"tenant_quota_gb",
		0.0,
		"number",
		parse_quota_gb,
		"GB of files and database above which a tenant is marked, where its own site says nothing; 0: none",
	),
	Setting(
		"heartbeat_url",
		None,
		"text",
		_heartbeat_url,
		"pinged after each delivered push; a secret, better in heartbeat_url_file",
		secret=True,
	),
	Setting(
		"heartbeat_url_file",
		None,
		"text",
		_absolute_path,
		"file that holds the heartbeat URL",
		secret=True,
	),
)

SETTING_BY_NAME = {setting.name: setting for setting in SETTINGS}
parse_heartbeat_url = _heartbeat_url
