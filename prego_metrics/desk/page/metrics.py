"""The node's metrics, for a Prometheus that scrapes the operator site."""

from __future__ import annotations

import frappe
from werkzeug.wrappers import Response

from prego_metrics.agent.config.config import Config
from prego_metrics.exporters.textfile import node_metrics


def metrics_response(config: Config) -> Response:
	"""Return the metrics of this node in the format that the request accepts."""
	accept = frappe.request.headers.get("Accept", "") if frappe.request else ""
	content, content_type = node_metrics(config, accept)
	return Response(content, content_type=content_type)
