"""What can be asked of the node over HTTP: on the operator's site, by those who may."""

from __future__ import annotations

import frappe
from frappe.rate_limiter import rate_limit
from werkzeug.wrappers import Response

from prego_metrics.agent.state_folder import StateFolder
from prego_metrics.operators_site import require_operators_site


@frappe.whitelist(methods=["GET"])
@rate_limit(limit=60, seconds=60)
def metrics() -> Response:
	"""Return the node as OpenMetrics text, for a Prometheus whose user has the role Prego Metrics Reader.

	503 where prometheus_client is not installed, with how to install it.
	"""
	from prego_metrics.agent.openmetrics import CONTENT_TYPE, MissingLibrary, openmetrics

	frappe.only_for(("System Manager", "Prego Metrics Reader"))
	config = require_operators_site()
	state, _ = StateFolder(config.bench.sites).read()
	try:
		return Response(openmetrics(config, state), content_type=CONTENT_TYPE)
	except MissingLibrary as error:
		return Response(f"{error}\n", status=503, content_type="text/plain; charset=utf-8")
