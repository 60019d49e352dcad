"""What is left of an exception that nobody foresaw: its kind and its place, and none of the node's values.

Frappe stores the variables of each frame of a traceback in the database of the site at work, where a
tenant's System Manager reads them. So a traceback of the node's own work never leaves.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from prego_metrics.agent.base.sanitize import sanitize

Done = TypeVar("Done")
_FRAMES = 12


class Unforeseen(Exception):
	"""A fault of this app's; the message says of which kind and where, without a value."""


def guarded(run: Callable[[], Done], say: Callable[[str], None]) -> Done:
	"""Return what `run` returns. Raises Unforeseen for whatever it raises, once `say` has said so.

	Neither `run` nor `say` may hold what is not for every site's eyes: they are variables of this frame.
	"""
	try:
		return run()
	except Exception as error:  # noqa: BLE001 - all of them is the point; none is swallowed
		fault = f"unforeseen {type(error).__name__} at {_place(error)}"
	# Raised out here, the new exception has neither a cause nor a context, with which the frames would come.
	say(fault)
	raise Unforeseen(fault)


def _place(error: BaseException) -> str:
	"""Return where it was raised, and by way of what: `file:line function`, innermost first."""
	frames = [
		f"{_module(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
		for frame, line in traceback.walk_tb(error.__traceback__)
	]
	return sanitize(" < ".join(reversed(frames[1:][-_FRAMES:] or frames)), 900)


def _module(path: str) -> str:
	return "/".join(path.split("/")[-2:])
