"""Frappe's trigger: its scheduler's tick, and the push by hand through `bench execute`.

Both only forward to `prego_metrics.agent.push.push`, which imports no frappe.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.bench.privileges import drop_privileges
from prego_metrics.agent.push.push import dry_run as show_payload
from prego_metrics.agent.push.push import preload
from prego_metrics.agent.push.push import push as push_once
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.outcomes import NOT_SENT
from prego_metrics.cli.ui.output import report_trouble
from prego_metrics.desk.adapters.bench_log import say_fault
from prego_metrics.desk.error_boundary import Unforeseen, guarded
from prego_metrics.desk.operator_site import this_bench
from prego_metrics.desk.tick import log_broken_tick, tick


def push_if_due() -> None:
	"""Push if the interval is over: what Frappe's scheduler runs at each of its ticks.

	Any site with the app may carry the push. What happened is told on the operator's site alone, which
	catches up from the state even when its own push was not due. Never raises for a foreseen condition; for
	any other it raises Unforeseen, so that the job counts as failed.
	"""
	try:
		guarded(tick, say_fault)
	except Unforeseen as fault:
		log_broken_tick(str(fault))
		raise


def push(dry_run: bool = False, save_snapshot: bool = False) -> dict[str, Any]:
	"""Push by hand: `bench execute prego_metrics.prego_push.push`.

	Returns the result. On failure it prints the reason and exits as `prego-metrics push` does: an exception
	would be buried by bench under a NameError.
	"""
	try:
		bench = this_bench()
		drop_privileges(bench, preload)
		ended = (
			show_payload(bench) if dry_run else push_once(bench, Request(save_snapshot=bool(save_snapshot)))
		)
	except PregoMetricsError as error:
		ended = Result(NOT_SENT, time.time(), error=str(error))
	report_trouble(ended)
	if ended.exit_code:
		sys.exit(ended.exit_code)
	return ended.as_dict()
