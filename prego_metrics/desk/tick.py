"""What Frappe's scheduler runs each minute, through `prego_push.push_if_due`: a push if due, the log of pushes, alerts."""

from __future__ import annotations

import contextlib

import frappe
from frappe.utils import add_to_date

from prego_metrics.agent.alerts.fallback_folder import folder_to_read
from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.bench.privileges import drop_privileges
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.push import preload, push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import summary
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.adapters.bench_log import log_to_bench
from prego_metrics.desk.error_boundary import Unforeseen, guarded
from prego_metrics.desk.operator_site import operator_config, this_bench

# The same fault at each tick of an hour is written into the Error Log once.
_REPEAT_AFTER_HOURS = 1


def run_tick() -> None:
	"""Push if it is due, on any site with the app; write the log and the alerts, on the operator site.

	These catch up from the state, so pushes by a timer or cron appear too. Never raises for a foreseen condition;
	for any other it raises Unforeseen, so that the job counts as failed.
	"""
	try:
		guarded(_push_and_notify)
	except Unforeseen as fault:
		_log_broken_tick(str(fault))
		raise


def _push_and_notify() -> None:
	try:
		bench = this_bench()
		drop_privileges(bench, preload)
	except PregoMetricsError as error:
		log_to_bench(f"Not sent: {error}")
		return
	result = push(bench, Request(trigger="frappe", if_due=True))
	if result.exit_code:
		log_to_bench(summary(result))
	if result.metrics_textfile:
		from prego_metrics.exporters.textfile import write_after_push

		for warning in write_after_push(bench, result._replace(warnings=())).warnings:
			log_to_bench(f"Warning: {warning}")
	config = operator_config()
	if config is not None:
		catch_up_and_notify(StateFolder(bench.sites), config, result.not_written)


def catch_up_and_notify(folder: StateFolder, config: Config, not_written: Message | None = None) -> None:
	"""Bring the log of pushes up to date and send the alerts that are due. Never raises: the push is over.

	A log that cannot be written, as before a migrate, does not hold up the alerts. `not_written` says why the push
	could not write the state.
	"""
	folder = folder_to_read(folder, not_written)
	for failure, work in (
		("The log of pushes was not written", _catch_up),
		("The alerts were not sent", _notify),
	):
		try:
			work(folder, config, not_written)
			# Kept, whatever fails after it.
			frappe.db.commit()  # nosemgrep
		except Exception as error:  # noqa: BLE001 whatever it is, the push must not suffer
			log_to_bench(f"{failure}: {type(error).__name__}. The next tick tries again")
			# A database that is gone has nothing to roll back.
			with contextlib.suppress(Exception):
				frappe.db.rollback()


def _catch_up(folder: StateFolder, config: Config, not_written: Message | None) -> None:
	from prego_metrics.desk.push_log import catch_up

	catch_up(folder, config)


def _notify(folder: StateFolder, config: Config, not_written: Message | None) -> None:
	from prego_metrics.desk.notifications import notify

	notify(folder, config, log_to_bench, not_written)


def _log_broken_tick(fault: str) -> None:
	"""Write an Error Log on the operator site: Frappe 15 drops what a tick raises. Never raises."""
	try:
		if operator_config() is None:
			return
		title = "Prego Metrics: a tick broke"
		since = add_to_date(None, hours=-_REPEAT_AFTER_HOURS)
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
		log_to_bench(f"The Error Log has no row of it: {type(error).__name__}")
