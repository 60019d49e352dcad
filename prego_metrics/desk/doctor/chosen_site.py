"""Which site of the bench the doctor asks about Frappe, and how severe it is when Frappe does not push."""

from __future__ import annotations

import os

import frappe

from prego_metrics.agent.base.messages import message
from prego_metrics.desk.adapters.compat import APP
from prego_metrics.desk.adapters.site_thread import NoAnswer, ask_site
from prego_metrics.doctor.check import FAIL, SKIP, WARN, Check, Examination
from prego_metrics.doctor.triggers import is_triggered

# Without an operator site, this many sites are asked whether they have the app, each for this long.
_MAX_SITES = 20
_SECONDS_EACH = 1.0


class ChosenSite:
	"""The operator site, or else the first one that has the app; chosen once in a run of the doctor."""

	def __init__(self) -> None:
		self._chosen: list[str | None] = []

	def name(self, seen: Examination) -> str | None:
		if not self._chosen:
			self._chosen.append(_choose(seen))
		return self._chosen[0]

	def none(self, check: str) -> Check:
		"""Return the check of that name for a node without such a site."""
		return Check(
			check,
			SKIP,
			message("no site to ask: `prego-metrics configure --site SITE` names the operator's"),
		)


def severity(seen: Examination) -> str:
	"""Return how severe it is when Frappe's scheduler does not push: another trigger may."""
	return WARN if is_triggered(seen, without="frappe") or not seen.config.scheduler_pushes else FAIL


def _choose(seen: Examination) -> str | None:
	if seen.config.site:
		exists = os.path.isfile(os.path.join(seen.bench.sites, seen.config.site, "site_config.json"))
		return seen.config.site if exists else None
	from frappe.utils import get_sites

	for site in get_sites(seen.bench.sites)[:_MAX_SITES]:
		try:
			if ask_site(seen.bench, site, _has_app, _SECONDS_EACH):
				return str(site)
		except NoAnswer:
			continue
	return None


def _has_app() -> bool:
	frappe.connect()
	return APP in (frappe.get_installed_apps() or [])
