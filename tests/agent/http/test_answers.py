"""What an answer means, for each status code and each kind of body; and what of it is shown."""

from __future__ import annotations

import pytest
from pushing import KEY

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.http.answers import (
	content_of,
	error_code,
	fault_in,
	is_html,
	node_ids_in,
	objects_in,
	summary_of,
)
from prego_metrics.agent.http.client import Answer

SECRET = Secret(KEY, "a test")
PAGE = "<!doctype html><title> A &amp;\n B </title>"


@pytest.mark.parametrize(
	("status_code", "code"),
	[
		(100, "payload_refused"),
		(299, "payload_refused"),
		(300, "redirected"),
		(304, "redirected"),
		(399, "redirected"),
		(400, "payload_refused"),
		(401, "key_refused"),
		(402, "payload_refused"),
		(403, "key_refused"),
		(404, "node_unknown"),
		(407, "proxy_refused"),
		(408, "server_error"),
		(429, "rate_limited"),
		(499, "payload_refused"),
		(500, "server_error"),
		(599, "server_error"),
		(600, "payload_refused"),
	],
)
def test_each_status_code_has_its_code(status_code: int, code: str) -> None:
	assert error_code(Answer(status_code, {}, '{"error": "no"}')) == code


@pytest.mark.parametrize(
	("status_code", "page", "edge", "mitigated"),
	[
		(401, "edge_refused", "edge_refused", "edge_refused"),
		(403, "edge_refused", "edge_refused", "edge_refused"),
		(405, "edge_refused", "edge_refused", "edge_refused"),
		(404, "node_unknown", "node_unknown", "node_unknown"),
		(429, "rate_limited", "rate_limited", "rate_limited"),
		(503, "server_error", "server_error", "edge_refused"),
		(302, "redirected", "redirected", "redirected"),
	],
)
def test_what_no_api_says_is_the_edges(status_code: int, page: str, edge: str, mitigated: str) -> None:
	assert error_code(Answer(status_code, {}, PAGE)) == page
	assert error_code(Answer(status_code, {}, "error code: 1010")) == edge
	assert error_code(Answer(status_code, {"cf-mitigated": "challenge"}, "")) == mitigated


@pytest.mark.parametrize(
	("body", "code"),
	[
		("error code: 1020\n", "edge_refused"),
		(" Error 1010", "edge_refused"),
		("error code: 10201", "key_refused"),
		("error code: 2020", "key_refused"),
		("the error code: 1020", "key_refused"),
	],
)
def test_the_edges_numbers_are_four_digits_and_come_first(body: str, code: str) -> None:
	assert error_code(Answer(403, {}, body)) == code


@pytest.mark.parametrize(
	("location", "code", "place"),
	[
		("https://plane.example/elsewhere?token=1", "redirected", "plane.example"),
		("https://me:pw@plane.example/x", "redirected", "plane.example"),
		("/elsewhere?token=1", "redirected", "/elsewhere"),
		("https://team.cloudflareaccess.com/x", "login_required", "team.cloudflareaccess.com"),
		("//plane.example/auth/sign-in", "login_required", "plane.example"),
		("https://plane.example/loginpage", "redirected", "plane.example"),
		("/login", "redirected", "/login"),
		("http://[", "redirected", ""),
		("", "redirected", ""),
	],
)
def test_a_redirect_names_where_it_leads_and_no_more(location: str, code: str, place: str) -> None:
	fault = fault_in(Answer(302, {"location": location}, ""), SECRET)
	assert fault is not None and fault.code == code
	if code == "login_required":
		assert fault.params == {"host": place, "answer": 302}
	elif place:
		leads = coded("answer_leads_to", answer=302, place=place)
		assert (fault.params["answer"], fault.params["answer"].code) == (leads, leads.code)
	else:
		assert fault.params == {"answer": 302}


@pytest.mark.parametrize("status_code", [403, 404, 503])
def test_only_a_redirect_says_where_it_leads(status_code: int) -> None:
	fault = fault_in(Answer(status_code, {"location": "/elsewhere"}, ""), SECRET)
	assert fault is not None and fault.params == {"answer": status_code}


def test_where_a_redirect_leads_is_cut_at_200_characters() -> None:
	fault = fault_in(Answer(302, {"location": "/" + "x" * 300}, ""), SECRET)
	assert fault is not None and isinstance(fault.params["answer"], Message)
	assert len(str(fault.params["answer"].params["place"])) == 200


