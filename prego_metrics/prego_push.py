"""The two dotted paths of a push that Frappe and people use. Both only forward to `desk`."""

from __future__ import annotations

from typing import Any


def push_if_due() -> None:
	"""Push if the interval is over: run by Frappe's scheduler. Raises Unforeseen for an unexpected exception."""
	from prego_metrics.desk.tick import run_tick

	run_tick()


def push(dry_run: bool = False, save_snapshot: bool = False) -> dict[str, Any]:
	"""Push now, for `bench execute prego_metrics.prego_push.push`; returns the result, exits with a code on failure."""
	from prego_metrics.desk.manual_push import push_from_command_line

	return push_from_command_line(without_sending=bool(dry_run), save_snapshot=bool(save_snapshot))
