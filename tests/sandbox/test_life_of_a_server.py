"""A local control plane begins, serves many at once, and ends; its file keeps its rows."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from asking import FULL_PAYLOAD, KEY, PUSH, Client, raw_exchange

from prego_metrics.sandbox.server import LocalControlPlane
from prego_metrics.sandbox.store import Metrics, Store, UnknownNode

# Life of a server


def test_twenty_threads_push_and_read_and_every_row_is_whole(control_plane: LocalControlPlane) -> None:
	for number in range(20):
		control_plane.store.register_node(f"sg-{number}", "sg", "10.0.0.1")

	def push_and_read(number: int) -> list[int]:
		statuses = []
		headers = {"Authorization": f"Bearer {KEY}"}
		for count in range(10):
			body = json.dumps({"node_id": f"sg-{number}", "tenant_count": count, "save_snapshot": True})
			for method, path, content in (("POST", PUSH, body), ("GET", "/internal/nodes", None)):
				connection = http.client.HTTPConnection("127.0.0.1", control_plane.port, timeout=30)
				try:
					connection.request(method, path, content, headers)
					statuses.append(connection.getresponse().status)
				finally:
					connection.close()
		return statuses

	with ThreadPoolExecutor(20) as pool:
		answers = list(pool.map(push_and_read, range(20)))

	assert answers == [[200] * 20] * 20
	for number in range(20):
		row = control_plane.store.server_metrics(f"sg-{number}")
		assert row is not None
		assert row["tenant_count"] == 9
		kept = control_plane.store.snapshots(f"sg-{number}")
		assert [snapshot["tenant_count"] for snapshot in kept] == list(range(10))


def test_closing_frees_the_port_and_ends_its_threads() -> None:
	before = set(threading.enumerate())
	with LocalControlPlane(KEY) as control_plane:
		port = control_plane.port
	control_plane.close()

	assert set(threading.enumerate()) <= before
	with pytest.raises(ConnectionRefusedError):
		socket.create_connection(("127.0.0.1", port), timeout=5)
	with LocalControlPlane(KEY, port=port):
		pass


def test_closing_does_not_wait_for_an_idle_client() -> None:
	with LocalControlPlane(KEY) as control_plane:
		with socket.create_connection(("127.0.0.1", control_plane.port), timeout=5) as idle:
			idle.sendall(b"POST ")
			# A request later on shows that the idle one was accepted before.
			raw_exchange(control_plane, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			began = time.monotonic()
			control_plane.close()

			assert time.monotonic() - began < 2


def test_one_that_never_started_closes_too() -> None:
	control_plane = LocalControlPlane(KEY)
	control_plane.close()

	with LocalControlPlane(KEY, port=control_plane.port):
		pass


def test_a_taken_port_is_an_error_and_not_the_end_of_the_process(control_plane: LocalControlPlane) -> None:
	with pytest.raises(OSError, match="in use"):
		LocalControlPlane(KEY, port=control_plane.port)


@pytest.mark.parametrize("key", ["", "two words", "käse", "line\n", "\x7f"])
def test_a_key_that_no_header_carries_is_refused_without_showing_it(key: str) -> None:
	with pytest.raises(ValueError, match="printable ASCII without spaces") as refusal:
		LocalControlPlane(key)
	assert not key or key not in str(refusal.value)


# The store


def test_a_file_keeps_its_rows_from_one_server_to_the_next(tmp_path: Path, session: requests.Session) -> None:
	database = str(tmp_path / "control-plane.sqlite")
	with LocalControlPlane(KEY, database=database) as first:
		first.store.register_node("sg-1", "sg", "10.0.0.1")
		Client(session, first).push(**FULL_PAYLOAD)

	with LocalControlPlane(KEY, database=database, snapshots=False) as second:
		node = Client(session, second).call("GET", "/internal/nodes/sg-1").json()["node"]
		assert node["tenant_count"] == 42
		assert (
			Client(session, second).push(**FULL_PAYLOAD, save_snapshot=True).json()["snapshot_saved"] is True
		)


def test_a_region_outside_the_three_is_refused_by_the_table_itself() -> None:
	store = Store()
	try:
		with pytest.raises(sqlite3.IntegrityError):
			store.register_node("de-1", "de", "10.0.0.1")
		assert store.nodes() == []
	finally:
		store.close()


def test_an_unknown_node_leaves_no_trace_in_the_store() -> None:
	store = Store()
	try:
		with pytest.raises(UnknownNode):
			store.save(Metrics("sg-1"), save_snapshot=True)
		assert (store.nodes(), store.server_metrics("sg-1"), store.snapshots("sg-1")) == ([], None, [])
	finally:
		store.close()
