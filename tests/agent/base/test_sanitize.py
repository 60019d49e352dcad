"""Whatever a text holds, what is shown of it is plain, and says exactly what it holds."""

from __future__ import annotations

import unicodedata

import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st

from prego_metrics.agent.base.sanitize import sanitize


@pytest.mark.parametrize(
	("text", "shown"),
	[
		("acme.example", "acme.example"),
		("", ""),
		("two words", "two words"),
		("한국상사.example", "한국상사.example"),
		("naïve-ß-日本", "naïve-ß-日本"),
		("red\x1b[31m", "red\\x1b[31m"),
		("line\nfeed\ttab\r", "line\\x0afeed\\x09tab\\x0d"),
		("\x7f", "\\x7f"),
		("back\\slash", "back\\\\slash"),
		("gpj\u202eexe", "gpj\\u202eexe"),
		("a\u2066b\u2069", "a\\u2066b\\u2069"),
		("zero\u200bwidth", "zero\\u200bwidth"),
		("\ufeffbom", "\\ufeffbom"),
		("a\u2028b\u2029", "a\\u2028b\\u2029"),
		("no\xa0break", "no\\u00a0break"),
		("soft\xadhyphen", "soft\\u00adhyphen"),
		("\x85", "\\u0085"),
		("\udc85", "\\x85"),
		("\ue000", "\\ue000"),
		("\U000e0041", "\\U000e0041"),
		("\ud800", "\\ud800"),
		("\u3164", "\\u3164"),
		("\u115f\u1160\uffa0", "\\u115f\\u1160\\uffa0"),
		("\u2800", "\\u2800"),
		("a\ufe0fb\u034f", "a\\ufe0fb\\u034f"),
	],
)
def test_what_a_terminal_would_obey_or_hide_is_written_as_an_escape(text: str, shown: str) -> None:
	assert sanitize(text) == shown


def test_an_undecodable_byte_does_not_look_like_the_character_of_the_same_number() -> None:
	assert sanitize(b"\x9b".decode("utf-8", "surrogateescape")) != sanitize("\x9b")


def test_a_cut_text_ends_with_an_ellipsis_and_is_never_longer_than_its_limit() -> None:
	assert sanitize("x" * 20, 20) == "x" * 20
	assert sanitize("x" * 21, 20) == "x" * 19 + "…"
	assert sanitize("\x1b" * 6, 20) == "\\x1b" * 4 + "\\x1…"
	assert sanitize("abc", 1) == "…"


@given(strategies.hostile_texts)
@example("\u180e\u061c\u17b4")
def test_whatever_is_shown_is_printable_and_survives_any_encoding_of_a_terminal(text: str) -> None:
	shown = sanitize(text)
	assert shown.isprintable()
	shown.encode("utf-8")
	assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(strategies.hostile_texts, strategies.hostile_texts)
@example("\x80", "\udc80")
@example("\\x1b", "\x1b")
@example("\\", "\\\\")
@example("\x1b", "\\x1b")
@example("\U000e0041", "\\U000e0041")
def test_two_different_texts_never_look_alike(one: str, other: str) -> None:
	assert (sanitize(one) == sanitize(other)) == (one == other)


@given(strategies.hostile_texts)
def test_the_shown_text_says_exactly_what_was_there(text: str) -> None:
	assert read_back(sanitize(text)) == text


@given(strategies.hostile_texts, st.integers(1, 40))
def test_a_limit_holds_and_cuts_only_what_is_longer(text: str, limit: int) -> None:
	whole, cut = sanitize(text), sanitize(text, limit)
	assert len(cut) <= limit
	assert cut == whole if len(whole) <= limit else cut == whole[: limit - 1] + "…"


def read_back(shown: str) -> str:
	"""Undo the escapes, by a grammar of its own: \\\\, \\xHH a byte or ASCII, \\uHHHH, \\UHHHHHHHH."""
	text, position = "", 0
	while position < len(shown):
		if shown[position] != "\\":
			text, position = text + shown[position], position + 1
			continue
		kind = shown[position + 1]
		if kind == "\\":
			text, position = text + "\\", position + 2
			continue
		digits = {"x": 2, "u": 4, "U": 8}[kind]
		code = int(shown[position + 2 : position + 2 + digits], 16)
		text += chr(code + 0xDC00 if kind == "x" and code >= 0x80 else code)
		position += 2 + digits
	return text
