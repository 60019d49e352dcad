"""The node as OpenMetrics text, for a Prometheus that scrapes the operator site."""

from __future__ import annotations

from werkzeug.wrappers import Response

from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.effective import as_pushed
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.exporters.openmetrics import CONTENT_TYPE, MissingLibrary, openmetrics


def metrics_response(config: Config) -> Response:
	"""Return the metrics; HTTP 503 without prometheus_client, with how to install it."""
	folder = StateFolder(config.bench.sites)
	state, _ = folder.read()
	try:
		return Response(openmetrics(as_pushed(config, folder, state), state), content_type=CONTENT_TYPE)
	except MissingLibrary as error:
		return Response(f"{error}\n", status=503, content_type="text/plain; charset=utf-8")
