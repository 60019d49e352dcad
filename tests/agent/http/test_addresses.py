"""A name with several addresses: one that is dead does not use up the time of the others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from hostile_server import HostileServer, answer

from prego_metrics.agent.http.addresses import addresses_of, first_connected
from prego_metrics.agent.http.client import Answer, Client, NoAnswer


@pytest.fixture
def black_hole() -> Iterator[str]:
	"""An address whose queue of connections is full: a next one gets no answer at all."""
	with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
		waiting = [socket.socket() for _ in range(4)]
		for client in waiting:
			client.setblocking(False)
			client.connect_ex(full.getsockname())
		yield full.getsockname()
		for client in waiting:
			client.close()


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
	"""Let the name `plane.example` have these addresses; every other one is resolved as ever."""
	real = socket.getaddrinfo

	def resolve(host: object, port: object, *args: object, **kwargs: object) -> list[object]:
		if host != "plane.example":
			# A port of its own for each address, since two servers cannot share one on any address.
			return real(host, dict(addresses).get(str(host), port), *args, **kwargs)  # type: ignore[arg-type, return-value]
		return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

	monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_black_hole_leaves_time_for_the_next_address(
	black_hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
	with HostileServer(answer(200, b"{}")) as server:
		resolves_to(monkeypatch, black_hole, ("127.0.0.1", server.port))
		began = time.monotonic()
		reply = Client("http://plane.example").request("POST", "/", 3.0, b"{}")
		assert isinstance(reply, Answer) and reply.status_code == 200
		assert 0.9 < time.monotonic() - began < 2.5
	assert server.connections == 1


def test_black_holes_alone_are_given_up_in_time(
	black_hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
	resolves_to(monkeypatch, black_hole, ("127.0.0.2", black_hole[1]))
	began = time.monotonic()
	reply = Client("http://plane.example").request("POST", "/", 0.9, b"{}")
	assert isinstance(reply, NoAnswer) and reply.reason.code == "no_answer"
	assert not reply.unclear
	assert time.monotonic() - began < 2


def test_the_error_of_the_last_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
	with socket.create_server(("127.0.0.1", 0)) as closed:
		port = closed.getsockname()[1]
	resolves_to(monkeypatch, ("127.0.0.2", port), ("127.0.0.1", port))
	reply = Client("http://plane.example").request("POST", "/", 3.0, b"{}")
	assert isinstance(reply, NoAnswer)
	assert (reply.reason.code, reply.reason.params["reason"]) == ("no_connection", "Connection refused")


def test_the_families_come_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
	def resolve(*args: object, **kwargs: object) -> list[object]:
		six = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"::{n}", 1, 0, 0)) for n in (1, 2, 3)]
		return [*six, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]

	monkeypatch.setattr(socket, "getaddrinfo", resolve)
	assert addresses_of("plane.example", 1) == ["::1", "127.0.0.1", "::2", "::3"]


def test_an_address_that_is_given_twice_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
	twice = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (1, 2)]
	other = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 1))
	monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*twice, other])
	assert addresses_of("plane.example", 1) == ["127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize("works", ["a", "b", "c"])
def test_each_address_but_the_last_has_a_third_of_the_time(works: str) -> None:
	tried: list[tuple[str, float]] = []

	def connect(address: str, seconds: float) -> str:
		tried.append((address, seconds))
		if address != works:
			raise ConnectionRefusedError
		return address

	assert first_connected(connect, ["a", "b", "c"], 9.0) == works
	assert tried == [("a", 3.0), ("b", 3.0), ("c", 9.0)][: len(tried)]
	assert tried[-1][0] == works


def test_an_error_that_is_none_of_the_networks_ends_the_search() -> None:
	def connect(address: str, seconds: float) -> str:
		raise LookupError(address)

	with pytest.raises(LookupError, match="a"):
		first_connected(connect, ["a", "b"], 9.0)
