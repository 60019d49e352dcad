"""Sentences that remember what they were made of, so that the Desk can show them in another language."""

from __future__ import annotations

import ast
import json
import string
from pathlib import Path

import prego_metrics
from prego_metrics.agent.base.messages import joined, message, translated

KOREAN = {"{count} tenants, {age}": "{age}, 테넌트 {count}개", "{seconds} s ago": "{seconds}초 전"}


def test_a_wording_is_its_english_text() -> None:
	sentence = message("{count} tenants, {age}", count=42, age=message("{seconds} s ago", seconds=41))
	assert sentence == "42 tenants, 41 s ago"
	assert json.dumps(sentence) == '"42 tenants, 41 s ago"'


def test_a_wording_is_translated_with_the_sentences_within_it() -> None:
	sentence = message("{count} tenants, {age}", count=42, age=message("{seconds} s ago", seconds=41))
	assert translated(sentence, KOREAN.__getitem__) == "41초 전, 테넌트 42개"


def test_values_are_shown_as_they_stand_whatever_they_hold() -> None:
	sentence = message("{words}", words="{count} {0} %s")
	assert sentence == "{count} {0} %s"
	assert translated(sentence, lambda template: template) == "{count} {0} %s"


def test_a_text_that_is_no_wording_stays() -> None:
	assert translated("{plain}", lambda template: "never") == "{plain}"
	assert translated(12.5, lambda template: "never") == "12.5"


def test_sentences_that_are_joined_are_translated_each_by_itself() -> None:
	sentence = joined([message("{seconds} s ago", seconds=41), "a {plain} text"])
	assert sentence == "41 s ago; a {plain} text"
	assert translated(sentence, lambda template: KOREAN.get(template, template)) == "41초 전; a {plain} text"


def test_every_template_is_a_literal_with_plain_names_in_it() -> None:
	"""A format in it, {seconds:.0f}, would fail on the texts that a translation is filled with."""
	found = 0
	for path in Path(prego_metrics.__file__).parent.rglob("*.py"):
		for call in ast.walk(ast.parse(path.read_text())):
			if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "message":
				found += 1
				(template,) = call.args
				assert isinstance(template, ast.Constant), f"{path}:{call.lineno}"
				fields = [field for field in string.Formatter().parse(template.value) if field[1] is not None]
				assert all(not spec and not conversion for _, _, spec, conversion in fields), template.value
				assert {name for _, name, _, _ in fields} == {keyword.arg for keyword in call.keywords}
	assert found > 50
