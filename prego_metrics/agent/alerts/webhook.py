"""Post each alert to `alert_url`, once, after a run of any trigger. What fails is tried again at the next run.

A run that is not due posts nothing, unless a mark says that something is or was wrong: looking for it costs one stat.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from prego_metrics.agent.alerts.bodies import Alert, post_of
from prego_metrics.agent.alerts.fallback_folder import folder_to_read
from prego_metrics.agent.alerts.outbox import unsent_alerts
from prego_metrics.agent.alerts.receipts import are_held, withdraw_receipt
from prego_metrics.agent.alerts.rendering import description, title
from prego_metrics.agent.base.errors import ConfigurationError, TooLate
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.installed_frappe import frappe_version
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.secret_urls import load_secret_url, split_secret_url
from prego_metrics.agent.http.secret_exchange import exchange
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.store import StateFolder

CHANNEL = "alert-url"
# For all alerts of a run together.
LIMIT_SECONDS = 5.0
_HOST_NAME = r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?/?"


def post_alerts(
	config: Config,
	folder: StateFolder,
	not_written: Message | None = None,
	clock: Callable[[], float] = time.time,
) -> tuple[Message, ...]:
	"""Post the alerts that were not posted yet; return warnings of what went wrong. `not_written`: see `take_unsent`."""
	folder = folder_to_read(folder, not_written)
	try:
		url = folder_in_time(lambda: load_secret_url(config, "alert_url"), config.alert_url_file or "")
		if url is None:
			return ()
		unsent = lambda: unsent_alerts(folder, CHANNEL, config, not_written=not_written, clock=clock)  # noqa: E731
		node, events = folder_in_time(unsent, folder.path)
		failed = _post_all(config, folder, url, node, events, clock()) if events else None
		if not not_written:
			folder_in_time(lambda: _mark(config, folder, failed, clock()), folder.path)
	except ConfigurationError as error:
		return (error.message,)
	except TooLate as error:
		return (coded("alerts_failed", reason=error.message),)
	return (coded("alerts_failed", reason=failed),) if failed else ()


def _post_all(
	config: Config, folder: StateFolder, url: Secret, node: str, events: list[AlertEvent], now: float
) -> Message | None:
	"""Post one alert after the other until one fails; return why, and leave the rest to the next run. Raises TooLate."""
	give_up_at = time.monotonic() + LIMIT_SECONDS
	base, path = split_secret_url(url)
	failed: Message | None = None
	link = folder_in_time(lambda: _link(config), config.bench.sites)
	for event in events:
		if failed is None:
			fields = (title(event, node), description(event), sanitize(node, 255), link)
			alert = Alert(event.kind, *fields, event.at, event.repeat, config.alert_repeat)
			post = post_of(config.alert_template, alert, path, now)
			seconds = max(0.1, give_up_at - time.monotonic())
			failed = exchange(
				base, post.path, seconds, post.body, content_type=post.content_type, takes_pages=True
			)
		if failed:
			withdraw_receipt(folder, CHANNEL, event)
	return failed


def _mark(config: Config, folder: StateFolder, failed: Message | None, now: float) -> None:
	"""Let the runs that are not due look for alerts too, as long as something is wrong, waited for or not posted."""
	state, _ = folder.read()
	is_wrong = state.failures_in_a_row or state.alerted or state.disk_alerted or state.not_before
	folder.mark_pending(bool(failed or is_wrong or are_held(folder, config, now)))


def _link(config: Config) -> str | None:
	"""Return the URL of the node's page, None where no `host_name` tells that of the operator site."""
	if config.site is None:
		return None
	host_name: object = None
	try:
		of_site = read_site_config(os.path.join(config.bench.sites, config.site, "site_config.json"))
		host_name = of_site.get("host_name") or read_common_config(config.bench).get("host_name")
	except (OSError, Unreadable, ConfigurationError):
		pass
	if not isinstance(host_name, str) or not re.fullmatch(_HOST_NAME, host_name):
		return None
	version = frappe_version(config.bench)
	return f"{host_name.rstrip('/')}/{'desk' if version and version.major >= 16 else 'app'}/prego-node"
