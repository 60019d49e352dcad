"""URLs that may be used: what their host is, and that they lead nowhere else than they say."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


def is_loopback(host: str) -> bool:
	"""Tell whether `host` is an address of this machine's loopback, or exactly `localhost`.

	Names are not resolved: what a resolver answers today proves nothing of tomorrow.
	"""
	import ipaddress

	if host == "localhost":
		return True
	try:
		return "%" not in host and ipaddress.ip_address(host).is_loopback
	except ValueError:
		return False


def safe_url_parts(url: str) -> SplitResult | None:
	"""Return the parts of `url`, None for one that could lead elsewhere than it says or carry a secret in clear."""
	if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
		return None
	try:
		parts = urlsplit(url)
		host, port = parts.hostname or "", parts.port
	except ValueError:
		return None
	encrypted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
	safe = encrypted and port != 0 and "@" not in parts.netloc and _is_host(parts.netloc, host)
	return parts if safe else None


def _is_host(netloc: str, host: str) -> bool:
	import ipaddress

	if "[" not in netloc:
		return _HOST.fullmatch(host) is not None
	try:
		return "%" not in host and ipaddress.ip_address(host).version == 6
	except ValueError:
		return False
