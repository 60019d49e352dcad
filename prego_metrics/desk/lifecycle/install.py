"""What installing, migrating and uninstalling the app does to a site."""

from __future__ import annotations

import os

import click
import frappe
from frappe.utils import add_days, get_datetime, now_datetime

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.store import FOLDER_NAME
from prego_metrics.desk.adapters.compat import APP, delete_what_later_versions_keep
from prego_metrics.desk.adapters.jobs import PUSH_JOB, SCAN_JOB
from prego_metrics.desk.lifecycle.uninstall import delete_leftovers
from prego_metrics.desk.node_method import READER_ROLE
from prego_metrics.desk.operator_site import this_bench

MODULE = "Node Metrics"
JOBS = (PUSH_JOB, SCAN_JOB)


def after_install() -> None:
	"""Say what the node counts from now on, and what is still to be set."""
	_say_what_is_counted()


def after_sync() -> None:
	"""Mend the scheduler's rows, which exist only now, and make the role for scrapers."""
	mend_job_rows()
	make_reader_role()
	keep_the_log_short()


def after_migrate() -> None:
	"""Mend the scheduler's rows again: migrate makes one anew when its cron changed."""
	mend_job_rows()
	make_reader_role()
	keep_the_log_short()


def before_uninstall() -> None:
	"""Delete what Frappe would leave behind (frappe#17441); nothing in a dry run, which calls this too."""
	if not _is_dry_run():
		frappe.db.delete("Has Role", {"role": READER_ROLE})
		frappe.db.delete("Role", {"name": READER_ROLE})
		jobs = frappe.get_all("Scheduled Job Type", filters={"method": ("in", JOBS)}, pluck="name")
		frappe.db.delete("Scheduled Job Log", {"scheduled_job_type": ("in", jobs)})
		frappe.db.delete("Scheduled Job Type", {"method": ("in", JOBS)})
		delete_leftovers()


def after_uninstall() -> None:
	"""Delete the copies that Frappe keeps of what it deleted, and say what stays on the node, and why."""
	if _is_dry_run():
		return
	# What runs beside the uninstall can put the old list of apps back into Frappe's cache, from which Frappe
	# then writes the new one; and a tick may have told something.
	frappe.clear_cache()
	frappe.db.delete("Installed Application", {"app_name": APP})
	delete_leftovers()
	delete_what_later_versions_keep()
	frappe.db.delete("Deleted Document", {"deleted_doctype": "Module Def", "deleted_name": MODULE})
	frappe.db.delete("Deleted Document", {"data": ("like", f'%"module": "{MODULE}"%')})
	frappe.db.commit()  # uninstall-app has committed before it calls this, and does not do so again
	sites = this_bench().sites
	click.echo("The settings and the state stay, since another site or a timer may push. To remove them:")
	click.echo(f"  rm -r {sanitize(os.path.join(sites, FOLDER_NAME))}")
	click.echo("  bench set-config -g -p prego_metrics '{}'")


def mend_job_rows() -> None:
	"""Leave the scheduler's rows such that they run when they are due, without a log row each time.

	Frappe sets create_log on a cron job (1,440 rows a day) when the row is saved, so it is set without
	saving. A last execution that is empty counts from the row's creation, which a later change of the
	site's time zone can move hours into the future, as it can a last execution: the job is not due until
	then, and says nothing.
	"""
	for row in frappe.get_all(
		"Scheduled Job Type", filters={"method": ("in", JOBS)}, fields=["name", "last_execution"]
	):
		values = {"create_log": 0}
		if not row.last_execution or get_datetime(row.last_execution) > now_datetime():
			values["last_execution"] = add_days(now_datetime(), -1)
		frappe.db.set_value("Scheduled Job Type", row.name, values, update_modified=False)


def make_reader_role() -> None:
	"""Make the role that may read the metrics and nothing else: a scraper needs no System Manager's secret."""
	if not frappe.db.exists("Role", READER_ROLE):
		role = frappe.new_doc("Role")
		role.update({"role_name": READER_ROLE, "desk_access": 0})
		role.insert(ignore_permissions=True)


def keep_the_log_short() -> None:
	"""Enter the log of pushes in Log Settings: Frappe does so at night, and until then the list denies it."""
	if not frappe.db.exists("Logs To Clear", {"ref_doctype": "Prego Metrics Push"}):
		frappe.get_doc("Log Settings").save(ignore_permissions=True)


def _say_what_is_counted() -> None:
	"""Print the count, and how to leave this site out of it. Never raises: installing needs no settings yet."""
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
		click.echo(f"This site, {site}, is one of them. If it is no tenant: bench prego-metrics configure")
		click.echo(
			f'  --exclude-sites {site} (beside those already excluded), or "prego_tenant": 0 in its own'
		)
		click.echo("  site_config.json.")
	if config.problems:
		click.echo("Nothing is pushed before the settings are there. Next: bench prego-metrics configure")


def _is_dry_run() -> bool:
	context = click.get_current_context(silent=True)
	return bool(context and context.params.get("dry_run"))
