"""Ask the control plane whether it would accept this node's pushes, and write nothing there.

Whether URL, key and node_id are right is asked by `GET /internal/nodes/:node_id`, and believed only if the
answer holds that node_id. No probe is posted: a lax upsert would make a row of it.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import Message, coded, message
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding
from prego_metrics.doctor.ip_families import with_dead_families

if TYPE_CHECKING:
	from prego_metrics.agent.http.client import Answer, NoAnswer

MAX_CLOCK_SKEW_SECONDS = 120.0
CERTIFICATE_DAYS = 14
_DAY_SECONDS = 86400.0


def control_plane(node: Examination) -> Finding:
	"""URL, key and node_id are right, as the control plane sees them."""
	from prego_metrics.agent.http.client import NoAnswer
	from prego_metrics.agent.http.proxies import proxy_of

	asked = node.once(_asked)
	if isinstance(asked, Message):
		return Finding(SKIP, asked)
	key, answer = asked
	if not isinstance(answer, NoAnswer):
		return with_dead_families(node, _judged(node, key, answer))
	proxy = proxy_of(node.config.control_plane_url)
	if proxy:
		action = message("check the proxy {proxy} first, which the requests go through", proxy=proxy.shown)
	elif answer.reason.code == "name_unresolved":
		action = message("check the host name in control_plane_url, and DNS on this machine")
	elif answer.reason.code == "tls_failed":
		action = message(
			"check this machine's clock (timedatectl) and the certificate; to trust one of your own authority, set "
			"REQUESTS_CA_BUNDLE"
		)
	else:
		action = message("check that the control plane runs, control_plane_url, and the firewall on the way")
	return Finding(FAIL, answer.reason, action)


def _judged(node: Examination, key: Secret, answer: Answer) -> Finding:
	"""Return what an answer to `GET /internal/nodes/:node_id` means."""
	from prego_metrics.agent.http.answers import error_code, refusal_of, summary_of
	from prego_metrics.agent.push.read_back import NODES_ROUTE, differences, fault_of_row, lists_nodes

	code, summary = error_code(answer), summary_of(answer, key)
	if 200 <= answer.status_code < 300:
		fault = fault_of_row(answer, key, node.config.node_id)
		if fault and fault.code == "row_missing" and answer.broken:
			# What could not be read may name the node.
			return Finding(
				WARN,
				coded("row_unchecked", reason=answer.broken),
				message("if pushes are not delivered either, control_plane_url is wrong"),
			)
		if fault:
			return Finding(
				FAIL, fault, message("check that control_plane_url is the control plane's base URL")
			)
		delivered = node.state.last_delivered
		if delivered and delivered.payload and delivered.node_id == node.config.node_id:
			for difference in differences(answer, delivered.payload, delivered.at):
				return Finding(
					WARN,
					difference,
					message(
						"see who else answers at control_plane_url or writes this row, and what caches answers"
					),
				)
		return Finding(PASS, message("the URL is right, the key is accepted, the node is registered"))
	if code == "payload_refused":
		return Finding(
			WARN,
			message("an answer that does not name this node: {answer}", answer=summary),
			message("check that control_plane_url is the control plane's base URL"),
		)
	if code == "node_unknown" and not lists_nodes(_get(node, key, NODES_ROUTE)):
		return Finding(
			WARN,
			message(
				"there is no route {route} here, so only the last real push shows it: {words}",
				route=NODES_ROUTE,
				words=key.excerpt(answer.body),
			),
			message("if pushes are not delivered either, control_plane_url is wrong"),
		)
	if code == "key_refused":
		action = message(
			"give the node the same INTERNAL_API_KEY that the control plane has; this one is from {source}",
			source=key.source,
		)
	elif code == "node_unknown":
		action = message(
			"register exactly the node_id {node} in the control plane, or correct it",
			node=sanitize(node.config.node_id),
		)
	elif code in ("edge_refused", "login_required"):
		action = message(
			"let this node's requests to {url} pass in the rules of what stands before the control plane (WAF, bot "
			"protection, Access); the key was not looked at, and needs no change",
			url=sanitize(node.config.control_plane_url),
		)
	elif code == "redirected":
		action = message(
			"set control_plane_url to where it leads, if that is the control plane: {url}",
			url=key.excerpt(answer.headers.get("location", ""), 200),
		)
	else:
		action = message(
			"look at the control plane, and at what stands before it; pushes are tried again by themselves"
		)
	return Finding(FAIL, refusal_of(answer, key), action)


def clock(node: Examination) -> Finding:
	"""This clock and the control plane's agree."""
	from prego_metrics.agent.http.retry import http_date_seconds

	answer = _answer(node)
	if isinstance(answer, Message):
		return Finding(SKIP, answer)
	moment = http_date_seconds(answer.headers.get("date", ""))
	if moment is None:
		return Finding(SKIP, message("the control plane's answer has no date to compare with"))
	skew = time.time() - moment
	difference = message("{seconds} s beside the control plane's", seconds=f"{skew:+.0f}")
	if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
		return Finding(WARN, difference, message("set the clock by NTP (timedatectl)"))
	return Finding(PASS, difference)


