"""Enable Frappe's scheduler on a site, with the operator's consent: what `configure` offers."""

from __future__ import annotations

import frappe
from frappe.utils.scheduler import enable_scheduler

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.desk.adapters.site_thread import NoAnswer, ask_site

_SECONDS = 15.0


def enable(bench: Bench, site: str) -> str:
	"""Enable it, and return a sentence that says so or why not. Never raises for a site that does not answer."""
	name = sanitize(site)

	def work() -> bool:
		frappe.connect()
		enable_scheduler()
		frappe.db.commit()  # nosemgrep: frappe-manual-commit -- the connection is this thread's own
		return True

	try:
		ask_site(bench, site, work, _SECONDS)
	except NoAnswer as reason:
		return f"the scheduler of {name} could not be enabled: {reason}"
	return f"the scheduler of {name} is enabled"
