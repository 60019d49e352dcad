"""Frappe's driver: its scheduler's tick, and the push by hand through `bench execute`.

Both only forward to `prego_metrics.agent.push.push`, which imports no frappe.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

import frappe
from frappe.utils import add_to_date

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.bench.privileges import become_owner
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.push.push import Request
from prego_metrics.agent.push.push import dry_run as show_payload
from prego_metrics.agent.push.push import push as push_once
from prego_metrics.agent.push.result import NOT_SENT, Result
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.cli.ui.output import report_trouble, summary
from prego_metrics.desk.adapters.bench_log import log_of_the_bench, say_fault
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.error_boundary import Unforeseen, guarded
from prego_metrics.desk.operator_site import config_here, is_operators_site, this_bench

# What an hour's ticks raised is written once: the same fault at each of them tells no more.
_TOLD_AGAIN_AFTER_HOURS = 1


def push_if_due() -> None:
	"""Push if the interval is over: what Frappe's scheduler runs at each of its ticks.

	Any site with the app may carry the push. What happened is told on the operator's site alone, which
	catches up from the state even when its own push was not due. Never raises for a foreseen condition; for
	any other it raises Unforeseen, so that the job counts as failed.
	"""
	try:
		guarded(_tick, say_fault)
	except Unforeseen as fault:
		_tell_the_operator(str(fault))
		raise


def _tick() -> None:
	try:
		bench = this_bench()
		become_owner(bench)
	except PregoMetricsError as error:
		log_of_the_bench(f"Not sent: {error}")
		return
	ended = push_once(bench, Request(driver="frappe", if_due=True))
	if ended.exit_code:
		log_of_the_bench(summary(ended))
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


def _tell_the_operator(fault: str) -> None:
	"""Write an Error Log on the operator's site: Frappe 15 drops what a tick raises. Never raises."""
	try:
		config = config_here()
		if config is None or not is_operators_site(config):
			return
		title = "Prego Metrics: a tick broke"
		since = add_to_date(None, hours=-_TOLD_AGAIN_AFTER_HOURS)
		frappe.db.rollback()
		if not frappe.db.exists("Error Log", {"method": title, "creation": (">", since)}):
			frappe.log_error(
				title=title,
				message=f"{fault}. The tick ended there; each that breaks is in logs/prego_metrics.log. "
				"Please report this: it is a fault of prego_metrics.",
			)
			# Frappe rolls back when the job raises, which it is about to.
			frappe.db.commit()  # nosemgrep
	except Exception as error:  # noqa: BLE001 the fault itself is in the bench's log, and is raised
		log_of_the_bench(f"The Error Log has no row of it: {type(error).__name__}")


def _log_and_tell(folder: StateFolder, config: Config) -> None:
	"""Bring the log of pushes up to date, and tell what is to be told. Never raises: the push is over.

	A log that cannot be written, as before a migrate, silences nobody.
	"""
	for undone, work in (
		("The log of pushes was not written", _catch_up),
		("What happened was not told", _tell),
	):
		try:
			work(folder, config)
			# It stands, whatever becomes of what comes after it.
			frappe.db.commit()  # nosemgrep
		except Exception as error:  # noqa: BLE001 whatever it is, the push must not suffer
			log_of_the_bench(f"{undone}: {type(error).__name__}. The next tick tries again")
			# A database that is gone has nothing to roll back.
			with contextlib.suppress(Exception):
				frappe.db.rollback()


def _catch_up(folder: StateFolder, config: Config) -> None:
	from prego_metrics.desk.push_log import catch_up

	catch_up(folder, config)


def _tell(folder: StateFolder, config: Config) -> None:
	from prego_metrics.desk.notifications import tell

	tell(folder, config, log_of_the_bench)