def tls(node: Examination) -> Finding:
	"""The certificate does not expire soon. Whether it is trusted, the check of the control plane says."""
	from prego_metrics.agent.http.deadline import within_deadline
	from prego_metrics.agent.http.proxies import proxy_of

	answer = _answer(node)
	if isinstance(answer, Message):
		return Finding(SKIP, answer)
	url = urlsplit(node.config.control_plane_url)
	if url.scheme != "https":
		return Finding(SKIP, message("http on loopback has none"))
	if proxy_of(node.config.control_plane_url):
		return Finding(SKIP, message("not looked at through a proxy; the push itself verifies it"))
	host, port, seconds = url.hostname or "", url.port or 443, node.config.timeout
	expires_at = within_deadline(lambda: _expires_at(host, port, seconds), lambda: None, seconds + 1)
	if not isinstance(expires_at, float):
		return Finding(SKIP, message("no connection to read a certificate from"))
	days = (expires_at - time.time()) / _DAY_SECONDS
	expiry = message("the certificate is trusted, and expires in {days} days", days=f"{days:.0f}")
	if days < CERTIFICATE_DAYS:
		return Finding(
			WARN, expiry, message("see that it is renewed: pushes fail on all nodes when it expires")
		)
	return Finding(PASS, expiry)


def _answer(node: Examination) -> Answer | Message:
	"""Return the control plane's answer; a Message says why there is none."""
	from prego_metrics.agent.http.client import NoAnswer

	asked = node.once(_asked)
	if isinstance(asked, Message):
		return asked
	if isinstance(asked.answer, NoAnswer):
		return message("the control plane does not answer")
	return asked.answer


class _Asked(NamedTuple):
	key: Secret
	answer: Answer | NoAnswer


def _asked(node: Examination) -> _Asked | Message:
	"""Ask the control plane for this node; a Message says why it is not asked."""
	from prego_metrics.agent.push.read_back import node_path

	if not node.online:
		return message("not asked (--offline)")
	try:
		node.config.require(("node_id", "control_plane_url"))
		if isinstance(node.key, ConfigurationError):
			raise node.key
	except ConfigurationError:
		return message("not asked: the settings or the key are not there yet")
	key, _ = node.key
	return _Asked(key, _get(node, key, node_path(node.config.node_id)))


def _get(node: Examination, key: Secret, path: str) -> Answer | NoAnswer:
	from prego_metrics.agent.http.client import Client

	timeout = node.config.timeout
	return Client(node.config.control_plane_url, key).get(path, timeout, timeout + 2)


def _expires_at(host: str, port: int, seconds: float) -> float | None:
	"""Return when the certificate expires, in seconds since the epoch; None if no connection can be made."""
	import certifi

	bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
	is_folder = os.path.isdir(bundle)  # requests takes both
	try:
		context = ssl.create_default_context(
			cafile=None if is_folder else bundle, capath=bundle if is_folder else None
		)
		with socket.create_connection((host, port), seconds) as plain:
			with context.wrap_socket(plain, server_hostname=host) as secure:
				return float(ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"])))
	except (OSError, KeyError, ValueError):
		return None
