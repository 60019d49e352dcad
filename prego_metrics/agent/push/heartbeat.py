"""A dead man's switch: pinged after each delivered push, it tells somebody when the whole node is gone."""

from __future__ import annotations

from urllib.parse import urlsplit

from prego_metrics.agent.base.messages import message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.kinds import SecretUrl
from prego_metrics.agent.config.secret_files import read_secret_file
from prego_metrics.agent.http.deadline import within_deadline

LIMIT_SECONDS = 5.0


def load_heartbeat_url(config: Config) -> Secret | None:
	"""Return the heartbeat URL, which is a secret, or None if there is none. Raises ValueError."""
	if config.heartbeat_url_file:
		url = read_secret_file(config.heartbeat_url_file)
		try:
			return Secret(SecretUrl().parse(url), "heartbeat_url_file")
		except ValueError as error:
			raise ValueError(
				message("heartbeat_url_file: the URL in it {problem}", problem=message_of(error))
			) from None
	if config.heartbeat_url:
		return Secret(config.heartbeat_url, config.sources["heartbeat_url"])
	return None


def ping(config: Config) -> str | None:
	"""Ping the heartbeat URL, without the bearer and without redirects; return what went wrong, or None."""
	from prego_metrics.agent.http.client import Answer, Client, NoAnswer

	try:
		url = load_heartbeat_url(config)
	except ValueError as error:
		return message_of(error)
	if url is None:
		return None
	base, path = _split(url)
	client = Client(base, hidden=path)
	answer = within_deadline(
		lambda: client.request("GET", path.reveal(), LIMIT_SECONDS), client.abandon, LIMIT_SECONDS
	)
	if isinstance(answer, Answer) and 200 <= answer.status_code < 300:
		return None
	host = sanitize(urlsplit(base).hostname or "", 80)
	if isinstance(answer, Answer):
		return message(
			"the heartbeat at {host} answers {status_code}", host=host, status_code=answer.status_code
		)
	late = message("no answer within {seconds} s", seconds=f"{LIMIT_SECONDS:g}")
	reason = answer.reason if isinstance(answer, NoAnswer) else late
	return message("the heartbeat at {host} was not reached: {reason}", host=host, reason=reason)


def _split(url: Secret) -> tuple[str, Secret]:
	"""Return scheme and host, which may be shown, and the rest, which may not."""
	scheme, _, rest = url.reveal().partition("://")
	host = urlsplit(url.reveal()).netloc
	return f"{scheme}://{host}", Secret(rest.removeprefix(host), url.source)
