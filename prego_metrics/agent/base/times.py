"""Times as other programs write them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?")
# As seconds this is the year 5138, as milliseconds 1973: larger numbers are milliseconds.
_SMALLEST_MILLISECONDS = 1e11
# The years 1 to 9999, which are those of a calendar.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800.0, 253_402_300_799.0


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
	try:
		if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
			moment = datetime.fromisoformat(_normalized(value.strip()))
			seconds = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
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
