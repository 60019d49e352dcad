"""The addresses of a host, each tried within a share of the time: one that is dead must not use up the others'.

A node whose IPv6 leads nowhere gets no answer to its first connection at all, not even a refusal.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterable

import urllib3

from prego_metrics.agent.light_typing import TypeVar

# Each address but the last may take this share of the time that an attempt has.
SHARE = 1 / 3

Result = TypeVar("Result")


def addresses_of(host: str, port: int) -> list[str]:
	"""Resolve `host` and return its addresses in the resolver's order, the families by turns. Raises OSError."""
	by_family: dict[int, list[str]] = {}
	for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
		of_family = by_family.setdefault(family, [])
		if address[0] not in of_family:
			of_family.append(str(address[0]))
	turns: Iterable[tuple[str | None, ...]] = itertools.zip_longest(*by_family.values())
	return [address for turn in turns for address in turn if address]


def first_connected(
	connect: Callable[[str, float], Result], addresses: list[str], attempt_seconds: float
) -> Result:
	"""Call `connect` with an address and its seconds until one succeeds; raise the last error if none does."""
	for address in addresses[:-1]:
		try:
			return connect(address, attempt_seconds * SHARE)
		except (OSError, urllib3.exceptions.HTTPError):
			continue
	return connect(addresses[-1], attempt_seconds)
