"""The error boundary: of an unexpected exception only its type and its place leave, and none of the node's values.

Frappe stores the variables of each frame of a traceback in the database of the current site, where a tenant's
System Manager reads them. The frames of this app hold the environment with the key, and passwords of databases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from prego_metrics.agent.base.errors import fault_of
from prego_metrics.desk.adapters.bench_log import log_fault

Returned = TypeVar("Returned")


class Unforeseen(Exception):
	"""A fault of this app; the message names its type and place, and holds no value."""


def guarded(run: Callable[[], Returned]) -> Returned:
	"""Return what `run` returns. Whatever it raises is logged, and Unforeseen is raised in its place.

	`run` stays a variable of this frame: it must not hold values that a tenant may not see.
	"""
	try:
		return run()
	except Exception as error:  # noqa: BLE001 - every exception is meant; none is swallowed
		fault = f"unforeseen {fault_of(error)}"
	# Raised outside the except block, the new exception has no context that would bring the frames along.
	log_fault(fault)
	raise Unforeseen(fault)
