"""What an alert says: its texts in the catalog, filled with the figures of the event."""

from __future__ import annotations

from collections.abc import Callable

from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.base.formatting import iso_utc, pushes_word
from prego_metrics.agent.base.messages import Message, first_line, from_catalog, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.installed_frappe import our_command
from prego_metrics.agent.state.events import AlertEvent


def title(event: AlertEvent, node_id: str) -> Message:
	"""Return what happened to this node, in one line."""
	what = from_catalog(event.kind, ALERTS[event.kind].title, node=sanitize(node_id, 80))
	return message("Reminder: {title}", title=what) if event.repeat else what


def description(event: AlertEvent, show_time: Callable[[float], str] = iso_utc) -> Message:
	"""Return what happened in figures, and what to do; `show_time` writes seconds since the epoch."""
	since = event.at if event.since is None else event.since
	figures = {
		"at": show_time(event.at),
		"since": show_time(since),
		"failures": pushes_word(event.failures),
		"error": _error(event),
		"tenants_before": event.tenants_before,
		"tenants": event.tenants,
		"disk_pct": event.disk_pct,
		"command": our_command(),
	}
	unknown = message("unknown")
	return from_catalog(
		event.kind,
		ALERTS[event.kind].description,
		**{name: unknown if figure is None else figure for name, figure in figures.items()},
	)


def _error(event: AlertEvent) -> str | None:
	"""The reason's first line; some are lists of problems, and the sentence brings its own full stop."""
	line = first_line(event.error or "", 500)
	return (line.rstrip(".") if line.endswith(".") else line) or None
