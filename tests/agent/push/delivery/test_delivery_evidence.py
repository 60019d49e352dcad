"""A 2xx is a delivery only if nothing in it says otherwise."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from delivering import deliver
from hostile_server import Behaviour, HostileServer, echo
from pushing import KEY, aim, kept, leaked, push_now

PAGE = (
	b'<!DOCTYPE html><html><head><title>The &amp; App</title></head><body><div id="root"></div></body></html>'
)
FAILURE: dict[str, Any] = {"success": False, "errors": [{"code": 7003, "message": "no such node"}]}


def answers(status: int, body: bytes, kind: str | None, *headers: str) -> Behaviour:
	kinds = (f"Content-Type: {kind}",) if kind else ()
	lines = (f"HTTP/1.1 {status} Whatever", *kinds, *headers, f"Content-Length: {len(body)}", "", "")
	return lambda exchange: exchange.send("\r\n".join(lines).encode() + body)


def says(body: object, status: int = 200) -> Behaviour:
	return answers(status, json.dumps(body).encode(), "application/json")


NOT_DELIVERED = {
	"a page by its type": (answers(200, PAGE, "text/html; charset=utf-8"), "not_the_api"),
	"a page by its type, unlike any page": (answers(200, b"Welcome", "TEXT/HTML"), "not_the_api"),
	"a page as XHTML": (answers(200, b"<?xml version='1.0'?>", "application/xhtml+xml"), "not_the_api"),
	"a page without a type": (answers(200, PAGE, None), "not_the_api"),
	"a page called JSON": (answers(201, PAGE, "application/json"), "not_the_api"),
	"a page after a comment": (answers(200, b"\xef\xbb\xbf\n<!-- x --> <HTML>", "text/plain"), "not_the_api"),
	"a fragment of a page": (answers(200, b"<script>top.location='/login'</script>", None), "not_the_api"),
	"success false": (says(FAILURE), "reported_failure"),
	"success 0": (says({"success": 0}), "reported_failure"),
	"ok false": (says({"ok": False}), "reported_failure"),
	"ok false, called HTML": (answers(200, b'{"ok": false}', "text/html"), "reported_failure"),
	"an error": (says({"error": "node not found"}, 201), "reported_failure"),
	"an error beside ok": (says({"ok": True, "error": {"code": 1}}), "reported_failure"),
	"errors": (says({"errors": ["D1 is down"]}, 202), "reported_failure"),
	"a failure longer than is read": (says({"ok": False, "trace": "x" * 9000}), "reported_failure"),
	"a failure after 3 KiB": (answers(200, b" " * 3000 + b'{"ok":false}', None), "reported_failure"),
	"another node": (says({"ok": True, "node_id": "eu-9"}), "other_node"),
	"another node, within": (says({"ok": True, "node": {"node_id": "node-10"}}), "other_node"),
}


@pytest.mark.parametrize(("behaviour", "code"), NOT_DELIVERED.values(), ids=NOT_DELIVERED)
def test_a_2xx_that_speaks_against_itself_is_refused_and_not_tried_again(
	behaviour: Behaviour, code: str
) -> None:
	with HostileServer(behaviour) as server:
		result = deliver(server.url)
	assert result.error is not None
	assert (result.outcome, result.error.code, result.attempts) == ("refused", code, 1)
	assert result.status_code in (200, 201, 202) and not result.snapshot_taken


DELIVERED = {
	"ok": says({"ok": True, "node_id": "node-1"}),
	"empty errors": says({"success": True, "errors": [], "error": None, "messages": []}),
	"nothing": answers(200, b"", None),
	"nothing, called HTML": answers(200, b"", "text/html"),
	"204": answers(204, b"", None),
	"a list": says([{"ok": False}]),
	"a number": says(0),
	"null": says(None),
	"plain text": answers(200, b"OK", "text/plain"),
	"plain text with an angle bracket": answers(200, b"<3 pushes today", "text/plain"),
	"JSON that is called HTML": answers(200, b'{"ok": true}', "text/html"),
	"several nodes, this one among them": says({"nodes": [{"node_id": "eu-9"}, {"node_id": "node-1"}]}),
	"an error far down": says({"ok": True, "node": {"node_id": "node-1", "error": "of yesterday"}}),
	"an object that never ends": lambda exchange: exchange.send(
		b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"ok": true, "nod'
	),
	"nested too deeply": answers(200, b'{"a":' * 4000, "application/json"),
}


@pytest.mark.parametrize("behaviour", DELIVERED.values(), ids=DELIVERED)
def test_any_other_2xx_is_delivered(behaviour: Behaviour) -> None:
	with HostileServer(behaviour) as server:
		assert deliver(server.url).outcome == "delivered"


def test_an_answer_just_in_time_is_not_lost_while_its_body_is_waited_for() -> None:
	def behave(exchange: Any) -> None:
		time.sleep(0.5)
		exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
		exchange.wait()

	with HostileServer(behave) as server:
		began = time.monotonic()
		assert deliver(server.url, attempt_seconds=1.0, deadline_seconds=1.0).outcome == "delivered"
	assert time.monotonic() - began < 1.0


def test_the_servers_words_are_kept_and_of_a_page_its_title() -> None:
	with HostileServer(says(FAILURE), answers(200, PAGE, "text/html")) as server:
		failed, page = deliver(server.url), deliver(server.url)
	assert failed.error and page.error
	assert "no such node" in failed.error.params["answer"].params["words"]
	assert page.error.params["answer"].params["words"] == "The & App"


@pytest.mark.parametrize("repeat", [echo(200, str), says({"error": f"wrong key {KEY}"})])
def test_a_2xx_that_repeats_the_key_shows_nothing_of_it(bench: Path, repeat: Behaviour) -> None:
	with HostileServer(repeat) as server:
		result = push_now(aim(bench, server.url))
	assert result.error_code == "reported_failure"
	assert not leaked(kept(bench) + repr(result) + json.dumps(result.as_dict()))


def test_no_heartbeat_follows_a_web_page_and_a_heartbeat_that_is_one_has_failed(bench: Path) -> None:
	page = answers(200, PAGE, "text/html")
	with HostileServer(page) as switch, HostileServer(page, says({"ok": True})) as server:
		aim(bench, server.url, heartbeat_url=switch.url + "/0aa1-a-secret-path")
		assert push_now(bench).outcome == "refused" and switch.connections == 0
		result = push_now(bench)
	assert (result.outcome, switch.connections) == ("delivered", 1)
	assert result.warnings[-1].code == "heartbeat_failed"
