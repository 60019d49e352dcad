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
from prego_metrics.agent.base.messages import Message, coded, joined, message
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.http.deadline import within_deadline
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding, found

if TYPE_CHECKING:
	from prego_metrics.agent.http.client import Answer, NoAnswer

MAX_CLOCK_SKEW_SECONDS = 120.0
CERTIFICATE_DAYS = 14
_DAY_SECONDS = 86400.0
_CONNECT_SECONDS = 2.0
_LIMIT_SECONDS = 5.0
_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


def control_plane(node: Examination) -> Finding:
	"""URL, key and node_id are right, as the control plane sees them."""
	from prego_metrics.agent.http.client import NoAnswer
	from prego_metrics.agent.http.proxies import proxy_of

	asked = node.once(_asked)
	if isinstance(asked, Message):
		return Finding(SKIP, asked)
	key, answer = asked
	if not isinstance(answer, NoAnswer):
		return _with_dead_families(node, _judged(node, key, answer))
	proxy = proxy_of(node.config.control_plane_url)
	if proxy:
		action = message("check the proxy {proxy}, which these requests use", proxy=proxy.shown)
	elif answer.reason.code == "name_unresolved":
		action = message("check the host name in control_plane_url, and DNS on this machine")
	elif answer.reason.code == "tls_failed":
		action = message(
			"check this machine's clock (timedatectl) and the certificate; for a private CA, set REQUESTS_CA_BUNDLE"
		)
	else:
		action = message(
			"check that the control plane is running, control_plane_url, and firewalls in between"
		)
	return Finding(FAIL, answer.reason, action)


