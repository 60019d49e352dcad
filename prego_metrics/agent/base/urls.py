"""URLs that may be used, that they lead nowhere else than they say, and what of one is shown."""

from __future__ import annotations

import re

from prego_metrics.agent.light_typing import NamedTuple

# Compiled when they are used, which a run that is not due does not do.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:/+|/+"
_URL_IN_TEXT = r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*|[^\s\"'<>]*:[^\s\"'<>]*@[^\s\"'<>]*"


class UrlParts(NamedTuple):
	"""What an https or http URL that leads nowhere else is made of; server is its host and port."""

	scheme: str
	server: str
	path: str


def is_loopback(host: str) -> bool:
	"""Tell whether `host` is an address of this machine's loopback, or exactly `localhost`.

	Names are not resolved: what a resolver answers today proves nothing of tomorrow.
	"""
	if host == "localhost":
		return True
	if ":" not in host:
		parts = host.split(".")
		return parts[0] == "127" and len(parts) == 4 and all(_is_octet(part) for part in parts)
	import ipaddress

	try:
		return "%" not in host and ipaddress.ip_address(host).is_loopback
	except ValueError:
		return False


def _is_octet(text: str) -> bool:
	return text.isdecimal() and len(text) <= 3 and int(text) <= 255 and text == str(int(text))


def redacted_url(url: str) -> str:
	"""Return a URL, however malformed, without what may be a secret in it: user and password, query and fragment."""
	start = re.match(_SCHEME, url)
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
	return re.sub(_URL_IN_TEXT, lambda match: redacted_url(match[0]), text)


def redacted_value(raw: object, is_url: bool) -> object:
	"""Return a value from JSON with every text in it that is, or may be, a URL as `redacted_url` shows it."""
	if isinstance(raw, str):
		return redacted_url(raw) if is_url or "//" in raw or re.search(":.*@", raw, re.DOTALL) else raw
	if isinstance(raw, list):
		return [redacted_value(value, is_url) for value in raw]
	if isinstance(raw, dict):
		return {name: redacted_value(value, is_url) for name, value in raw.items()}
	return raw


def safe_url_parts(url: str) -> UrlParts | None:
	"""Return the parts of `url`, None for one that could lead elsewhere than it says or carry a secret in clear."""
	if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
		return None
	scheme, separator, rest = url.partition("://")
	server = _before(rest, "/?#")
	path = _before(rest[len(server) :], "?#")
	host, is_right = _host_of(server)
	encrypted = scheme.lower() == "https" or (scheme.lower() == "http" and is_loopback(host))
	return UrlParts(scheme.lower(), server, path) if separator and is_right and encrypted else None


def _before(text: str, signs: str) -> str:
	"""Return the part of `text` before the first of `signs`."""
	for sign in signs:
		text = text.partition(sign)[0]
	return text


def _host_of(server: str) -> tuple[str, bool]:
	"""Return the host in a URL's part before the path, and whether that part is a host, or one and a port."""
	if server.startswith("["):
		host, bracket, port = server[1:].partition("]")
		is_host = bracket == "]" and _is_ipv6(host) and port[:1] in ("", ":")
		port = port[1:]
	else:
		host, _, port = server.partition(":")
		is_host = _is_host_name(host)
	is_port = not port or (port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 65535)
	return host.lower(), is_host and is_port


def _is_host_name(host: str) -> bool:
	return len(host) <= 254 and all(_is_label(label) for label in host.removesuffix(".").split("."))


def _is_label(label: str) -> bool:
	"""Tell whether ASCII text is letters and digits, with hyphens or underscores between them."""
	inside = label.replace("-", "").replace("_", "")
	return 0 < len(label) <= 63 and label[0].isalnum() and label[-1].isalnum() and inside.isalnum()


def _is_ipv6(host: str) -> bool:
	import ipaddress

	try:
		return "%" not in host and ipaddress.ip_address(host).version == 6
	except ValueError:
		return False
