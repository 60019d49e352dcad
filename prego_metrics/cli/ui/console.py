"""The terminal."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
	"""Return a console that obeys nothing in the texts it is given."""
	return Console(highlight=False, markup=False, emoji=False)
