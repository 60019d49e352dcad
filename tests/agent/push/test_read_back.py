"""The row is read back: each time by a person's push, by a trigger's once after something changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_server import Behaviour, Exchange, HostileServer, answer
from pushing import KEY, aim, folder_of, kept, leaked, push_now, state_of

from prego_metrics.agent.base.messages import code_of, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.http.client import Answer, NoAnswer
from prego_metrics.agent.push.read_back import (
	RowRead,
	changed_mark,
	differences,
	lists_nodes,
	read_row,
	read_when_changed,
)
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.model import State
from prego_metrics.sandbox.server import LocalControlPlane

DELIVERED = answer(200, b'{"ok": true}')
UNSCHEDULED = Request(trigger="cron")
ROW = "GET /internal/nodes/node-1 200"


@pytest.fixture
def answers() -> list[str]:
	return []


@pytest.fixture
def plane(answers: list[str]) -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY, on_request=answers.append) as plane:
		plane.store.register_node("node-1", "sg", "10.0.0.1")
		yield plane


def row(status: int = 200, **members: Any) -> Behaviour:
	return answer(status, json.dumps(members).encode())


def ago(seconds: float) -> str:
	return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - seconds))


def pushed(bench: Path, *behaviours: Behaviour, request: Request | None = None) -> Result:
	with HostileServer(DELIVERED, *behaviours, rows=True) as server:
		return push_now(aim(bench, server.url), request)


@pytest.mark.parametrize(
	("behaviour", "code"),
	[
		(row(ok=True), "row_missing"),
		(answer(200, b""), "row_missing"),
		(answer(200, b"[]"), "row_missing"),
		(row(node_id="eu-9"), "other_node"),
		(row(ok=False, node_id="node-1"), "reported_failure"),
		(answer(200, b"<!doctype html>"), "not_the_api"),
		(answer(200, b"<!doctype html>", length=99), "not_the_api"),
		(answer(200, b'{"node_id": "eu-9",', length=99), "other_node"),
	],
)
@pytest.mark.parametrize("request_", [Request(), UNSCHEDULED], ids=["manual", "first scheduled"])
def test_a_row_that_is_not_this_nodes_is_no_delivery(
	bench: Path, behaviour: Behaviour, code: str, request_: Request
) -> None:
	result = pushed(bench, behaviour, request=request_)
	assert (result.outcome, result.error_code, result.exit_code) == ("refused", code, 1)
	assert state_of(bench).row_mark is None and state_of(bench).failures_in_a_row == 1


def test_a_404_beside_a_list_of_nodes_is_a_node_that_is_not_registered(bench: Path) -> None:
	result = pushed(bench, row(404, error="no"), answer(200, b'{"nodes": []}'))
	assert (result.outcome, result.error_code) == ("refused", "node_unknown")


@pytest.mark.parametrize(
	("behaviours", "final"),
	[
		([answer(404)], True),
		([answer(404), answer(200, b"<html>")], True),
		([answer(500)], False),
		([answer(403)], False),
		([Exchange.wait], False),
		([Exchange.reset], False),
		([answer(200, b'{"node', length=99)], False),
	],
	ids=["404", "a page", "500", "403", "silence", "reset", "half"],
)
def test_a_row_that_cannot_be_read_is_said_and_is_no_failure(
	bench: Path, behaviours: list[Behaviour], final: bool
) -> None:
	started = time.monotonic()
	result = pushed(bench, *behaviours)
	assert time.monotonic() - started < 4
	assert result.outcome == "delivered"
	assert code_of(result.warnings[-1]) == "row_unchecked"
	assert bool(state_of(bench).row_mark) is final


@pytest.mark.parametrize(
	("members", "codes"),
	[
		(lambda: {"node_id": "node-1", "updated_at": ago(0), "tenant_count": 3}, []),
		(lambda: {"ok": True, "node": {"node_id": "node-1", "tenant_count": None, "updated_at": None}}, []),
		(lambda: {"node_id": "node-1", "updated_at": ago(3 * 3600), "tenant_count": 3}, ["row_stale"]),
		(lambda: {"node_id": "node-1", "updated_at": ago(3 * 3600)}, ["row_stale"]),
		(
			lambda: {
				"node": {"node_id": "node-1", "updated_at": ago(9e6)},
				"metrics": {"updated_at": ago(1), "cpu_pct": 9e9},
			},
			["row_differs"],
		),
		(lambda: {"node_id": "node-1", "tenant_count": 2}, ["row_differs"]),
		(
			lambda: {"node_id": "node-1", "updated_at": int(time.time() * 1000), "tenant_count": 4},
			["row_differs"],
		),
		(lambda: {"node_id": "node-1", "updated_at": "soon", "tenant_count": True}, []),
	],
)
def test_an_old_row_and_other_figures_are_warnings(
	bench: Path, members: Callable[[], dict[str, Any]], codes: list[str]
) -> None:
	result = pushed(bench, row(**members()))
	assert result.outcome == "delivered"
	assert [code for w in result.warnings if (code := getattr(w, "code", "")).startswith("row_")] == codes


def test_a_row_that_is_cut_off_after_its_node_is_read(bench: Path) -> None:
	result = pushed(bench, answer(200, b'{"node_id": "node-1", "tenant_count": 9,', length=99))
	assert [code_of(warning) for warning in result.warnings][-1:] == ["row_differs"]
	assert state_of(bench).row_mark


@pytest.mark.parametrize(("status", "final"), [(200, True), (299, True), (300, False)])
def test_a_row_is_any_2xx_that_names_the_node(status: int, final: bool) -> None:
	key = Secret(KEY, "a test")
	with HostileServer(row(status, node_id="node-1"), rows=True) as server:
		found = read_row(server.url, key, {"node_id": "node-1"}, 4.0)
	assert (found.fault, found.final) == (None, final)


def test_what_is_no_row_of_this_node_s_is_asked_for_again() -> None:
	unknown = row(404, error="no"), answer(200, b"[]")
	for behaviours, code in ((unknown, "node_unknown"), ([row(node_id="eu-9")], "other_node")):
		with HostileServer(*behaviours, rows=True) as server:
			found = read_row(server.url, Secret(KEY, "a test"), {"node_id": "node-1"}, 4.0)
		assert (code_of(found.fault), found.warnings, found.final) == (code, (), False)


def test_a_row_for_which_no_time_is_left_is_one_that_did_not_come() -> None:
	with HostileServer(Exchange.wait, rows=True) as server:
		found = read_row(server.url, Secret(KEY, "a test"), {"node_id": "node-1"}, -1.0)
	(warning,) = found.warnings
	assert (found.fault, found.final, warning.code) == (None, False, "row_unchecked")
	assert code_of(warning.params["reason"]) == "no_answer"


@pytest.mark.parametrize(
	("status", "body", "lists"),
	[
		(200, b"[]", True),
		(200, b'{"nodes": []}', True),
		(200, b"null", False),
		(200, b"<html>", False),
		(201, b"[]", False),
		(404, b"[]", False),
	],
)
def test_a_list_of_nodes_is_a_200_with_json(status: int, body: bytes, lists: bool) -> None:
	assert lists_nodes(Answer(status, {}, body.decode())) is lists
	assert not lists_nodes(NoAnswer(coded("no_threads"), unclear=False))


@pytest.mark.parametrize(
	("left", "always", "changed", "reads", "marks"),
	[
		(0.3, True, True, 1, True),
		(0.29, True, True, 0, False),
		(0.0, True, True, 0, False),
		(9.0, False, True, 1, True),
		(9.0, False, False, 0, True),
		(9.0, True, False, 1, True),
		(0.29, True, False, 0, True),
	],
)
def test_a_row_is_read_where_it_must_be_and_time_is_left(
	left: float, always: bool, changed: bool, reads: int, marks: bool
) -> None:
	key = Secret(KEY, "a test")
	with HostileServer(row(node_id="node-1"), rows=True) as server:
		before = None if changed else changed_mark(None, server.url, "node-1", key)
		payload = {"node_id": "node-1"}
		found, mark = read_when_changed(server.url, key, payload, before, always, lambda: left)
		assert server.connections == reads
		assert (found == RowRead(None, (), True)) is bool(reads)
		assert changed_mark(mark, server.url, "node-1", key) is None if marks else mark is None
		assert before is None or mark == before


def test_a_row_that_comes_slowly_is_read_within_its_time(bench: Path) -> None:
	def slowly(exchange: Exchange) -> None:
		time.sleep(0.2)
		row(node_id="node-1")(exchange)

	result = pushed(bench, slowly)
	assert "row_unchecked" not in [getattr(warning, "code", None) for warning in result.warnings]
	assert state_of(bench).row_mark


def at(moment: float) -> str:
	return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment))


@pytest.mark.parametrize(
	("age", "delivered_ago", "count", "codes"),
	[
		(120, 0, 3, []),
		(121, 0, 3, ["row_stale"]),
		(121, 0, 4, ["row_stale"]),
		(220, 100, 3, []),
		(221, 100, 3, ["row_stale"]),
		(100, 100, 4, ["row_differs"]),
		(99, 100, 4, []),
		(0, 0, 3, []),
		(0, 0, 4, ["row_differs"]),
	],
)
@pytest.mark.parametrize("clock_off", [0, -7200, 7200])
def test_a_rows_age_is_measured_by_the_clock_of_the_control_plane(
	age: float, delivered_ago: float, count: int, codes: list[str], clock_off: float
) -> None:
	now = int(time.time())
	members = {"node_id": "node-1", "updated_at": at(now + clock_off - age), "tenant_count": count}
	date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now + clock_off))
	answered = Answer(200, {"date": date}, json.dumps(members))
	sent = {"node_id": "node-1", "tenant_count": 3}
	found = differences(answered, sent, time.time() - delivered_ago)
	assert [warning.code for warning in found] == codes


@pytest.mark.parametrize(
	("sent", "found", "differs"),
	[
		(3, 3, False),
		(12.5, 12.49, False),
		(12.5, 12, False),
		(0, 0.51, False),
		(0, 0.52, True),
		(0, -0.52, True),
		(3, "3", False),
		(3, None, False),
		(1, True, False),
		(None, 3, False),
	],
)
@pytest.mark.parametrize("name", ["tenant_count", "cpu_pct", "memory_pct", "disk_pct"])
def test_a_figure_differs_by_more_than_rounding(
	name: str, sent: object, found: object, differs: bool
) -> None:
	answered = Answer(200, {}, json.dumps({"node_id": "node-1", "x": 1, name: found}))
	warnings = differences(answered, {"node_id": "node-1", name: sent}, time.time())
	expected = {"field": name, "found": found, "sent": sent}
	assert [warning.params for warning in warnings] == ([expected] if differs else [])


def test_only_a_changed_url_node_id_or_key_is_read_back_by_a_trigger(
	bench: Path, plane: LocalControlPlane, answers: list[str]
) -> None:
	def reads(request: Request = UNSCHEDULED, **settings: Any) -> int:
		answers.clear()
		aim(bench, **{"url": plane.url, **settings})
		assert push_now(bench, request).outcome == "delivered"
		return len(answers) - 1

	assert [reads(), reads(), reads()] == [1, 0, 0]
	assert [reads(request=Request()), reads(request=Request()), reads()] == [1, 1, 0]
	plane.store.register_node("node-2", "sg", "10.0.0.2")
	assert [reads(node_id="node-2"), reads(node_id="node-2")] == [1, 0]
	other = plane.url.replace("127.0.0.1", "localhost")
	assert [reads(url=other), reads(url=other)] == [1, 0]


def test_a_changed_key_is_read_back_and_the_mark_holds_nothing_of_it(bench: Path) -> None:
	with HostileServer(
		lambda exchange: (DELIVERED if exchange.request.startswith(b"POST") else row(node_id="node-1"))(
			exchange
		),
		rows=True,
	) as server:
		aim(bench, server.url)

		def reads(key: str) -> int:
			before = server.connections
			assert push_now(bench, UNSCHEDULED, INTERNAL_API_KEY=key).outcome == "delivered"
			return server.connections - before - 1

		assert [reads(KEY), reads(KEY)] == [1, 0]
		# Eight bits tell one key of 256 from none.
		assert any([reads(f"another-key-{number}-0123456789") for number in range(3)])
	mark = state_of(bench).row_mark
	assert mark is not None and len(mark) == 16 + 1 + 32 + 1 + 2
	assert not leaked(kept(bench))


def test_a_mark_that_is_not_ours_is_read_back_again(
	bench: Path, plane: LocalControlPlane, answers: list[str]
) -> None:
	aim(bench, plane.url)
	folder_of(bench).write(State(row_mark="x" * 40))
	push_now(bench, UNSCHEDULED)
	assert answers[-1] == ROW and len(state_of(bench).row_mark or "") == 52
