"""Sentences that remember what they were made of, so that the Desk can show them in another language."""

from __future__ import annotations

import json

from prego_metrics.agent.wording import translated, wording

KOREAN = {"{count} tenants, {age}": "{age}, 테넌트 {count}개", "{seconds} s ago": "{seconds}초 전"}


def test_a_wording_is_its_english_text() -> None:
	sentence = wording("{count} tenants, {age}", count=42, age=wording("{seconds} s ago", seconds=41))
	assert sentence == "42 tenants, 41 s ago"
	assert json.dumps(sentence) == '"42 tenants, 41 s ago"'


def test_a_wording_is_translated_with_the_sentences_within_it() -> None:
	sentence = wording("{count} tenants, {age}", count=42, age=wording("{seconds} s ago", seconds=41))
	assert translated(sentence, KOREAN.__getitem__) == "41초 전, 테넌트 42개"


def test_values_are_shown_as_they_stand_whatever_they_hold() -> None:
	sentence = wording("{words}", words="{count} {0} %s")
	assert sentence == "{count} {0} %s"
	assert translated(sentence, lambda template: template) == "{count} {0} %s"


def test_a_text_that_is_no_wording_stays() -> None:
	assert translated("{plain}", lambda template: "never") == "{plain}"
	assert translated(12.5, lambda template: "never") == "12.5"
