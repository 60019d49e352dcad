"""What installing and migrating the app does to a site."""

from __future__ import annotations

import datetime
import os
import zoneinfo

import click
import frappe
from frappe.model.document import Document
from frappe.utils import add_days, get_datetime, now_datetime

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.formatting import sites_word, tenants_word
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.processes import how_to_restart
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.desk.adapters.jobs import PUSH_JOB, SCAN_JOB
from prego_metrics.desk.node_method import READER_ROLE
from prego_metrics.desk.operator_site import this_bench


def before_install() -> None:
	"""Let Frappe list the modules of the bench's apps again.

	A command starts with the list that the site's cache has. One from before `get-app` lacks this app: Frappe would
	install it without its DocTypes, and say nothing.
	"""
	frappe.setup_module_map()


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
		f"prego_metrics counts {tenants_word(census.tenant_count)} of {sites_word(len(census.sites))} on this bench."
	)
	if any(entry.name == site and entry.counted for entry in census.sites):
		click.echo(f"This site, {site}, is one of them. If it is not a tenant: bench prego-metrics configure")
		click.echo(
			f'  --exclude-sites {site} (beside those already excluded), or "prego_tenant": 0 in its own'
		)
		click.echo("  site_config.json.")
	click.echo(
		"Restart the bench's processes now, since those that started before get-app cannot run this app:"
	)
	click.echo(f"  {how_to_restart(config.bench)}")
	if config.problems:
		click.echo("Nothing is pushed before the settings are there. Next: bench prego-metrics configure")


def prepare_site() -> None:
	"""Correct the job rows, and add the role and the retention of the log: run after each install and migrate.

	The rows exist only after the install, and a migrate replaces one whose cron changed.
	"""
	correct_job_rows()
	if not frappe.db.exists("Role", READER_ROLE):
		role = frappe.new_doc("Role")
		role.update({"role_name": READER_ROLE, "desk_access": 0})
		role.insert(ignore_permissions=True)
	# Frappe adds the log to Log Settings at night only, and until then the list says that it is not cleared.
	if not frappe.db.exists("Logs To Clear", {"ref_doctype": "Prego Metrics Push"}):
		frappe.get_doc("Log Settings").save(ignore_permissions=True)


def correct_job_rows(settings: Document | None = None, _event: str = "") -> None:
	"""Make the scheduler's rows due, and let their runs write no log rows.

	Frappe sets create_log on a cron job (1,440 rows a day) when the row is saved, so it is set without saving. An
	empty last execution counts from the row's creation. A later change of the site's time zone can move either
	hours into the future, and until then the job silently does not run: so this also runs when `settings`, the
	System Settings, were saved.
	"""
	now = _now_by(settings.time_zone) if settings else now_datetime()
	for row in frappe.get_all(
		"Scheduled Job Type",
		filters={"method": ("in", (PUSH_JOB, SCAN_JOB))},
		fields=["name", "last_execution"],
	):
		values = {"create_log": 0}
		if not row.last_execution or get_datetime(row.last_execution) > now:
			values["last_execution"] = add_days(now, -1)
		frappe.db.set_value("Scheduled Job Type", row.name, values, update_modified=False)


def _now_by(time_zone: str | None) -> datetime.datetime:
	"""Return the time in a zone, as Frappe keeps times: within the request that changes the zone it goes by the old one."""
	try:
		return datetime.datetime.now(zoneinfo.ZoneInfo(time_zone or "")).replace(tzinfo=None)
	except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
		return now_datetime()