def _judged(node: Examination, key: Secret, answer: Answer) -> Finding:
	"""Return what an answer to `GET /internal/nodes/:node_id` shows."""
	from prego_metrics.agent.http.answers import error_code, refusal_of, summary_of
	from prego_metrics.agent.push.read_back import NODES_ROUTE, differences, fault_of_row, lists_nodes

	code, summary = error_code(answer), summary_of(answer, key)
	check_url = message("check that control_plane_url is the control plane's base URL")
	see_last_push = message("see the check `last_push`: if that fails too, control_plane_url is wrong")
	if 200 <= answer.status_code < 300:
		fault = fault_of_row(answer, key, node.config.node_id)
		if fault and fault.code == "row_missing" and answer.broken:
			# What could not be read may name the node.
			return Finding(WARN, coded("row_unchecked", reason=answer.broken), see_last_push)
		if fault:
			return Finding(FAIL, fault, check_url)
		delivered = node.state.last_delivered
		if delivered and delivered.payload and delivered.node_id == node.config.node_id:
			for difference in differences(answer, delivered.payload, delivered.at):
				return found(
					WARN,
					difference,
					"find out whether another process writes this row or a cache answers at control_plane_url",
				)
		return found(PASS, "the URL is right, the key is accepted, and the node is registered")
	if code == "payload_refused":
		return found(WARN, "the answer does not name this node: {answer}", check_url, answer=summary)
	if code == "node_unknown" and not lists_nodes(_get(node, key, NODES_ROUTE)):
		return found(
			WARN,
			"the control plane has no {route}, so registration cannot be checked: {words}",
			see_last_push,
			route=NODES_ROUTE,
			words=key.excerpt(answer.body),
		)
	if code == "key_refused":
		action = message(
			"use the control plane's INTERNAL_API_KEY here; this key is from {source}", source=key.source
		)
	elif code == "node_unknown":
		action = message(
			"register the node_id {node} in the control plane, or correct it here",
			node=sanitize(node.config.node_id),
		)
	elif code in ("edge_refused", "login_required"):
		action = message(
			"allow this node's requests to {url} in the WAF, bot protection or access rules in front of the control "
			"plane. The key was not checked and needs no change",
			url=sanitize(node.config.control_plane_url),
		)
	elif code == "redirected":
		action = message(
			"if this is the control plane, set control_plane_url to {url}",
			url=key.excerpt(answer.headers.get("location", ""), 200),
		)
	else:
		action = message(
			"check the control plane and what is in front of it; pushes are retried automatically"
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
		return found(SKIP, "the control plane's answer has no Date header to compare with")
	skew = time.time() - moment
	difference = message("{seconds} s off the control plane's clock", seconds=f"{skew:+.0f}")
	if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
		return found(WARN, difference, "synchronize the clock by NTP (timedatectl)")
	return Finding(PASS, difference)


def tls(node: Examination) -> Finding:
	"""The certificate does not expire soon. Whether it is trusted, the check of the control plane says."""
	from prego_metrics.agent.http.proxies import proxy_of

	answer = _answer(node)
	if isinstance(answer, Message):
		return Finding(SKIP, answer)
	url = urlsplit(node.config.control_plane_url)
	if url.scheme != "https":
		return found(SKIP, "plain http on loopback has no certificate")
	if proxy_of(node.config.control_plane_url):
		return found(SKIP, "not checked through a proxy; each push verifies the certificate")
	host, port, seconds = url.hostname or "", url.port or 443, node.config.timeout
	expires_at = within_deadline(lambda: _expires_at(host, port, seconds), lambda: None, seconds + 1)
	if not isinstance(expires_at, float):
		return found(SKIP, "the certificate cannot be read without a connection")
	days = (expires_at - time.time()) / _DAY_SECONDS
	expiry = message("the certificate is trusted and expires in {days} days", days=f"{days:.0f}")
	if days < CERTIFICATE_DAYS:
		return found(WARN, expiry, "renew it: when it expires, pushes fail on all nodes")
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


def _with_dead_families(node: Examination, finding: Finding) -> Finding:
	"""Return `finding`, with the family of addresses that gets no connection, where the other one does."""
	from prego_metrics.agent.http.proxies import proxy_of

	url = urlsplit(node.config.control_plane_url)
	if proxy_of(node.config.control_plane_url):
		return finding
	host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
	reasons = within_deadline(lambda: _reasons(host, port), lambda: None, _LIMIT_SECONDS)
	dead = (
		{family: reason for family, reason in reasons.items() if reason} if isinstance(reasons, dict) else {}
	)
	if not dead or len(dead) == len(reasons or ()):
		return finding
	return finding._replace(
		state=WARN if finding.state == PASS else finding.state,
		seen=joined(
			[
				finding.seen,
				*(
					message(
						"{family} to {host} fails ({reason}), although the other family works",
						family=family,
						host=sanitize(host),
						reason=reason,
					)
					for family, reason in dead.items()
				),
			]
		),
		action=finding.action
		or message(
			"fix its route or DNS record, or disable the family on this machine: each connection loses a third of the "
			"timeout to it"
		),
	)


def _reasons(host: str, port: int) -> dict[str, str]:
	"""Return why no address of a family gets a connection, empty for a family that does. Raises OSError."""
	reasons: dict[str, str] = {}
	for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
		name = _FAMILIES.get(family, str(family))
		if reasons.get(name, "untried"):
			with socket.socket(family, socket.SOCK_STREAM) as tried:
				tried.settimeout(_CONNECT_SECONDS)
				try:
					tried.connect(address)
				except OSError as error:
					reasons[name] = error.strerror or str(error)
				else:
					reasons[name] = ""
	return reasons


class _Asked(NamedTuple):
	key: Secret
	answer: Answer | NoAnswer


def _asked(node: Examination) -> _Asked | Message:
	"""Ask the control plane for this node; a Message says why it is not asked."""
	from prego_metrics.agent.push.read_back import node_path

	if not node.online:
		return message("--offline skips network checks")
	try:
		node.config.require(("node_id", "control_plane_url"))
		if isinstance(node.key, ConfigurationError):
			raise node.key
	except ConfigurationError:
		return message("needs node_id, control_plane_url and the key first")
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
