"""Which site of the bench the doctor asks about Frappe, and how bad it is when Frappe does not push."""

from __future__ import annotations

import os

import frappe

from prego_metrics.agent.base.messages import message
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.adapters.site_thread import NoAnswer, ask_site
from prego_metrics.doctor.check import FAIL, SKIP, WARN, Check, Examination
from prego_metrics.doctor.triggers import is_triggered

# How many sites are asked whether they have the app, and for how long each, where no operator's site is set.
_SITES_ASKED = 20
_SECONDS_EACH = 1.0


class ChosenSite:
	"""The operator's site, or else the first one that has the app; found once in a run of the doctor."""

	def __init__(self) -> None:
		self._found: list[str | None] = []

	def name(self, seen: Examination) -> str | None:
		if not self._found:
			self._found.append(_choose(seen))
		return self._found[0]

	def none(self, check: str) -> Check:
		"""Return the check of that name for a node without such a site."""
		return Check(
			check,
			SKIP,
			message("no site to ask: `prego-metrics configure --site SITE` names the operator's"),
		)


def severity(seen: Examination) -> str:
	"""Return how bad it is when Frappe's scheduler does not push: another trigger may."""
	return WARN if is_triggered(seen, without="frappe") or not seen.config.scheduler_pushes else FAIL


def _choose(seen: Examination) -> str | None:
	if seen.config.site:
		there = os.path.isfile(os.path.join(seen.bench.sites, seen.config.site, "site_config.json"))
		return seen.config.site if there else None
	from frappe.utils import get_sites

	for site in get_sites(seen.bench.sites)[:_SITES_ASKED]:
		try:
			if ask_site(seen.bench, site, _has_app, _SECONDS_EACH):
				return str(site)
		except NoAnswer:
			continue  # a site whose database does not answer says nothing
	return None


def _has_app() -> bool:
	frappe.connect()
	return APP in (frappe.get_installed_apps() or [])
