"""Sizes as people read them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size_text(size: int | None) -> str:
	"""Return bytes in decimal units, as disks are sold; `?` where the size is not known."""
	if size is None:
		return "?"
	number, unit = float(size), 0
	while number >= 999.5 and unit < len(_UNITS) - 1:
		number, unit = number / 1000, unit + 1
	return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 99.95 else f"{number:.1f} {_UNITS[unit]}"
