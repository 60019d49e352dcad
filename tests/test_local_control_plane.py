"""The stand-in answers as the agreement says, over real HTTP on loopback."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from prego_metrics.local_control_plane import server as server_module
from prego_metrics.local_control_plane.server import LocalControlPlane
from prego_metrics.local_control_plane.store import Metrics, Store, UnknownNode

KEY = "a-key-for-tests-0123456789"
PUSH = "/internal/server-metrics"
FULL_PAYLOAD = {
	"node_id": "sg-1",
	"cpu_pct": 12.5,
	"memory_pct": 48.1,
	"disk_pct": 61.0,
	"tenant_count": 42,
	"source": "node_push",
}


class Client:
	"""A client with the right key, unless told otherwise."""

	def __init__(self, session: requests.Session, control_plane: LocalControlPlane) -> None:
		self.session = session
		self.url = control_plane.url

	def call(
		self, method: str, path: str, authorization: str | None = f"Bearer {KEY}", **options: Any
	) -> Any:
		headers = {} if authorization is None else {"Authorization": authorization}
		return self.session.request(method, self.url + path, headers=headers, timeout=10, **options)

	def push(self, **payload: Any) -> Any:
		return self.call("POST", PUSH, json=payload)


@pytest.fixture
def session() -> Iterator[requests.Session]:
	with requests.Session() as session:
		session.trust_env = False
		yield session


@pytest.fixture
def control_plane() -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY) as control_plane:
		control_plane.store.register_node("sg-1", "sg", "10.0.0.1")
		yield control_plane


@pytest.fixture
def client(session: requests.Session, control_plane: LocalControlPlane) -> Client:
	return Client(session, control_plane)


def raw_exchange(control_plane: LocalControlPlane, request: bytes) -> bytes:
	"""Send bytes as they are and return all that comes back."""
	with socket.create_connection(("127.0.0.1", control_plane.port), timeout=10) as connection:
		connection.sendall(request)
		answer = b""
		while part := connection.recv(65536):
			answer += part
		return answer


def head(*lines: str) -> bytes:
	return "\r\n".join(
		[f"POST {PUSH} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", *lines, "", ""]
	).encode()


# The bearer


@pytest.mark.parametrize(
	"authorization",
	[
		None,
		"",
		"Bearer",
		"Bearer wrong",
		KEY,
		f"bearer {KEY}",
		f"Bearer  {KEY}",
		f"Bearer {KEY}x",
		f"Bearer {KEY[:-1]}",
		f"Bearer {KEY.upper()}",
		f"Basic {KEY}",
		"Bearer ÿ".encode("latin-1"),
	],
)
def test_anything_but_the_exact_bearer_is_a_401(client: Client, authorization: Any) -> None:
	answer = client.call("POST", PUSH, authorization=authorization, json=FULL_PAYLOAD)

	assert answer.status_code == 401
	assert list(answer.json()) == ["error"]
	assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
	("method", "path"),
	[
		("GET", "/internal"),
		("GET", "/internal/no-such-route"),
		("DELETE", PUSH),
		("GET", "/internal/nodes/nowhere"),
		("GET", "//internal/nodes"),
		("GET", "/%69nternal/nodes"),
		("POST", "/internal/nodes"),
	],
)
def test_without_the_key_nothing_is_told_of_routes_methods_or_nodes(
	client: Client, method: str, path: str
) -> None:
	assert client.call(method, path, authorization=None).status_code == 401


def test_without_the_key_an_oversized_body_is_a_401_and_not_read(control_plane: LocalControlPlane) -> None:
	answer = raw_exchange(
		control_plane, f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n".encode()
	)

	assert answer.startswith(b"HTTP/1.1 401 ")


# A push


def test_a_full_push_becomes_the_nodes_row(client: Client, control_plane: LocalControlPlane) -> None:
	answer = client.push(**FULL_PAYLOAD)

	assert (answer.status_code, answer.json()) == (
		200,
		{"ok": True, "node_id": "sg-1", "snapshot_saved": False},
	)
	row = control_plane.store.server_metrics("sg-1")
	assert row is not None
	assert row.pop("updated_at").endswith("Z")
	assert row == FULL_PAYLOAD


def test_what_a_push_leaves_out_becomes_null_zero_and_node_push(
	client: Client, control_plane: LocalControlPlane
) -> None:
	client.push(**FULL_PAYLOAD | {"source": "hetzner_api"})
	client.push(node_id="sg-1", cpu_pct=3)

	row = control_plane.store.server_metrics("sg-1")
	assert row is not None
	del row["updated_at"]
	assert row == {
		"node_id": "sg-1",
		"cpu_pct": 3.0,
		"memory_pct": None,
		"disk_pct": None,
		"tenant_count": 0,
		"source": "node_push",
	}


def test_null_percentages_the_limits_and_unknown_fields_are_accepted(
	client: Client, control_plane: LocalControlPlane
) -> None:
	answer = client.push(
		node_id="sg-1",
		cpu_pct=None,
		memory_pct=0,
		disk_pct=100,
		source="x" * 640,
		tenant_count=3.0,
		later=[1],
	)

	assert answer.status_code == 200
	row = control_plane.store.server_metrics("sg-1")
	assert row is not None
	assert (row["cpu_pct"], row["memory_pct"], row["disk_pct"]) == (None, 0.0, 100.0)


@pytest.mark.parametrize("node_id", ["SG-1", " sg-1", "sg-1 ", "sg-1\n", "sg-1\0", "sg‑1", "sg-2", "%73g-1"])
def test_a_node_that_is_not_registered_exactly_is_a_404(
	client: Client, control_plane: LocalControlPlane, node_id: str
) -> None:
	answer = client.push(**FULL_PAYLOAD | {"node_id": node_id})

	assert answer.status_code == 404
	assert answer.json()["field"] == "node_id"
	assert [node["node_id"] for node in control_plane.store.nodes()] == ["sg-1"]


def test_an_unknown_node_is_created_when_the_option_says_so(session: requests.Session) -> None:
	with LocalControlPlane(KEY, register_unknown=True) as control_plane:
		client = Client(session, control_plane)

		assert client.push(node_id="eu-9", tenant_count=7).status_code == 200
		node = client.call("GET", "/internal/nodes/eu-9").json()["node"]
		assert (node["region"], node["host"], node["tenant_count"]) == (None, None, 7)


# Refused bodies

NOT_A_NUMBER = float("nan")
INFINITY = float("inf")
REFUSED_VALUES: list[tuple[str, list[Any]]] = [
	("node_id", [None, "", 1, True, ["sg-1"], {}, "\ud800"]),
	("cpu_pct", [-0.1, 100.1, True, False, "50", [], {}, NOT_A_NUMBER, INFINITY, -INFINITY, 10**400]),
	("memory_pct", [-1, 101, True, "", NOT_A_NUMBER]),
	("disk_pct", [-1, 101, False, "61.0", INFINITY]),
	("tenant_count", [-1, 1.5, 2.0**53, True, False, None, "42", [], NOT_A_NUMBER, 2**53, 10**30]),
	("save_snapshot", [None, 0, 1, "true", []]),
	("source", [None, "", 1, True, "\udfff"]),
]


@pytest.mark.parametrize(
	("field", "value"), [(field, value) for field, row in REFUSED_VALUES for value in row]
)
def test_a_wrong_value_is_a_400_that_names_its_field(
	client: Client, control_plane: LocalControlPlane, field: str, value: Any
) -> None:
	# Not `json=`: requests refuses to write NaN.
	answer = client.call("POST", PUSH, data=json.dumps(FULL_PAYLOAD | {field: value}))

	assert answer.status_code == 400
	assert answer.json()["field"] == field
	assert answer.json()["error"].startswith(field)
	assert control_plane.store.server_metrics("sg-1") is None


def test_a_push_without_node_id_is_a_400_that_names_it(client: Client) -> None:
	answer = client.push(cpu_pct=1)

	assert (answer.status_code, answer.json()) == (
		400,
		{"error": "node_id is required", "field": "node_id"},
	)


@pytest.mark.parametrize(
	"body",
	[
		b"",
		b"{",
		b"null",
		b"[]",
		b'"sg-1"',
		b"42",
		b"node_id=sg-1",
		b'{"node_id": "\xff"}',
		b'\xef\xbb\xbf{"node_id": "sg-1"}',
		json.dumps(FULL_PAYLOAD).encode("utf-16"),
		b'{"node_id": "sg-1", "tenant_count": ' + b"9" * 5000 + b"}",
		b"[" * 60_000,
	],
)
def test_a_body_that_is_no_json_object_is_a_400(client: Client, body: bytes) -> None:
	answer = client.call("POST", PUSH, data=body)

	assert answer.status_code == 400
	assert answer.json()["error"]


@pytest.mark.parametrize("path", [PUSH, "/internal/nodes"])
@pytest.mark.parametrize("field", ["node_id", "host", "source"])
def test_a_body_that_holds_the_key_is_refused_and_the_key_is_not_repeated(
	client: Client, control_plane: LocalControlPlane, path: str, field: str
) -> None:
	body = FULL_PAYLOAD | {"region": "sg", "host": "10.0.0.1"} | {field: f"x{KEY}"}

	answer = client.call("POST", path, json=body)

	assert answer.status_code == 400
	assert KEY not in answer.text + str(answer.headers)
	assert KEY not in str(control_plane.store.nodes())


# Size and framing


def padded(size: int) -> bytes:
	body = json.dumps(FULL_PAYLOAD).encode()
	return body + b" " * (size - len(body))


def test_a_body_of_exactly_64_kib_is_accepted(client: Client) -> None:
	assert client.call("POST", PUSH, data=padded(65536)).status_code == 200
	assert client.call("POST", PUSH, data=iter([padded(65536)])).status_code == 200


@pytest.mark.parametrize("size", [65537, 3_000_000])
def test_a_larger_body_is_a_413(client: Client, control_plane: LocalControlPlane, size: int) -> None:
	answer = client.call("POST", PUSH, data=padded(size))

	assert answer.status_code == 413
	assert answer.json()["error"]
	assert control_plane.store.server_metrics("sg-1") is None


@pytest.mark.parametrize("size", [65537, 3_000_000])
def test_a_larger_chunked_body_is_a_413(client: Client, size: int) -> None:
	body = padded(size)
	pieces = (body[start : start + 4096] for start in range(0, size, 4096))

	assert client.call("POST", PUSH, data=pieces).status_code == 413


def test_an_announced_length_above_the_limit_is_a_413_before_any_body(
	control_plane: LocalControlPlane,
) -> None:
	answer = raw_exchange(control_plane, head("Content-Length: 70000"))

	assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_length_that_lies_hides_no_larger_body(control_plane: LocalControlPlane) -> None:
	chunks = b"".join(b"1000\r\n" + b" " * 4096 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"

	answer = raw_exchange(control_plane, head("Content-Length: 10", "Transfer-Encoding: chunked") + chunks)

	assert answer.startswith(b"HTTP/1.1 413 ")


def test_no_more_than_the_announced_length_is_read(control_plane: LocalControlPlane) -> None:
	body = json.dumps(FULL_PAYLOAD).encode()

	answer = raw_exchange(control_plane, head(f"Content-Length: {len(body)}") + body + b"x" * 200_000)

	assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("length", ["-5", "many", ""])
def test_a_length_that_is_none_is_a_400(control_plane: LocalControlPlane, length: str) -> None:
	answer = raw_exchange(control_plane, head(f"Content-Length: {length}") + b'{"node_id": "sg-1"}')

	assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_badly_framed_chunk_is_a_400(control_plane: LocalControlPlane) -> None:
	answer = raw_exchange(control_plane, head("Transfer-Encoding: chunked") + b"not-hex\r\n{}\r\n0\r\n\r\n")

	assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_body_that_stops_coming_is_a_408(
	control_plane: LocalControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(server_module._RequestHandler, "timeout", 0.2)

	answer = raw_exchange(control_plane, head("Content-Length: 500") + b'{"node_id"')

	assert answer.startswith(b"HTTP/1.1 408 ")
	assert b'{"error": "the body did not arrive in time"}' in answer


# Snapshots


def test_a_snapshot_is_kept_when_asked_for(client: Client, control_plane: LocalControlPlane) -> None:
	client.push(**FULL_PAYLOAD)
	first = client.push(**FULL_PAYLOAD, save_snapshot=True)
	second = client.push(node_id="sg-1", save_snapshot=True)
	client.push(**FULL_PAYLOAD, save_snapshot=False)

	assert first.json()["snapshot_saved"] is second.json()["snapshot_saved"] is True
	snapshots = control_plane.store.snapshots("sg-1")
	assert [(row["memory_pct"], row["tenant_count"]) for row in snapshots] == [(48.1, 42), (None, 0)]


def test_a_snapshot_is_accepted_and_ignored_until_the_migration(session: requests.Session) -> None:
	with LocalControlPlane(KEY, snapshots=False) as control_plane:
		client = Client(session, control_plane)
		control_plane.store.register_node("sg-1", "sg", "10.0.0.1")

		answer = client.push(**FULL_PAYLOAD, save_snapshot=True)
		assert (answer.status_code, answer.json()["snapshot_saved"]) == (200, False)
		assert control_plane.store.snapshots("sg-1") == []
		assert control_plane.store.server_metrics("sg-1") is not None

		control_plane.store.apply_snapshots_migration()
		control_plane.store.apply_snapshots_migration()
		assert client.push(**FULL_PAYLOAD, save_snapshot=True).json()["snapshot_saved"] is True
		assert len(control_plane.store.snapshots("sg-1")) == 1


# Nodes


def test_all_nodes_are_listed_with_their_newest_metrics(client: Client) -> None:
	client.call("POST", "/internal/nodes", json={"node_id": "eu-1", "region": "eu", "host": "eu.example"})
	client.push(**FULL_PAYLOAD)

	answer = client.call("GET", "/internal/nodes")

	assert answer.status_code == 200
	assert answer.headers["Content-Type"] == "application/json"
	silent, pushed = answer.json()["nodes"]
	assert silent == {
		"node_id": "eu-1",
		"region": "eu",
		"host": "eu.example",
		"cpu_pct": None,
		"memory_pct": None,
		"disk_pct": None,
		"tenant_count": None,
		"source": None,
		"updated_at": None,
	}
	assert pushed.pop("updated_at")
	assert pushed == FULL_PAYLOAD | {"region": "sg", "host": "10.0.0.1"}


@pytest.mark.parametrize(
	("node_id", "path"),
	[
		("sg-1", "sg-1"),
		("sg 1", "sg%201"),
		("sg/1", "sg%2F1"),
		("sg//1/", "sg//1/"),
		("노드-1", "%EB%85%B8%EB%93%9C-1"),
		("sg-1\n", "sg-1%0A"),
		("a+b?c#d", "a+b%3Fc%23d"),
	],
)
def test_one_node_is_found_by_its_url_decoded_name(
	client: Client, control_plane: LocalControlPlane, node_id: str, path: str
) -> None:
	control_plane.store.register_node(node_id, "us", "10.0.0.2")

	answer = client.call("GET", f"/internal/nodes/{path}")

	assert answer.status_code == 200
	assert answer.json()["node"]["node_id"] == node_id


@pytest.mark.parametrize("path", ["SG-1", "sg-1/", "%20sg-1", "sg-1%20", "sg-2", "%FF"])
def test_one_node_under_another_spelling_is_a_404(client: Client, path: str) -> None:
	answer = client.call("GET", f"/internal/nodes/{path}")

	assert (answer.status_code, answer.json()["field"]) == (404, "node_id")


def test_a_node_is_registered_once_and_changed_after(
	client: Client, control_plane: LocalControlPlane
) -> None:
	first = client.call("POST", "/internal/nodes", json={"node_id": "us-1", "region": "us", "host": "one"})
	second = client.call("POST", "/internal/nodes", json={"node_id": "us-1", "region": "eu", "host": "two"})

	assert (first.status_code, second.status_code) == (201, 200)
	node = control_plane.store.node("us-1")
	assert node is not None
	assert (node["region"], node["host"]) == ("eu", "two")
	assert second.json() == {"ok": True, "node": node}


@pytest.mark.parametrize(
	("field", "value"),
	[
		("node_id", None),
		("node_id", ""),
		("region", "SG"),
		("region", None),
		("region", []),
		("region", "de"),
		("host", ""),
		("host", 7),
	],
)
def test_a_wrong_node_is_a_400_that_names_its_field(client: Client, field: str, value: Any) -> None:
	body = {"node_id": "us-1", "region": "us", "host": "one"}

	wrong = client.call("POST", "/internal/nodes", json=body | {field: value})
	missing = client.call("POST", "/internal/nodes", json={key: body[key] for key in body if key != field})

	assert (wrong.status_code, wrong.json()["field"]) == (400, field)
	assert missing.json() == {"error": f"{field} is required", "field": field}


# Routes and methods


@pytest.mark.parametrize(
	("method", "path", "allowed"),
	[
		("GET", PUSH, "POST"),
		("PUT", PUSH, "POST"),
		("OPTIONS", PUSH, "POST"),
		("DELETE", "/internal/nodes", "GET, HEAD, POST"),
		("POST", "/internal/nodes/sg-1", "GET, HEAD"),
	],
)
def test_another_method_is_a_405_that_names_the_allowed_ones(
	client: Client, method: str, path: str, allowed: str
) -> None:
	answer = client.call(method, path)

	assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
	assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
	"path",
	[
		"/",
		"/healthz",
		"/internal",
		"/internal/",
		"/internal/server-metrics/",
		"/internal/nodes/",
		"/internally",
	],
)
def test_an_unknown_route_is_a_404(client: Client, path: str) -> None:
	answer = client.call("POST", path, json=FULL_PAYLOAD)

	assert (answer.status_code, answer.json()) == (404, {"error": "no such route"})


@pytest.mark.parametrize(
	"request_bytes",
	[b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n"],
)
def test_what_is_not_http_is_answered_in_json_without_repeating_it(
	control_plane: LocalControlPlane, request_bytes: bytes
) -> None:
	answer = raw_exchange(control_plane, request_bytes)

	assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
	assert b"nonsense" not in answer


def test_a_failing_store_is_a_500_in_json(client: Client, control_plane: LocalControlPlane) -> None:
	control_plane.store.close()

	answer = client.push(**FULL_PAYLOAD)

	assert answer.status_code == 500
	assert answer.json() == {"error": "the local control plane failed to answer"}


# Lines for the command line


def test_each_answer_is_one_line_without_query_control_characters_or_key(session: requests.Session) -> None:
	lines: list[str] = []
	with LocalControlPlane(KEY, on_request=lines.append) as control_plane:
		client = Client(session, control_plane)
		client.call("GET", "/internal/nodes?secret=1")
		client.call("GET", f"/internal/nodes/{KEY}")
		client.call("GET", f"/internal/nodes/%{ord(KEY[0]):x}{KEY[1:]}")
		client.call("GET", "/%1b[31m%0Ared")
		client.push(node_id="sg-1")
		raw_exchange(control_plane, b"nonsense\r\n\r\n")

	assert lines == [
		"GET /internal/nodes 200",
		"GET /internal/nodes/[key] 404",
		"GET /internal/nodes/[key] 404",
		"GET /\\x1b[31m\\x0ared 404",
		f"POST {PUSH} 404",
		"- - 400",
	]


def test_nothing_is_printed(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
	client.push(**FULL_PAYLOAD)
	client.call("GET", f"/internal/nodes/{KEY}")
	client.call("GET", "/", authorization=None)

	assert capfd.readouterr() == ("", "")


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
	with pytest.raises(RuntimeError, match="closed"):
		control_plane.start()


def test_closing_does_not_wait_for_an_idle_client() -> None:
	with LocalControlPlane(KEY) as control_plane:
		idle = socket.create_connection(("127.0.0.1", control_plane.port), timeout=5)
		with idle:
			idle.sendall(b"POST ")
			# A request later on shows that the idle one was accepted before.
			raw_exchange(control_plane, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			began = time.monotonic()
			control_plane.close()

			assert time.monotonic() - began < 2


def test_one_that_never_started_closes_too() -> None:
	control_plane = LocalControlPlane(KEY)
	port = control_plane.port
	control_plane.close()

	with LocalControlPlane(KEY, port=port):
		pass


def test_serving_in_the_foreground_ends_when_it_is_closed(session: requests.Session) -> None:
	control_plane = LocalControlPlane(KEY)
	foreground = threading.Thread(target=control_plane.serve_forever)
	foreground.start()
	try:
		assert Client(session, control_plane).call("GET", "/internal/nodes").status_code == 200
	finally:
		control_plane.close()
		foreground.join(5)
	assert not foreground.is_alive()


def test_a_taken_port_is_an_error_and_not_the_end_of_the_process(control_plane: LocalControlPlane) -> None:
	with pytest.raises(OSError, match="in use"):
		LocalControlPlane(KEY, port=control_plane.port)


@pytest.mark.parametrize(
	"host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "Localhost", "", "127.0.0.1.nip.io"]
)
def test_a_host_that_is_not_loopback_is_refused(host: str) -> None:
	with pytest.raises(ValueError, match="not a loopback address"):
		LocalControlPlane(KEY, host=host)


@pytest.mark.parametrize("key", ["", "two words", "käse", "line\n", "\x7f"])
def test_a_key_that_no_header_carries_is_refused_without_showing_it(key: str) -> None:
	with pytest.raises(ValueError, match="printable ASCII without spaces") as refusal:
		LocalControlPlane(key)
	assert not key or key not in str(refusal.value)


def test_localhost_is_the_ipv4_loopback_address() -> None:
	with LocalControlPlane(KEY, host="localhost") as control_plane:
		assert control_plane.url == f"http://127.0.0.1:{control_plane.port}"


def test_it_serves_the_ipv6_loopback_address(session: requests.Session) -> None:
	try:
		control_plane = LocalControlPlane(KEY, host="::1")
	except OSError:
		pytest.skip("no IPv6 here")
	with control_plane:
		assert control_plane.url == f"http://[::1]:{control_plane.port}"
		assert Client(session, control_plane).call("GET", "/internal/nodes").status_code == 200


# The store


def test_a_file_keeps_its_rows_from_one_server_to_the_next(tmp_path: Path, session: requests.Session) -> None:
	database = str(tmp_path / "control-plane.sqlite")
	with LocalControlPlane(KEY, database=database) as first:
		first.store.register_node("sg-1", "sg", "10.0.0.1")
		Client(session, first).push(**FULL_PAYLOAD)

	with LocalControlPlane(KEY, database=database, snapshots=False) as second:
		node = Client(session, second).call("GET", "/internal/nodes/sg-1").json()["node"]
		assert node["tenant_count"] == 42
		assert second.store.keeps_snapshots


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


def test_a_row_can_be_made_to_look_stale(client: Client, control_plane: LocalControlPlane) -> None:
	client.push(**FULL_PAYLOAD)
	control_plane.store.age_metrics("sg-1", "2026-01-01T00:00:00.000Z")

	node = client.call("GET", "/internal/nodes/sg-1").json()["node"]
	assert node["updated_at"] == "2026-01-01T00:00:00.000Z"
