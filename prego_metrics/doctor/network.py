"""The way to the control plane, step by step: proxies, the name, the certificate."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.urls import is_loopback
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination

CERTIFICATE_DAYS = 14
_DAY_SECONDS = 86400.0
_ADDRESSES_SHOWN = 4


def proxy(seen: Examination) -> Check:
	"""Through which proxy the push would go, with this environment."""
	url = seen.config.control_plane_url
	if not url:
		return Check("proxy", SKIP, _no_url())
	host = urlsplit(url).hostname or ""
	found = proxy_of(url)
	if is_loopback(host):
		return Check("proxy", PASS, message("none, as always for loopback"))
	if not found:
		return Check("proxy", PASS, message("none is set in this environment"))
	shown = _shown_proxy(found)
	if shown is None:
		return Check(
			"proxy",
			FAIL,
			message("the environment names a proxy that is no URL"),
			message(
				"correct or unset HTTPS_PROXY and ALL_PROXY, also where the triggers get their environment"
			),
		)
	return Check(
		"proxy", PASS, message("{proxy}, from this environment; a trigger's own may differ", proxy=shown)
	)


def proxy_of(url: str) -> str | None:
	"""Return the proxy that `requests` would use for `url` in this environment, or None."""
	import requests.utils

	if is_loopback(urlsplit(url).hostname or ""):
		return None
	found: Mapping[str, Any] = requests.utils.get_environ_proxies(url)
	chosen = requests.utils.select_proxy(url, found)
	return str(chosen) if chosen else None


def _shown_proxy(found: str) -> str | None:
	"""Return a proxy's scheme, host and port: what stands before them may be a password."""
	try:
		parts = urlsplit(found if "://" in found else f"http://{found}")
		host, port = parts.hostname, parts.port
	except ValueError:
		return None
	return (
		sanitize(f"{parts.scheme}://{host}:{port}" if port else f"{parts.scheme}://{host}", 200)
		if host
		else None
	)


def dns(seen: Examination) -> Check:
	"""The name of the control plane, or of the proxy before it, can be resolved."""
	skipped = _skipped("dns", seen)
	if skipped:
		return skipped
	url = seen.config.control_plane_url
	found = proxy_of(url)
	try:
		host = (
			urlsplit(found if found and "://" in found else f"http://{found}" if found else url).hostname
			or ""
		)
	except ValueError:
		return Check("dns", SKIP, message("the proxy is no URL"))
	if _is_address(host):
		return Check("dns", PASS, message("{host} is an address", host=sanitize(host, 120)))
	seconds = seen.config.timeout
	addresses = _resolved(host, seconds)
	if isinstance(addresses, str):
		return Check(
			"dns",
			FAIL,
			message("{host}: {reason}", host=sanitize(host, 120), reason=addresses),
			message("check the name, and this machine's resolver (/etc/resolv.conf)"),
		)
	shown = ", ".join(addresses[:_ADDRESSES_SHOWN]) + (" …" if len(addresses) > _ADDRESSES_SHOWN else "")
	return Check("dns", PASS, message("{host} is {addresses}", host=sanitize(host, 120), addresses=shown))


def _is_address(host: str) -> bool:
	import ipaddress

	try:
		ipaddress.ip_address(host)
	except ValueError:
		return False
	return True


def _resolved(host: str, seconds: float) -> list[str] | str:
	from prego_metrics.agent.http.deadline import within_deadline

	def resolve() -> list[str] | str:
		try:
			found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
		except (OSError, UnicodeError) as error:
			return sanitize(str(getattr(error, "strerror", None) or error), 120)
		return sorted({sanitize(str(entry[4][0]), 60) for entry in found})

	answer = within_deadline(resolve, lambda: None, seconds)
	if isinstance(answer, list) and answer:
		return answer
	late = message("no answer within {seconds} s", seconds=f"{seconds:g}")
	return answer if isinstance(answer, str) else late


def tls(seen: Examination) -> Check:
	"""The certificate is to be trusted, and will be for some time."""
	skipped = _skipped("tls", seen)
	if skipped:
		return skipped
	url = seen.config.control_plane_url
	parts = urlsplit(url)
	if parts.scheme != "https":
		return Check("tls", SKIP, message("http on loopback has none"))
	if proxy_of(url):
		return Check("tls", SKIP, message("not looked at through a proxy; the push itself verifies it"))
	from prego_metrics.agent.http.deadline import within_deadline

	host, port, seconds = parts.hostname or "", parts.port or 443, seen.config.timeout
	answer = within_deadline(lambda: _expires_at(host, port, seconds), lambda: None, seconds + 1)
	if isinstance(answer, Message):
		return Check(
			"tls",
			FAIL,
			answer,
			message(
				"renew the certificate, or name the authority that signed it in REQUESTS_CA_BUNDLE; if no connection can be made, see the other checks"
			),
		)
	if not isinstance(answer, float):
		text = message("no answer within {seconds} s", seconds=f"{seconds:g}")
		return Check("tls", FAIL, text, message("check the firewall, and whether the control plane runs"))
	days = (answer - time.time()) / _DAY_SECONDS
	shown = message("the certificate is trusted, and expires in {days} days", days=f"{days:.0f}")
	if days < CERTIFICATE_DAYS:
		return Check(
			"tls", WARN, shown, message("see that it is renewed: pushes fail on all nodes when it expires")
		)
	return Check("tls", PASS, shown)


def _expires_at(host: str, port: int, seconds: float) -> float | Message:
	"""Return when the certificate expires, in seconds since the epoch, or what is wrong with it."""
	import certifi

	bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
	try:
		# As requests does it: a folder of certificates, or a file.
		context = (
			ssl.create_default_context(capath=bundle)
			if os.path.isdir(bundle)
			else ssl.create_default_context(cafile=bundle)
		)
		with socket.create_connection((host, port), seconds) as plain:
			with context.wrap_socket(plain, server_hostname=host) as secure:
				certificate = secure.getpeercert() or {}
		return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
	except ssl.SSLCertVerificationError as error:
		return message(
			"the certificate is not to be trusted: {reason}", reason=sanitize(error.verify_message, 200)
		)
	except ssl.SSLError as error:
		return message("no TLS: {reason}", reason=sanitize(error.reason or str(error), 200))
	except TimeoutError:
		return message("no answer within {seconds} s", seconds=f"{seconds:g}")
	except OSError as error:
		return message("no connection: {reason}", reason=sanitize(error.strerror or str(error), 200))


def _skipped(name: str, seen: Examination) -> Check | None:
	if not seen.online:
		return Check(name, SKIP, message("not asked (--offline)"))
	if not seen.config.control_plane_url:
		return Check(name, SKIP, _no_url())
	return None


def _no_url() -> Message:
	return message("control_plane_url is not set")
