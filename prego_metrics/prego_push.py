"""Frappe's driver: its scheduler's tick, and the push by hand through `bench execute`.

Both only forward to `prego_metrics.agent.push`, which imports no frappe.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import frappe

from prego_metrics.agent.config import Config, load_config
from prego_metrics.agent.errors import PregoMetricsError
from prego_metrics.agent.owner import become_owner
from prego_metrics.agent.push import Request
from prego_metrics.agent.push import dry_run as show_payload
from prego_metrics.agent.push import push as push_once
from prego_metrics.agent.report import report_trouble, summary
from prego_metrics.agent.result import NOT_SENT, Result
from prego_metrics.agent.state_folder import StateFolder
from prego_metrics.frappe_version import APP
from prego_metrics.operators_site import is_operators_site, this_bench


def push_if_due() -> None:
	"""Push if the interval is over: what Frappe's scheduler runs at each of its ticks.

	Any site with the app may carry the push. What happened is told on the operator's site alone, which
	catches up from the state even when its own push was not due. Never raises for a foreseen condition.
	"""
	try:
		bench = this_bench()
		become_owner(bench)
	except PregoMetricsError as error:
		_log(f"Not sent: {error}")
		return
	ended = push_once(bench, Request(driver="frappe", if_due=True))
	if ended.exit_code:
		_log(summary(ended))
	config = load_config(bench, os.environ)
	# A tick that was queued before the app was uninstalled here leaves nothing behind.
	if is_operators_site(config) and APP in frappe.get_installed_apps():
		_log_and_tell(StateFolder(bench.sites), config)


def push(dry_run: bool = False, save_snapshot: bool = False) -> dict[str, Any]:
	"""Push by hand: `bench execute prego_metrics.prego_push.push`.

	Returns the result. On failure it prints the reason and exits as `prego-metrics push` does: an exception
	would be buried by bench under a NameError.
	"""
	try:
		bench = this_bench()
		become_owner(bench)
		ended = (
			show_payload(bench) if dry_run else push_once(bench, Request(save_snapshot=bool(save_snapshot)))
		)
	except PregoMetricsError as error:
		ended = Result(NOT_SENT, time.time(), error=str(error))
	report_trouble(ended)
	if ended.exit_code:
		sys.exit(ended.exit_code)
	return ended.as_dict()


def _log(text: str) -> None:
	# Into the bench's logs/prego_metrics.log: a site's own log would show a tenant the node.
	frappe.logger("prego_metrics", allow_site=False).error(text)


def _log_and_tell(folder: StateFolder, config: Config) -> None:
	"""Bring the log of pushes up to date, and tell what is to be told. Never raises: the push is over."""
	try:
		from prego_metrics.history import catch_up
		from prego_metrics.telling import tell

		catch_up(folder, config)
		# It stands, whatever becomes of the telling.
		frappe.db.commit()  # nosemgrep
		tell(folder, config, _log)
	except Exception as error:  # noqa: BLE001 whatever it is, the push must not suffer
		_log(f"The log of pushes was not written: {type(error).__name__}. The next tick tries again")
