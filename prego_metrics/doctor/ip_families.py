"""A host with IPv4 and IPv6 addresses, of which one family leads nowhere: pushes work, and lose time each time."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from prego_metrics.agent.base.messages import joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.http.deadline import within_deadline
from prego_metrics.doctor.check import PASS, WARN, Examination, Finding

_CONNECT_SECONDS = 2.0
_LIMIT_SECONDS = 5.0
_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


def with_dead_families(node: Examination, finding: Finding) -> Finding:
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
						"{family} to {host} leads nowhere ({reason}), the other family works",
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
			"repair the route or the DNS record of that family, or take the family away from this machine: each "
			"connection loses a third of the timeout there"
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
