"""The proxy that requests go through."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import requests.utils

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.urls import is_loopback, redacted_url
from prego_metrics.agent.light_typing import NamedTuple


class Proxy(NamedTuple):
	"""A proxy as it is shown, without its password, and why its URL alone makes it of no use."""

	shown: str
	fault: Message | None = None
	password: Secret | None = None

	def echoes(self, text: str) -> bool:
		"""Tell whether a text holds part of the password: a proxy may answer with what it was asked."""
		return self.password is not None and self.password.is_in(text)

	def failed(self, reason: str) -> Message:
		return coded("proxy_failed", proxy=self.shown, reason=reason)


def proxy_of(url: str) -> Proxy | None:
	"""Return the proxy that `requests` uses for `url` in this environment; None if none."""
	if is_loopback(urlsplit(url).hostname or ""):
		return None
	proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
	if not proxy:
		return None
	place = redacted_url(str(proxy)).rpartition("…@")[2].rpartition("://")[2]
	return Proxy(sanitize(place or "…", 200), _fault(str(proxy)), _password(str(proxy)))


def _password(proxy: str) -> Secret | None:
	try:
		password = urlsplit(proxy if "://" in proxy else f"http://{proxy}").password
	except ValueError:
		return None
	return Secret(unquote(password), "the proxy's URL") if password else None


def _fault(proxy: str) -> Message | None:
	"""Return what is wrong with a proxy's URL that requests or urllib3 would end with an error of another kind."""
	if proxy.lower().startswith("socks"):
		return coded("proxy_socks")
	try:
		parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
		is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
	except ValueError:
		is_right = False
	return None if is_right else coded("proxy_malformed")
