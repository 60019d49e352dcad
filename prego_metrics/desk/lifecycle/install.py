"""What installing and migrating the app does to a site."""

from __future__ import annotations

import os

import click
import frappe
from frappe.utils import add_days, get_datetime, now_datetime

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.desk.adapters.jobs import PUSH_JOB, SCAN_JOB
from prego_metrics.desk.node_method import READER_ROLE
from prego_metrics.desk.operator_site import this_bench


def after_install() -> None:
	"""Print the count of the bench's tenants, and the next step. Never raises: installing needs no settings yet."""
	site = sanitize(frappe.local.site)
	try:
		config = load_config(this_bench(), os.environ)
		census = count_tenants(config)
	except PregoMetricsError as error:
		click.secho(f"prego_metrics cannot count this bench yet: {error}", fg="yellow")
		return
	click.echo(
		f"prego_metrics counts {census.tenant_count} tenants of {len(census.sites)} sites on this bench."
	)
	if any(entry.name == site and entry.counted for entry in census.sites):
		click.echo(f"This site, {site}, is one of them. If it is not a tenant: bench prego-metrics configure")
		click.echo(
			f'  --exclude-sites {site} (beside those already excluded), or "prego_tenant": 0 in its own'
		)
		click.echo("  site_config.json.")
	if config.problems:
		click.echo("Nothing is pushed before the settings are there. Next: bench prego-metrics configure")


def prepare_site() -> None:
	"""Correct the job rows, and add the role and the retention of the log: run after each install and migrate.

	The rows exist only after the install, and a migrate replaces one whose cron changed.
	"""
	_correct_job_rows()
	if not frappe.db.exists("Role", READER_ROLE):
		role = frappe.new_doc("Role")
		role.update({"role_name": READER_ROLE, "desk_access": 0})
		role.insert(ignore_permissions=True)
	# Frappe adds the log to Log Settings at night only, and until then the list says that it is not cleared.
	if not frappe.db.exists("Logs To Clear", {"ref_doctype": "Prego Metrics Push"}):
		frappe.get_doc("Log Settings").save(ignore_permissions=True)


def _correct_job_rows() -> None:
	"""Make the scheduler's rows due, and let their runs write no log rows.

	Frappe sets create_log on a cron job (1,440 rows a day) when the row is saved, so it is set without saving. An
	empty last execution counts from the row's creation. A later change of the site's time zone can move either
	hours into the future, and until then the job silently does not run.
	"""
	for row in frappe.get_all(
		"Scheduled Job Type",
		filters={"method": ("in", (PUSH_JOB, SCAN_JOB))},
		fields=["name", "last_execution"],
	):
		values = {"create_log": 0}
		if not row.last_execution or get_datetime(row.last_execution) > now_datetime():
			values["last_execution"] = add_days(now_datetime(), -1)
		frappe.db.set_value("Scheduled Job Type", row.name, values, update_modified=False)
