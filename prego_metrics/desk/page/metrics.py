"""The node as OpenMetrics text, for a Prometheus that scrapes the operator site."""

from __future__ import annotations

from werkzeug.wrappers import Response

from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.exporters.openmetrics import CONTENT_TYPE, openmetrics


def metrics_response(config: Config) -> Response:
	"""Return the metrics of this node, with the settings its triggers push with."""
	folder = StateFolder(config.bench.sites)
	state, _ = folder.read()
	return Response(openmetrics(as_pushed(config, folder, state), state), content_type=CONTENT_TYPE)
