"""URLs that may be used, that they lead nowhere else than they say, and what of one is shown."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+|/+")
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*|[^\s\"'<>]*:[^\s\"'<>]*@[^\s\"'<>]*")
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


def redacted_url(url: str) -> str:
	"""Return a URL, however malformed, without what may be a secret in it: user and password, query and fragment."""
	start = _SCHEME.match(url)
	scheme = start[0] if start else ""
	_, at, rest = url[len(scheme) :].rpartition("@")
	if at:
		rest = f"…@{rest}"
	else:
		# Without a host, user and password are what stands in the place of host and port; both may be digits.
		host, colon, port = re.split(r"[/?#]", rest, maxsplit=1)[0].partition(":")
		if host.isdecimal():
			rest = "…"
		elif colon and "[" not in host and not _is_port(host, port):
			rest = f"{host}:…"
	return scheme + re.sub(r"([?#]).*", r"\1…", rest, flags=re.DOTALL)


def _is_port(host: str, port: str) -> bool:
	if not port.isdecimal() or len(port) > 5 or int(port) > 65535:
		return False
	return "." in host or host == "localhost"


def redacted_urls(text: str) -> str:
	"""Return somebody else's sentence with each URL in it as `redacted_url` shows it."""
	return _URL_IN_TEXT.sub(lambda match: redacted_url(match[0]), text)


def redacted_value(raw: object, is_url: bool) -> object:
	"""Return a value from JSON with every text in it that is, or may be, a URL as `redacted_url` shows it."""
	if isinstance(raw, str):
		return redacted_url(raw) if is_url or "//" in raw or re.search(":.*@", raw, re.DOTALL) else raw
	if isinstance(raw, list):
		return [redacted_value(value, is_url) for value in raw]
	if isinstance(raw, dict):
		return {name: redacted_value(value, is_url) for name, value in raw.items()}
	return raw


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
