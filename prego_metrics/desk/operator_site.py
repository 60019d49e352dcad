"""The operator site: the one site of the bench whose Desk shows the node. Every other site refuses, and says why.

All sites of a bench run the same code, and any of them may have the app. A tenant's System Manager must not see
the node or the other tenants, so no site shows it before the operator has named one.
"""

from __future__ import annotations

import os

import frappe

from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.base.messages import message, translated
from prego_metrics.agent.bench.locate import Bench, open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.error_boundary import Unforeseen, guarded


def this_bench() -> Bench:
	"""Return the bench that this Frappe process works in. Raises BenchError."""
	return open_bench(os.path.abspath(frappe.local.sites_path))


def operator_config() -> Config | None:
	"""Return the node's settings if the current site is the operator site and has the app, else None."""
	return guarded(_operator_config)


def _operator_config() -> Config | None:
	config = _bench_config()
	if config is None or config.site is None or config.site != frappe.local.site:
		return None
	# A job that was queued before the app was uninstalled here may still run.
	return config if APP in frappe.get_installed_apps() else None


def _bench_config() -> Config | None:
	try:
		return load_config(this_bench(), os.environ)
	except BenchError:
		return None


def refusal() -> str:
	"""Return why a site other than the operator site shows nothing of the node, in the user's language.

	Tenants read this: it names neither the operator site nor anything else of the node.
	"""
	if guarded(_has_operator_site):
		reason = message(
			"This is not the operator site, and only that site shows the node. If this app was installed here by "
			"mistake, uninstall it from this site."
		)
	else:
		reason = message(
			"No operator site is set yet, so no site shows the node. Run on the node: bench prego-metrics "
			"configure --site SITE"
		)
	return translated(reason, frappe._)


def _has_operator_site() -> bool:
	config = _bench_config()
	return config is not None and config.site is not None


def require_operator_site() -> Config:
	"""Return the node's settings; on any other site raise frappe.PermissionError (HTTP 403) with the reason.

	No frame that the error passes holds the settings: Frappe may store each frame's variables in the Error Log,
	which the System Manager of a tenant's site reads.
	"""
	config = operator_config()
	return frappe.throw(refusal(), frappe.PermissionError) if config is None else config


def may_open_app() -> bool:
	"""Tell whether the Desk offers the app's icon: to System Managers of the operator site.

	Frappe calls this whenever a Desk is opened, on every site with the app: a fault in it must not block the Desk.
	"""
	if "System Manager" not in frappe.get_roles():
		return False
	try:
		return operator_config() is not None
	except Unforeseen:
		return False  # already logged
