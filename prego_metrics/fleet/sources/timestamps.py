"""`updated_at`, in whatever way the control plane wrote it."""

from __future__ import annotations

import datetime
import re

# As seconds this is the year 5138, as milliseconds 1973: what is larger are milliseconds.
_SMALLEST_MILLISECONDS = 1e11
# The years 1 to 9999, as calendars have them.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800.0, 253_402_300_799.0
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?")
_ISO = re.compile(
	r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
	r"(?:[Tt ](?P<minutes>[0-9]{2}:[0-9]{2})(?::(?P<seconds>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,20}))?)?"
	r" ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def epoch_seconds(value: object) -> float:
	"""Return a moment in seconds since the epoch.

	Understood are the epoch in seconds or milliseconds, as a number or its digits, and ISO 8601 with a space
	or a T. A time without a zone is UTC, as SQLite's `datetime('now')`. Raises ValueError for anything else.
	"""
	seconds = None
	if isinstance(value, str):
		text = value.strip()
		seconds = _scaled(float(text)) if _NUMBER.fullmatch(text) else _from_iso(text)
	elif isinstance(value, int | float) and not isinstance(value, bool):
		try:
			seconds = _scaled(float(value))
		except OverflowError:
			pass  # an integer beyond all floats
	if seconds is None or not _FIRST_SECOND <= seconds <= _LAST_SECOND:
		raise ValueError("is no time")
	return seconds


def _scaled(number: float) -> float:
	return number / 1000 if abs(number) >= _SMALLEST_MILLISECONDS else number


def _from_iso(text: str) -> float:
	found = _ISO.fullmatch(text)
	if not found:
		raise ValueError("is no time")
	clock = f"{found['minutes'] or '00:00'}:{found['seconds'] or '00'}"
	try:
		moment = datetime.datetime.fromisoformat(f"{found['date']}T{clock}+00:00")
	except ValueError:
		raise ValueError("is no time") from None
	fraction = float(f"0.{found['fraction'] or 0}")
	return moment.timestamp() + fraction - _offset_seconds(found["zone"] or "Z")


def _offset_seconds(zone: str) -> float:
	if zone in ("Z", "z"):
		return 0.0
	digits = zone[1:].replace(":", "").ljust(4, "0")
	hours, minutes = int(digits[:2]), int(digits[2:])
	if hours > 23 or minutes > 59:
		raise ValueError("is no time")
	return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
