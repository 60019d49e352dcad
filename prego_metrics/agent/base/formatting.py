"""Sizes as people read them."""

from __future__ import annotations

from prego_metrics.agent.base.messages import Message, message

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


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
	return message("{hours} h", hours=f"{seconds / 3600:.1f}")
