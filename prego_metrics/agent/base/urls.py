"""What a URL's host is."""

from __future__ import annotations


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
