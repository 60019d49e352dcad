"""The metrics file that node_exporter's textfile collector reads: it is there whatever else of the bench is down."""

from __future__ import annotations

import os

from prego_metrics.agent.base.errors import PregoMetricsError, TooLate
from prego_metrics.agent.base.files import replace_atomically
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.push.steps import read_settings, read_state
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed


class MetricsNotWritten(PregoMetricsError):
	"""The metrics file could not be replaced."""


def write_after_push(bench: Bench, result: Result) -> Result:
	"""Write the metrics file that the settings of the push name; what fails is a warning of its result."""
	path = result.metrics_textfile
	if path is None:
		return result
	try:
		content, _ = node_metrics(read_settings(bench, os.environ))
		write_metrics_file(path, content)
	except (ImportError, OSError) as error:
		failed = _not_written(path, sanitize(str(error)))
	except PregoMetricsError as error:
		failed = error.message
	else:
		return result
	return result._replace(warnings=(*result.warnings, failed))


def node_metrics(config: Config, accept: str = "") -> tuple[bytes, str]:
	"""Return the metrics of a node and their content type, with the settings its triggers push with.

	A state that cannot be read in time counts as none.
	"""
	from prego_metrics.exporters.metrics import metrics_text

	folder, state = StateFolder(config.bench.sites), State()
	try:
		state, _ = read_state(folder)
		pushed = folder_in_time(lambda: as_pushed(config, folder, state), folder.path)
	except TooLate:
		pushed = config
	return metrics_text(pushed, state, accept=accept)


def write_metrics_file(path: str, content: bytes) -> None:
	"""Replace the file by one that everybody may read, as node_exporter must. Raises MetricsNotWritten."""
	try:
		folder_in_time(
			lambda: replace_atomically(path, content, mode=0o644, durable=False), os.path.dirname(path)
		)
	except OSError as error:
		raise MetricsNotWritten(_not_written(path, error.strerror or str(error))) from None
	except TooLate as error:
		raise MetricsNotWritten(_not_written(path, error.message)) from None


def _not_written(path: str, reason: str) -> Message:
	return coded("metrics_not_written", file=sanitize(path), reason=reason)
