"""The proxy that requests go through."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests.utils

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.urls import is_loopback, redacted_url


def proxy_of(url: str) -> str | None:
	"""Return the proxy that `requests` uses for `url` in this environment, without its password; None if none."""
	if is_loopback(urlsplit(url).hostname or ""):
		return None
	proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
	return sanitize(redacted_url(str(proxy)).rpartition("…@")[2].rpartition("://")[2], 200) if proxy else None
