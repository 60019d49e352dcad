"""Sizes and times, as people and other programs write them."""

from __future__ import annotations

import re

from prego_metrics.agent.base.messages import Message, message

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_NUMBER = r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?"
# As seconds this is the year 5138, as milliseconds 1973: larger numbers are milliseconds.
_SMALLEST_MILLISECONDS = 1e11
# The years 1 to 9999, which are those of a calendar.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800.0, 253_402_300_799.0


def size_text(size: int | None) -> str:
	"""Return bytes in decimal units, as disks are sold; `?` where the size is not known."""
	if size is None:
		return "?"
	number, unit = float(size), 0
	while number >= 999.5 and unit < len(_UNITS) - 1:
		number, unit = number / 1000, unit + 1
	return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 99.95 else f"{number:.1f} {_UNITS[unit]}"


def percent_word(figure: float | None) -> Message:
	"""Return a percentage as it stands in a sentence."""
	return message("unknown") if figure is None else message("{percent} %", percent=figure)


def iso_utc(at: float) -> str:
	"""Return a time in seconds since the epoch as ISO 8601 in UTC, to the second."""
	import datetime

	return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> Message:
	"""Return how long that is, as a person would say it."""
	seconds = max(0.0, seconds)
	if seconds < 120:
		return message("{seconds} s", seconds=f"{seconds:.0f}")
	if seconds < 7200:
		return message("{minutes} min", minutes=f"{seconds / 60:.0f}")
	if seconds < 172_800:
		return message("{hours} h", hours=f"{seconds / 3600:.1f}".removesuffix(".0"))
	return message("{days} days", days=f"{seconds / 86400:.0f}")


def interval_word(seconds: float) -> Message:
	"""Return an interval as a person would say it, and exactly: 60 s, 90 s, 5 min."""
	if seconds >= 120 and seconds % 60 == 0:
		return message("{minutes} min", minutes=f"{seconds / 60:.0f}")
	return message("{seconds} s", seconds=f"{seconds:g}")


def tenants_word(count: int) -> Message:
	"""Return a number of tenants as it stands in a sentence."""
	return message("1 tenant") if count == 1 else message("{count} tenants", count=count)


def sites_word(count: int) -> Message:
	"""Return a number of sites as it stands in a sentence."""
	return message("1 site") if count == 1 else message("{count} sites", count=count)


def pushes_word(count: int) -> Message:
	"""Return a number of pushes as it stands in a sentence."""
	return message("1 push") if count == 1 else message("{count} pushes", count=count)


def _normalized(moment: str) -> str:
	"""Return an ISO 8601 time with six digits of a second and an offset as +hh:mm: Python 3.10 reads no other."""
	moment = re.sub("[Zz]$", "+00:00", moment)
	moment = re.sub(r"(?<=:\d\d)[.,](\d{1,6})\d*", lambda fraction: "." + fraction[1].ljust(6, "0"), moment)
	if ":" not in moment:
		return moment  # a date, whose end looks like an offset
	return re.sub(r" ?([+-]\d\d)(\d\d)?$", lambda offset: f"{offset[1]}:{offset[2] or '00'}", moment)


def epoch_seconds(value: object) -> float:
	"""Return a moment in seconds since the epoch.

	`value` is an epoch in seconds or milliseconds, as a number or its digits, or ISO 8601, with a space or a T.
	Without a zone it is UTC, as SQLite's `datetime('now')`. Raises ValueError for anything else.
	"""
	import datetime

	try:
		if isinstance(value, str) and not re.fullmatch(_NUMBER, value.strip()):
			moment = datetime.datetime.fromisoformat(_normalized(value.strip()))
			seconds = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()
		elif isinstance(value, str | int | float) and not isinstance(value, bool):
			number = float(value)
			seconds = number / 1000 if abs(number) >= _SMALLEST_MILLISECONDS else number
		else:
			raise ValueError
	except (ValueError, OverflowError):
		raise ValueError("is not a time") from None
	if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
		raise ValueError("is not a time")
	return seconds