@pytest.mark.parametrize(
	("body", "code"),
	[
		("", None),
		("OK", None),
		("{}", None),
		("[]", None),
		('{"ok": true, "node_id": "node-1"}', None),
		('{"ok": null, "success": null}', None),
		('{"ok": false}', "reported_failure"),
		('{"ok": 0}', "reported_failure"),
		('{"success": "False"}', "reported_failure"),
		('{"ok": true, "success": false}', "reported_failure"),
		('{"ok": true, "error": "disk"}', "reported_failure"),
		('{"errors": [1]}', "reported_failure"),
		('{"error": "", "errors": []}', None),
		('{"nodes": [{"node_id": "node-2"}]}', "other_node"),
		('[{"node_id": "node-2"}]', "other_node"),
		('[{"node_id": "node-2"}, {"node_id": "node-1"}]', None),
		('{"nodes": [{"node_id": "node-2"}, {"node_id": "node-1"}]}', None),
		('{"node_id": 1}', None),
		(PAGE, "not_the_api"),
	],
)
@pytest.mark.parametrize("status_code", [200, 299])
def test_a_success_is_one_unless_its_body_says_otherwise(
	status_code: int, body: str, code: str | None
) -> None:
	fault = fault_in(Answer(status_code, {}, body), SECRET, "node-1")
	assert (fault.code if fault else None) == code
	if code != "other_node":
		assert fault_in(Answer(status_code, {}, body), SECRET) == fault
	else:
		assert fault_in(Answer(status_code, {}, body), SECRET) is None


@pytest.mark.parametrize("status_code", [199, 300])
def test_what_is_no_2xx_is_no_success(status_code: int) -> None:
	assert fault_in(Answer(status_code, {}, "{}"), SECRET) is not None


@pytest.mark.parametrize(
	("body", "broken", "shown"),
	[
		("", None, 400),
		("no such node", None, coded("answer_says", status_code=400, words="no such node")),
		(PAGE, None, coded("answer_says", status_code=400, words="A & B")),
		("<html>", None, 400),
		("", coded("answer_compressed", coding="br"), "compressed"),
		(
			"words",
			coded("answer_compressed", coding="br"),
			coded("answer_says", status_code=400, words="words"),
		),
		("", coded("no_answer", url="https://x", seconds=1.0), 400),
		("", coded("no_connection", url="https://x", reason="reset"), 400),
		("", coded("tls_failed", url="https://x", reason="reset"), 400),
	],
)
def test_of_an_answer_its_words_are_shown(body: str, broken: object, shown: object) -> None:
	answer = Answer(400, {}, body, broken)  # type: ignore[arg-type]
	if shown == "compressed":
		shown = coded("answer_says", status_code=400, words=broken)
	assert summary_of(answer, SECRET) == shown
	assert KEY not in str(summary_of(Answer(400, {}, KEY), SECRET))


@pytest.mark.parametrize(
	("body", "kind", "broken", "html"),
	[
		(PAGE, "", False, True),
		(PAGE, "application/json", False, True),
		(" <!-- x --> <?xml?> <html", "", False, True),
		("<h1>", "", False, True),
		("<h7>", "", False, False),
		("text", "text/html; charset=utf-8", False, True),
		("text", " Application/XHTML+XML ", False, True),
		("text", "text/plain", False, False),
		("text", "", False, False),
		('{"ok": true}', "text/html", False, False),
		(" ", "text/html", False, False),
		("", "text/html", True, True),
		("", "text/plain", True, False),
	],
)
def test_a_web_page_is_known_by_its_content_or_its_type(
	body: str, kind: str, broken: bool, html: bool
) -> None:
	reason = coded("no_answer", url="https://x", seconds=1.0) if broken else None
	assert is_html(Answer(200, {"content-type": kind}, body, reason)) is html


@pytest.mark.parametrize(
	("body", "content"),
	[
		('{"a": 1}', {"a": 1}),
		('\ufeff \r\n\t{"a": 1}', {"a": 1}),
		('{"a": "line\nline"}', {"a": "line\nline"}),
		("[1]", [1]),
		("null", None),
		("no", None),
		("", None),
		('{"a": 1, "b": [1, 2', {"a": 1}),
		('{"a\\"b": {"c": 1} , "d" : "x", "e"', {'a"b': {"c": 1}, "d": "x"}),
		('{"a": "line\nline", "b', {"a": "line\nline"}),
		('{"a": 1} rest', {"a": 1}),
		("[" * 100_000, {}),
		('{"ok": false, "a": ' + "[" * 100_000, {"ok": False}),
	],
)
def test_of_json_that_is_cut_off_the_members_that_came_count(body: str, content: object) -> None:
	assert content_of(body) == content


def test_every_object_is_found_outermost_first() -> None:
	value = {"node_id": "a", "x": [{"node_id": "b", "y": {"node_id": 7}}, 1], "z": {"node_id": "c"}}
	assert list(objects_in(value)) == [value, value["z"], value["x"][0], {"node_id": 7}]  # type: ignore[index]
	assert node_ids_in(value) == {"a", "b", "c"}
	inner = {"c": {}}
	beside: dict[str, object] = {}
	outer = {"a": {"b": inner}, "d": beside}
	assert list(objects_in(outer)) == [outer, outer["a"], beside, inner, inner["c"]]
	assert node_ids_in("node_id") == set()
