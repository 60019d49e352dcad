"""A dead man's switch: pinged after each delivered push, it alerts somebody when the whole node is gone.

Healthchecks, and services like it, also take a failure: its code is posted to `/fail` below the same URL.
"""

from __future__ import annotations

import re
import time

from prego_metrics.agent.alerts.fallback_folder import folder_to_read
from prego_metrics.agent.alerts.receipts import are_held
from prego_metrics.agent.base.errors import ConfigurationError, TooLate
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.secret_urls import load_secret_url, split_secret_url
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.outcomes import BUSY, DELIVERED
from prego_metrics.agent.state.store import StateFolder

LIMIT_SECONDS = 5.0
_HEALTHCHECKS_HOST = r"https://hc-ping\.com(?::443)?"
_UUID_LAST = r"(?i)/(?:[^?#]*/)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/?"


def beat(config: Config, folder: StateFolder, result: Result) -> tuple[Message, ...]:
	"""Ping that a push was delivered, or that it failed; return warnings of what went wrong.

	A push that the control plane asked to wait with is no failure, and what fails during a maintenance is held.
	"""
	if result.outcome == DELIVERED:
		return _ping(config)
	if result.outcome == BUSY or result.asked_to_wait:
		return ()
	try:
		folder = folder_to_read(folder, result.not_written)
		if folder_in_time(lambda: are_held(folder, config, time.time()), folder.path):
			return ()
	except TooLate as error:
		return (coded("heartbeat_failed", reason=error.message),)
	return _ping(config, result.error_code or "command_failed")


def _ping(config: Config, failure: str | None = None) -> tuple[Message, ...]:
	"""Ping the heartbeat URL, without the bearer and without redirects.

	`failure` is the code of why a push failed: it goes to a URL that is one of Healthchecks, and to no other.
	"""
	from prego_metrics.agent.http.secret_exchange import exchange

	try:
		url = folder_in_time(
			lambda: load_secret_url(config, "heartbeat_url"), config.heartbeat_url_file or ""
		)
	except ConfigurationError as error:
		return (error.message,)
	except TooLate as error:
		return (coded("heartbeat_failed", reason=error.message),)
	if url is None:
		return ()
	base, path = split_secret_url(url)
	if failure is None:
		problem = exchange(base, path, LIMIT_SECONDS)
	elif takes_failures(base, path):
		body = failure.encode()
		problem = exchange(base, _fail_path(path), LIMIT_SECONDS, body, content_type="text/plain")
	else:
		return ()
	return (coded("heartbeat_failed", reason=problem),) if problem else ()


def takes_failures(base: str, path: Secret) -> bool:
	"""Tell whether a heartbeat URL is one of Healthchecks: on its own host, or with a UUID as the last part of its path."""
	beginning = re.split(r"[?#]", path.reveal(), maxsplit=1)[0]
	return bool(re.fullmatch(_HEALTHCHECKS_HOST, base.lower()) or re.fullmatch(_UUID_LAST, beginning))


def _fail_path(path: Secret) -> Secret:
	beginning, sign, query = path.reveal().partition("?")
	return Secret(f"{beginning.rstrip('/')}/fail{sign}{query}", path.source)
