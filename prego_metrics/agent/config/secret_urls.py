"""URLs whose path is a secret, from a setting or from a file of their own, and where they lead."""

from __future__ import annotations

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.messages import coded, message, message_of
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.kinds import SecretUrl
from prego_metrics.agent.config.secret_files import read_secret_file

_INVALID = {"heartbeat_url": "heartbeat_invalid", "alert_url": "alert_url_invalid"}


def load_secret_url(config: Config, name: str) -> Secret | None:
	"""Return the URL that the setting `name`, or the file of `name`_file, holds; None if there is none.

	Raises ConfigurationError.
	"""
	file = getattr(config, f"{name}_file")
	if file:
		try:
			return Secret(_parsed(read_secret_file(file)), f"{name}_file")
		except ValueError as error:
			problem = coded(_INVALID[name], problem=message_of(error))
			raise ConfigurationError([Problem(f"{name}_file", problem)]) from None
	url = getattr(config, name)
	return Secret(url, config.sources[name]) if url else None


def _parsed(url: str) -> str:
	try:
		return SecretUrl().parse(url)
	except ValueError as error:
		raise ValueError(message("the URL in it {problem}", problem=message_of(error))) from None


def split_secret_url(url: Secret) -> tuple[str, Secret]:
	"""Return scheme and host, which may be shown, and the rest, which may not."""
	scheme, _, rest = url.reveal().partition("://")
	length = min((rest.find(sign) for sign in "/?#" if sign in rest), default=len(rest))
	return f"{scheme}://{rest[:length]}", Secret(rest[length:], url.source)
