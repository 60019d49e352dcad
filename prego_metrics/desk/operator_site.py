"""The one site that shows the node: its pages and methods answer there, and on every other site say why not.

All sites of a bench run the same code, and any of them may have the app. A tenant's System Manager must not
see the node or the other tenants, so nothing is shown before the operator's site is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import frappe

from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.base.messages import Message, message, translated
from prego_metrics.agent.bench.locate import Bench, open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.desk.adapters.bench_log import say_fault
from prego_metrics.desk.error_boundary import Unforeseen, guarded

Done = TypeVar("Done")


def this_bench() -> Bench:
	"""Return the bench that this Frappe process works in. Raises BenchError."""
	return open_bench(os.path.abspath(frappe.local.sites_path))


def is_operators_site(config: Config) -> bool:
	"""Tell whether the current site is the one that the node is shown on."""
	return config.site is not None and config.site == frappe.local.site


def why_not_shown(config: Config | None) -> Message | None:
	"""Return why this site shows nothing of the node, or None where it does; None as config: no bench is read.

	Tenants read this too: it names neither the operator's site nor anything else of the node.
	"""
	if config is None or config.site is None:
		return message(
			"No operator's site is configured yet, so the node is shown on no site. Whoever runs the node names "
			"it there: bench prego-metrics configure --site SITE"
		)
	if not is_operators_site(config):
		return message(
			"This is not the operator's site, and the node is shown on that one alone. Whoever runs the node opens "
			"that one. If this app is on this site by mistake, uninstall it here."
		)
	return None


def guarded_here(run: Callable[[], Done]) -> Done:
	"""Return what `run` returns; a fault in it is said in the bench's log, and raised as Unforeseen.

	What reads the node has the key's environment and the passwords of sites' databases among its variables, and
	Frappe stores the variables of each frame of an error in an Error Log.
	"""
	return guarded(run, say_fault)


def config_here() -> Config | None:
	"""Return the node's settings, or None where the bench cannot be read. They are not for every site to show."""
	return guarded_here(_config_or_none)


def _config_or_none() -> Config | None:
	try:
		return load_config(this_bench(), os.environ)
	except BenchError:
		return None


def refusal_here() -> str | None:
	"""Return why this site shows nothing of the node, in the user's language, or None where it does."""
	reason = why_not_shown(config_here())
	return translated(reason, frappe._) if reason else None


def require_operators_site() -> Config:
	"""Return the node's settings; on any other site raise frappe.PermissionError (HTTP 403) with why not.

	The settings are in no frame that the error passes: Frappe may store each frame's variables in the Error Log,
	which the System Manager of a tenant's site reads.
	"""
	refusal = refusal_here()
	if refusal:
		frappe.throw(refusal, frappe.PermissionError)
	return guarded_here(lambda: load_config(this_bench(), os.environ))


def may_open_app() -> bool:
	"""Tell whether the app's icon is offered: to System Managers, where the node is shown.

	Frappe asks this whenever a Desk is opened, on every site with the app: a fault of ours must not keep it shut.
	"""
	if "System Manager" not in frappe.get_roles():
		return False
	try:
		config = config_here()
	except Unforeseen:
		return False  # it was said when it was raised
	return config is not None and is_operators_site(config)
