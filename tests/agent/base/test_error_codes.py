"""The catalog of error codes, and sentences that are stored by code and made again."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prego_metrics
from prego_metrics.agent.base.error_codes import ERRORS, TEMPLATES
from prego_metrics.agent.base.error_parts import PARTS
from prego_metrics.agent.base.errors import ConfigurationError, ExportError, PregoMetricsError, Problem
from prego_metrics.agent.base.messages import Message, coded, message, params_as_json, restore, translated

NESTED = coded(
	"settings_invalid",
	problems=[
		coded("setting_missing", setting="node_id", variable="PREGO_METRICS_NODE_ID"),
		coded("rate_limited", answer=coded("answer_says", status_code=429, words="slow down")),
	],
)


def stored(sentence: Message) -> tuple[str, object, str]:
	return sentence.code, json.loads(json.dumps(params_as_json(sentence))), str(sentence)


def placeholders(template: str) -> list[tuple[str | None, str | None, str | None]]:
	return [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(template)]


def test_codes_are_short_snake_case_and_name_one_template_each() -> None:
	assert not ERRORS.keys() & PARTS.keys()
	assert [code for code in TEMPLATES if not re.fullmatch("[a-z][a-z0-9_]{2,39}", code)] == []
	for code, template in TEMPLATES.items():
		names = [name for name, _, _ in placeholders(template) if name is not None]
		assert all(name.isidentifier() for name in names), code
		assert all(not spec and not conversion for _, spec, conversion in placeholders(template)), code


def test_every_call_names_a_code_of_the_catalog_and_gives_its_parameters() -> None:
	calls = 0
	for path in Path(prego_metrics.__file__).parent.rglob("*.py"):
		for call in ast.walk(ast.parse(path.read_text())):
			if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "coded":
				code = call.args[0]
				if not isinstance(code, ast.Constant):
					continue  # a code that is passed on, with the parameters of its own template
				calls += 1
				where = f"{path}:{call.lineno}"
				given_names = {keyword.arg for keyword in call.keywords}
				assert code.value in TEMPLATES, where
				wanted = {name for name, _, _ in placeholders(TEMPLATES[code.value])} - {None}
				assert None in given_names or wanted == given_names, where
	assert calls


def test_a_coded_sentence_has_its_code_its_parameters_and_english() -> None:
	sentence = coded("no_connection", url="https://control.example", reason="refused")
	assert sentence.code == "no_connection"
	assert sentence.params == {"url": "https://control.example", "reason": "refused"}
	assert sentence == "no connection to https://control.example: refused"


def test_a_list_of_sentences_is_shown_a_line_each_and_translated_each() -> None:
	first, second = NESTED.split("\n")
	assert first.startswith("node_id is not set") and second.endswith("HTTP 429: slow down)")
	assert translated(NESTED, lambda template: f"<{template}>").count("<") == 4


@pytest.mark.parametrize(
	"sentence",
	[
		NESTED,
		coded("no_answer", url="https://a", seconds=2.5),
		coded("unexpected", error="a\\x1b[2J b"),
		coded("key_refused", answer=403),
	],
)
def test_what_was_stored_by_code_is_the_same_sentence_again(sentence: Message) -> None:
	again = restore(*stored(sentence))
	assert (again, again.code, again.template) == (sentence, sentence.code, sentence.template)
	assert translated(again, str.upper) == translated(sentence, str.upper)


def test_a_part_without_a_code_is_stored_as_its_english() -> None:
	sentence = coded("no_connection", url="u", reason=message("{seconds} s ago", seconds=3))
	assert params_as_json(sentence) == {"url": "u", "reason": "3 s ago"}


DEEP: dict[str, object] = {"code": "no_answer", "params": {"url": "u", "seconds": 1}}
for _ in range(10):
	DEEP = {"code": "key_refused", "params": {"answer": DEEP}}


@pytest.mark.parametrize(
	("code", "params"),
	[
		("a_code_of_a_newer_version", {"reason": "x"}),
		("no_connection", None),
		("no_connection", 3),
		("no_connection", {"reason": "x"}),
		("no_connection", {"reason": "x", "url": "y", "more": 1}),
		("no_connection", {"reason": "\x1b[2J", "url": "y"}),
		("no_connection", {"reason": "x", "url": "\u202egnp"}),
		("no_connection", {"reason": "x" * 3000, "url": "y"}),
		("no_connection", {"reason": "x" * 1999, "url": "y" * 1999}),
		("no_connection", {"reason": {"code": "nothing", "params": {}}, "url": "y"}),
		("no_connection", {"reason": {"code": 3, "params": {}}, "url": "y"}),
		("no_connection", {"reason": [["x"]], "url": "y"}),
		("no_connection", {"reason": ["x"] * 101, "url": "y"}),
		("no_connection", {"reason": 10**30, "url": "y"}),
		("key_refused", {"answer": DEEP}),
	],
	ids=range(15),
)
def test_what_does_not_fit_stays_the_stored_english_and_keeps_its_code(code: str, params: object) -> None:
	sentence = restore(code, params, "as it was stored")
	assert (sentence, sentence.code) == ("as it was stored", code)
	assert translated(sentence, str.upper) == "as it was stored"


json_values = st.recursive(
	st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
	lambda inner: (
		st.lists(inner, max_size=3)
		| st.dictionaries(st.sampled_from(["code", "params", "url", "reason", "answer"]), inner, max_size=3)
	),
)


@given(st.sampled_from(sorted(TEMPLATES)) | st.text(max_size=10), json_values)
def test_restoring_never_raises_whatever_was_stored(code: str, params: object) -> None:
	sentence = restore(code, params, "text")
	assert sentence.code in (code, "") and len(sentence) <= 2000
	assert sentence.code.isidentifier() or not sentence.code
	translated(sentence, lambda template: template)


def test_an_error_has_a_code_that_of_its_class_where_its_text_has_none() -> None:
	assert PregoMetricsError(coded("no_site", folder="/b")).code == "no_site"
	assert ExportError("rows.json", "is empty").code == "export_invalid"
	assert str(ExportError("rows.json", "is empty")) == "rows.json is empty"


def test_one_problem_of_the_settings_is_the_error_and_several_are_a_list() -> None:
	first = Problem("node_id", coded("setting_missing", setting="node_id", variable="X"))
	second = Problem("", coded("settings_conflict", first="a", second="b"))
	assert ConfigurationError([first]).code == "setting_missing"
	assert ConfigurationError([first, second]).code == "settings_invalid"
	assert str(ConfigurationError([first, second])) == f"{first.message}\n{second.message}"
