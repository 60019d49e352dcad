"""A dead man's switch: pinged after each delivered push, it alerts somebody when the whole node is gone."""

from __future__ import annotations

from urllib.parse import urlsplit

from prego_metrics.agent.base.errors import ConfigurationError, Problem, TooLate
from prego_metrics.agent.base.messages import Message, coded, message, message_of
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.kinds import SecretUrl
from prego_metrics.agent.config.secret_files import read_secret_file

LIMIT_SECONDS = 5.0


def load_heartbeat_url(config: Config) -> Secret | None:
	"""Return the heartbeat URL, which is a secret, or None if there is none. Raises ConfigurationError."""
	if config.heartbeat_url_file:
		try:
			return Secret(_parsed(read_secret_file(config.heartbeat_url_file)), "heartbeat_url_file")
		except ValueError as error:
			problem = coded("heartbeat_invalid", problem=message_of(error))
			raise ConfigurationError([Problem("heartbeat_url_file", problem)]) from None
	if config.heartbeat_url:
		return Secret(config.heartbeat_url, config.sources["heartbeat_url"])
	return None


def _parsed(url: str) -> str:
	try:
		return SecretUrl().parse(url)
	except ValueError as error:
		raise ValueError(message("the URL in it {problem}", problem=message_of(error))) from None


def ping(config: Config) -> tuple[Message, ...]:
	"""Ping the heartbeat URL, without the bearer and without redirects; return warnings of what went wrong."""
	from prego_metrics.agent.http.answers import fault_in, summary_of
	from prego_metrics.agent.http.client import SUCCESS_BYTES, SUCCESS_SECONDS, Client, NoAnswer

	try:
		url = folder_in_time(lambda: load_heartbeat_url(config), config.heartbeat_url_file or "")
	except ConfigurationError as error:
		return (error.message,)
	except TooLate as error:
		return (coded("heartbeat_failed", reason=error.message),)
	if url is None:
		return ()
	base, path = _split(url)
	answer = Client(base).get(
		path, LIMIT_SECONDS, body_limit_bytes=SUCCESS_BYTES, body_seconds=SUCCESS_SECONDS
	)
	if isinstance(answer, NoAnswer):
		reason = answer.reason
	elif fault_in(answer, path) is None:
		return ()
	else:
		reason = coded("answers", url=sanitize(base), status_code=summary_of(answer, path))
	return (coded("heartbeat_failed", reason=reason),)


def _split(url: Secret) -> tuple[str, Secret]:
	"""Return scheme and host, which may be shown, and the rest, which may not."""
	scheme, _, rest = url.reveal().partition("://")
	host = urlsplit(url.reveal()).netloc
	return f"{scheme}://{host}", Secret(rest.removeprefix(host), url.source)
