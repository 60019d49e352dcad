"""The error boundary: of an unexpected exception only its type and its place leave, and none of the node's values.

Frappe stores the variables of each frame of a traceback in the database of the current site, where a tenant's
System Manager reads them. The frames of this app hold the environment with the key, and passwords of databases.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.desk.adapters.bench_log import log_fault

Returned = TypeVar("Returned")
_FRAMES = 12


class Unforeseen(Exception):
	"""A fault of this app; the message names its type and place, and holds no value."""


def guarded(run: Callable[[], Returned]) -> Returned:
	"""Return what `run` returns. Whatever it raises is logged, and Unforeseen is raised in its place.

	`run` stays a variable of this frame: it must not hold values that a tenant may not see.
	"""
	try:
		return run()
	except Exception as error:  # noqa: BLE001 - every exception is meant; none is swallowed
		fault = f"unforeseen {type(error).__name__} at {_place(error)}"
	# Raised outside the except block, the new exception has no context that would bring the frames along.
	log_fault(fault)
	raise Unforeseen(fault)


def _place(error: BaseException) -> str:
	"""Return the frames that the exception passed, as `folder/file:line function`, innermost first."""
	frames = traceback.extract_tb(error.__traceback__)
	inner = frames[1:][-_FRAMES:] or frames
	places = [f"{'/'.join(one.filename.split('/')[-2:])}:{one.lineno} {one.name}" for one in reversed(inner)]
	return sanitize(" < ".join(places), 900)
