"""Databases that never come to an end: each is given up for itself, and the others are asked all the same."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory.database import read_databases
from prego_metrics.tenants.inventory.site_folder import LocatedSite, locate_sites


@pytest.fixture
def dripping_port() -> Iterator[int]:
	"""A MariaDB that sends its greeting a byte at a time, and is never through with it."""
	over = threading.Event()

	def drip(connection: socket.socket) -> None:
		with contextlib.suppress(OSError), connection:
			connection.sendall(b"\xff\xff\xff\x00")
			while not over.wait(0.05):
				connection.sendall(b"x")

	def serve(listening: socket.socket) -> None:
		with contextlib.suppress(OSError):
			while True:
				threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

	pytest.importorskip("pymysql")
	with socket.create_server(("127.0.0.1", 0)) as listening:
		threading.Thread(target=serve, args=(listening,), daemon=True).start()
		yield int(listening.getsockname()[1])
		over.set()
		listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def sites(
	tmp_path: Path, make_bench: Callable[..., Path], make_site: Callable[..., Path], dripping_port: int
) -> list[LocatedSite]:
	"""Four sites, of which the first two have such a database, and the others none that listens."""
	bench = make_bench(tmp_path / "bench")
	for name, port in (("a", dripping_port), ("b", dripping_port), ("c", 1), ("d", 1)):
		make_site(bench, f"{name}.example", db_name="_x", db_password="hunter2", db_port=port)
	config = load_config(open_bench(str(bench)), {})
	return [one for one in locate_sites(config, count_tenants(config)) if one.merged.get("db_name") == "_x"]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_server_that_drips_is_given_up_and_the_others_are_asked(
	sites: list[LocatedSite], concurrency: int
) -> None:
	began = time.monotonic()
	found = {
		located.site.name: figures.error or ""
		for located, figures in read_databases(sites, {}, concurrency=concurrency, limit_seconds=2)
	}
	assert time.monotonic() - began < 20
	assert found.pop("a.example") == found.pop("b.example") == "no answer within 2 s"
	assert sorted(found) == ["c.example", "d.example"]
	assert all("refused" in error or "connect" in error for error in found.values())
