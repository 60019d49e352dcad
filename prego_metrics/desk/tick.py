"""What runs at each of the scheduler's ticks on a site with the app: a push where it is due, then its alerts."""

from __future__ import annotations

import contextlib
import os

import frappe
from frappe.utils import add_to_date

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.bench.privileges import drop_privileges
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.push.push import preload
from prego_metrics.agent.push.push import push as push_once
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import summary
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.adapters.bench_log import log_of_the_bench
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.operator_site import config_here, is_operators_site, this_bench

# What an hour's ticks raised is written once: the same fault at each of them tells no more.
_TOLD_AGAIN_AFTER_HOURS = 1


def tick() -> None:
	try:
		bench = this_bench()
		drop_privileges(bench, preload)
	except PregoMetricsError as error:
		log_of_the_bench(f"Not sent: {error}")
		return
	ended = push_once(bench, Request(trigger="frappe", if_due=True))
	if ended.exit_code:
		log_of_the_bench(summary(ended))
	config = load_config(bench, os.environ)
	# A tick that was queued before the app was uninstalled here leaves nothing behind.
	if is_operators_site(config) and APP in frappe.get_installed_apps():
		_log_and_tell(StateFolder(bench.sites), config)


def log_broken_tick(fault: str) -> None:
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
