"""Read a state back as hostile input: any app of the bench can write the files that it is kept in."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.base.messages import Message, message, restore
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.cpu import CpuReading
from prego_metrics.agent.config.settings import SETTING_BY_NAME
from prego_metrics.agent.light_typing import Any
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.model import (
	EVENTS_LENGTH,
	MAX_WHO,
	READ_VERSIONS,
	VERSION,
	Count,
	Push,
	State,
	Tick,
)

_MAX_TEXT = 2000
_MAX_NUMBER = 1e11
_MAX_FIELDS = 50
# What another version adds is kept up to this size, so that the state stays within its limit.
_MAX_UNKNOWN = 32_768
_STATE_FIELDS = frozenset(State._fields) | {"version", "transitions"}
_MAX_NAME = 64
_HEX = frozenset("0123456789abcdef")


def parse_state(content: str) -> State:
	"""Return the state that `content` holds. Raises ValueError with what is not ours in it."""
	written = parse_object(content)
	version = written.get("version")
	if type(version) is not int or version not in READ_VERSIONS:
		raise ValueError(
			message(
				"has version {version}, but this prego_metrics writes {ours}",
				version=sanitize(str(version), 20),
				ours=VERSION,
			)
		)
	of_state = Fields(written, message("the state"))
	cpu = of_state.get("cpu", dict)
	delivered = of_state.get("last_delivered", dict)
	last = of_state.get("last", dict)
	events = of_state.each("transitions" if version == 1 else "events", EVENTS_LENGTH)
	return State(
		last_attempt_at=of_state.optional_number("last_attempt_at"),
		last_regular_at=of_state.optional_number("last_regular_at"),
		last_snapshot_at=of_state.optional_number("last_snapshot_at"),
		failures_in_a_row=of_state.count("failures_in_a_row"),
		failing_since=of_state.optional_number("failing_since"),
		alerted=of_state.get("alerted", bool) or False,
		disk_alerted=of_state.get("disk_alerted", bool) or False,
		settings_file_seen=of_state.get("settings_file_seen", bool) or False,
		site_marks=of_state.marks("site_marks"),
		not_before=of_state.optional_number("not_before"),
		cpu=_cpu(Fields(cpu, "cpu")) if cpu else None,
		last_delivered=parse_push(Fields(delivered, "last_delivered")) if delivered else None,
		totals=of_state.within("totals").counts(),
		last=parse_push(Fields(last, "last")) if last else None,
		events=tuple(_event(entry) for entry in events if entry.name("kind") in ALERTS),
		row_mark=of_state.text("row_mark", required=False),
		unknown=of_state.unknown(_STATE_FIELDS),
		unknown_events=tuple(entry.unknown(()) for entry in events if entry.name("kind") not in ALERTS),
	)


def parse_object(content: str) -> dict[str, Any]:
	try:
		written = json.loads(content)
	except (ValueError, RecursionError):
		raise ValueError(message("is not valid JSON")) from None
	if not isinstance(written, dict):
		raise ValueError(message("is not a JSON object"))
	return written


class Fields:
	"""Typed access to a JSON object that anybody may have written."""

	def __init__(self, written: Mapping[str, Any], where: str) -> None:
		self._written = written
		self._where = where

	def __contains__(self, name: str) -> bool:
		return name in self._written

	def get(self, name: str, kind: type) -> Any:
		value = self._written.get(name)
		if value is not None and type(value) is not kind:
			raise self._wrong(name)
		return value

	def required(self, name: str, kind: type) -> Any:
		value = self.get(name, kind)
		if value is None:
			raise self._wrong(name)
		return value

	def number(self, name: str) -> float:
		value = self._written.get(name)
		if isinstance(value, bool) or not isinstance(value, int | float):
			raise self._wrong(name)
		if not 0 <= value <= _MAX_NUMBER:  # NaN is not, either
			raise self._wrong(name)
		return float(value)

	def optional_number(self, name: str) -> float | None:
		return None if self._written.get(name) is None else self.number(name)

	def count(self, name: str) -> int:
		value = self._written.get(name, 0)
		if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
			raise self._wrong(name)
		return int(value)

	def optional_count(self, name: str) -> int | None:
		return None if self._written.get(name) is None else self.count(name)

	def push_id(self, name: str) -> str:
		"""The id of a push becomes the name of files and rows."""
		value = self.required(name, str)
		if not _is_hex(value, 16):
			raise self._wrong(name)
		return str(value)

	def text(self, name: str, *, required: bool = True) -> str | None:
		value = self.required(name, str) if required else self.get(name, str)
		if value is not None and len(value) > _MAX_TEXT:
			raise self._wrong(name)
		return value if value is None else str(value)

	def error(self) -> Message | None:
		"""An error with its code; one that does not fit the catalog, or has no code, is shown as it stands."""
		text = self.text("error", required=False)
		if text is None:
			return None
		return restore(self._written.get("error_code"), self._written.get("error_params"), text)

	def name(self, name: str) -> str:
		"""Return a word such as a kind or an outcome; another version may have more of them than this one."""
		value = self._written.get(name)
		if not (isinstance(value, str) and _is_name(value)):
			raise self._wrong(name)
		return value

	def unknown(self, known: Collection[str]) -> str:
		"""Return the fields other than `known` as JSON, empty if there are none."""
		others = {name: value for name, value in self._written.items() if name not in known}
		try:
			kept = json.dumps(others) if others else ""
		except RecursionError:
			raise self._wrong("its depth") from None
		if len(kept) > _MAX_UNKNOWN:
			raise self._wrong("its size")
		return kept

	def within(self, name: str) -> Fields:
		return Fields(self.get(name, dict) or {}, name)

	def each(self, name: str, limit: int) -> list[Fields]:
		entries = self.get(name, list) or []
		if len(entries) > limit or not all(isinstance(entry, dict) for entry in entries):
			raise self._wrong(name)
		return [Fields(entry, name) for entry in entries]

	def marks(self, name: str) -> tuple[str, ...]:
		marks = self.get(name, list) or []
		if not all(isinstance(mark, str) and _is_hex(mark, 8) for mark in marks):
			raise self._wrong(name)
		return tuple(marks)

	def numbers(self, name: str) -> dict[str, float]:
		inner = self.within(name)
		if len(inner._written) > _MAX_FIELDS:
			raise self._wrong(name)
		return {key: inner.number(key) for key in inner._written}

	def counts(self) -> dict[str, int]:
		if len(self._written) > _MAX_FIELDS or not all(_is_name(name) for name in self._written):
			raise self._wrong("its size")
		return {name: self.count(name) for name in self._written}

	def scalars(self) -> dict[str, Any]:
		"""Return a whole flat object of texts, numbers and booleans."""
		if len(self._written) > _MAX_FIELDS:
			raise self._wrong("its size")
		for name, value in self._written.items():
			if not _is_name(name):
				raise self._wrong(name)
			if isinstance(value, str):
				self.text(name)
			elif not isinstance(value, bool):
				self.number(name)
		return dict(self._written)

	def _wrong(self, name: str) -> ValueError:
		return ValueError(
			message(
				"has an unexpected value for {name} in {place} (damaged, or written by another program)",
				name=sanitize(name, 40),
				place=self._where,
			)
		)


def _is_hex(text: str, length: int) -> bool:
	return len(text) == length and _HEX.issuperset(text)


def _is_name(text: str) -> bool:
	"""Tell whether that is a lower-case word of ASCII, as the names of fields and the kinds of things are."""
	fits = 0 < len(text) <= _MAX_NAME and text.isascii() and text[0].isalpha()
	return fits and text == text.lower() and text.isidentifier()


def parse_push(fields: Fields) -> Push:
	return Push(
		id=fields.push_id("id"),
		at=fields.number("at"),
		trigger=fields.name("trigger" if "trigger" in fields else "driver"),
		outcome=fields.name("outcome"),
		payload=_payload(fields.get("payload", dict)),
		status_code=fields.optional_count("status_code"),
		attempts=fields.count("attempts"),
		duration_ms=fields.count("duration_ms"),
		error=fields.error(),
		who=_who(fields),
	)


def _who(fields: Fields) -> str | None:
	who = fields.text("who", required=False)
	return who if who is None else who[:MAX_WHO]


def _payload(written: dict[str, Any] | None) -> dict[str, Any] | None:
	"""Return a payload with all its fields, also those of another version; the ones that we use have their type."""
	if written is None:
		return None
	fields = Fields(written, "payload")
	payload = fields.scalars()
	payload["node_id"] = fields.text("node_id")
	payload["tenant_count"] = fields.count("tenant_count")
	for name in ("cpu_pct", "memory_pct", "disk_pct"):
		if name in fields:
			payload[name] = fields.number(name)
	return payload


def _event(fields: Fields) -> AlertEvent:
	return AlertEvent(
		id=fields.push_id("id"),
		at=fields.number("at"),
		kind=fields.name("kind"),
		failures=fields.count("failures"),
		error=fields.error(),
		since=fields.optional_number("since"),
		tenants_before=fields.optional_count("tenants_before"),
		tenants=fields.optional_count("tenants"),
		disk_pct=fields.optional_number("disk_pct"),
		repeat=fields.count("repeat"),
	)


def _cpu(fields: Fields) -> CpuReading:
	return CpuReading(
		boot_id=fields.text("boot_id") or "",
		boot_seconds=fields.number("boot_seconds"),
		cpus=fields.count("cpus"),
		times=fields.numbers("times"),
	)


def parse_tick(fields: Fields, trigger: str) -> Tick:
	interval = fields.number("push_interval")
	# What is fresh follows from it: one of years would let nobody hear that pushes have stopped.
	SETTING_BY_NAME["push_interval"].kind.parse(interval)
	return Tick(
		trigger=trigger,
		at=fields.number("at"),
		push_interval=interval,
		node_id=fields.text("node_id") or "",
		outcome=fields.text("outcome") or "",
		since=fields.optional_number("since"),
		key_from=fields.text("key_from", required=False),
	)


def parse_count(fields: Fields) -> Count:
	return Count(fields.text("stamp") or "", fields.count("tenants"))
