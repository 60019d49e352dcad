"""Which bodies are refused: wrong values, too large, badly framed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import FULL_PAYLOAD, PUSH, Client, head, raw_exchange

from prego_metrics.sandbox.server import LocalControlPlane

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

	assert answer == 413


def test_a_length_that_lies_hides_no_larger_body(control_plane: LocalControlPlane) -> None:
	chunks = b"".join(b"1000\r\n" + b" " * 4096 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"

	answer = raw_exchange(control_plane, head("Content-Length: 10", "Transfer-Encoding: chunked") + chunks)

	assert answer == 413


def test_no_more_than_the_announced_length_is_read(control_plane: LocalControlPlane) -> None:
	body = json.dumps(FULL_PAYLOAD).encode()

	answer = raw_exchange(control_plane, head(f"Content-Length: {len(body)}") + body + b"x" * 200_000)

	assert answer == 200


@pytest.mark.parametrize("length", ["-5", "many", ""])
def test_a_length_that_is_none_is_a_400(control_plane: LocalControlPlane, length: str) -> None:
	answer = raw_exchange(control_plane, head(f"Content-Length: {length}") + b'{"node_id": "sg-1"}')

	assert answer == 400


def test_a_badly_framed_chunk_is_a_400(control_plane: LocalControlPlane) -> None:
	answer = raw_exchange(control_plane, head("Transfer-Encoding: chunked") + b"not-hex\r\n{}\r\n0\r\n\r\n")

	assert answer == 400
