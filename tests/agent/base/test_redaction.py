"""A text that echoes eight characters of a secret, in whatever notation, is not shown at all."""

from __future__ import annotations

import base64
import html
import json
import time
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prego_metrics.agent.base.redaction import PART_CHARACTERS, WITHHELD, Secret

KEY = "Zx9-key+with/every=kind.of_sign~0123456789"

keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)
words = st.text(max_size=30)


def every_notation(key: str) -> dict[str, str]:
	as_json = json.dumps(key)[1:-1]
	quoted = urllib.parse.quote(key, safe="")
	return {
		"as it is": key,
		"in JSON": as_json,
		"in JSON with escaped slashes, as PHP writes it": as_json.replace("/", "\\/"),
		"in JSON safe in HTML, as Go and Rails write it": as_json.replace("&", "\\u0026")
		.replace("<", "\\u003c")
		.replace(">", "\\u003e"),
		"in JSON as .NET writes it": "".join(
			f"\\u{ord(c):04X}" if c in "\"&'+<>`" else "\\\\" if c == "\\" else c for c in key
		),
		"in HTML": html.escape(key),
		"in HTML without quotes": html.escape(key, quote=False),
		"in HTML as Go writes it": key.replace("&", "&amp;")
		.replace("'", "&#39;")
		.replace('"', "&#34;")
		.replace("<", "&lt;")
		.replace(">", "&gt;"),
		"in HTML as templates of JavaScript write it": "".join(
			{
				"&": "&amp;",
				"<": "&lt;",
				">": "&gt;",
				'"': "&quot;",
				"'": "&#39;",
				"/": "&#x2F;",
				"`": "&#x60;",
				"=": "&#x3D;",
			}.get(c, c)
			for c in key
		),
		"in a URL": quoted,
		"in a URL with its slashes": urllib.parse.quote(key),
		"in a URL with small letters": "".join(
			c if c.isalnum() or c in "-._~" else f"%{ord(c):02x}" for c in key
		),
		"in a Python error": repr(key)[1:-1],
		"in base64": base64.b64encode(key.encode()).decode(),
		"in base64 for URLs": base64.urlsafe_b64encode(key.encode()).decode(),
		"in hex": key.encode().hex(),
		"in hex with capitals, in pairs": key.encode().hex(" ").upper(),
	}


def every_disguise(key: str) -> dict[str, str]:
	return {
		"in small letters": key.lower(),
		"in capitals": key.upper(),
		"in a URL in small letters": urllib.parse.quote(key, safe="").lower(),
		"backwards": key[::-1],
		"backwards in base64": base64.b64encode(key[::-1].encode()).decode(),
		"with spaces": " ".join(key),
		"with dots": ".".join(key),
		"with characters without width": "\u200b".join(key),
		"with line ends": "\r\n".join(key),
		"in tags": "".join(f"<b>{character}</b>" for character in key),
		"between tags": "<wbr/>".join(key[start : start + 4] for start in range(0, len(key), 4)),
		"in colours of a terminal": "\x1b[0m".join(key),
	}


def excerpt(text: str, key: str = KEY) -> str:
	return Secret(key, "a test").excerpt(text)


@given(keys, words, words)
@example(KEY, "you sent «", "»")
@example("aaaaaaaaaaaa", "", "")
@example("\\\\\\\\\\\\\"\"''//%%&&<>", "", "")
@example("%41%42%43%44&amp;&amp;", "", "")
def test_a_text_that_echoes_the_key_is_withheld_in_every_notation(key: str, before: str, after: str) -> None:
	for notation, echo in every_notation(key).items():
		# Base64 is found by its letters: those around it must be others.
		assert excerpt(f"{before} {echo} {after}", key) is WITHHELD, notation


@given(keys, st.integers(0, 32))
@example(KEY, 0)
@example(KEY, len(KEY) - PART_CHARACTERS)
def test_eight_characters_of_the_key_are_enough(key: str, start: int) -> None:
	part = key[min(start, len(key) - PART_CHARACTERS) :][:PART_CHARACTERS]
	for notation, echo in every_notation(part).items():
		assert excerpt(f"you sent {echo}", key) is WITHHELD, notation


@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789", min_size=8, max_size=40), st.integers(0, 32))
@example("0123456789abcdef0123456789abcdef", 3)
@example("Zx9Key4with7Every1", 0)
def test_a_disguise_gives_the_key_away_too(key: str, start: int) -> None:
	part = key[min(start, len(key) - PART_CHARACTERS) :][:PART_CHARACTERS]
	for disguise, echo in every_disguise(part).items():
		assert excerpt(f"! {echo} !", key) is WITHHELD, disguise


def test_the_letters_of_a_key_give_it_away_without_its_signs() -> None:
	for disguise, echo in every_disguise(KEY).items():
		assert excerpt(f"! {echo} !") is WITHHELD, disguise
	assert excerpt(f"you sent {KEY[:7]} {KEY[8:15]}") is WITHHELD


def escaping(own: str, escape: Callable[[str], str]) -> Callable[[str, set[int]], str]:
	"""Return a notation that escapes its own sign always, and any other character if it likes."""
	return lambda text, likes: "".join(
		escape(character) if character in own or number in likes else character
		for number, character in enumerate(text)
	)


LAYERS = [
	escaping("&", lambda character: html.escape(character) if character in "&<>" else f"&#{ord(character)};"),
	escaping("&", lambda character: f"&#x{ord(character):X}" + ";"),
	escaping("\\", lambda character: f"\\u{ord(character):04x}"),
	escaping("\\", lambda character: f"\\x{ord(character):02X}"),
	escaping("\\", lambda character: f"\\u{{{ord(character):x}}}"),
	escaping("%", lambda character: f"%{ord(character):02x}"),
]


@given(
	keys, st.lists(st.tuples(st.sampled_from(LAYERS), st.sets(st.integers(0, 60))), min_size=1, max_size=3)
)
def test_notations_may_be_mixed_and_nested(
	key: str, layers: list[tuple[Callable[[str, set[int]], str], set[int]]]
) -> None:
	echo = key
	for escape, likes in layers:
		echo = escape(echo, likes)
	assert excerpt(f"you sent {echo}!", key) is WITHHELD


@given(keys, st.binary(max_size=20), st.binary(max_size=20), st.text("xY3", max_size=3))
def test_the_key_may_stand_anywhere_in_what_is_in_base64(
	key: str, before: bytes, after: bytes, glued: str
) -> None:
	content = before + key.encode() + after
	for coded in (base64.b64encode(content), base64.urlsafe_b64encode(content)):
		echo = glued + coded.decode()
		assert excerpt(f"header: {echo}", key) is WITHHELD
		assert excerpt(f"header: {urllib.parse.quote(echo, safe='')}", key) is WITHHELD
		broken = "\n ".join(echo[start : start + 7] for start in range(0, len(echo), 7))
		assert excerpt(f"header: {broken}", key) is WITHHELD


def test_what_is_not_the_key_is_shown() -> None:
	for text in (
		"",
		"node sg-1 is not registered",
		"Zx",
		KEY[:7],
		f"{KEY[:7]} {KEY[14:21]}",
		f"an end: {KEY[-7:]}",
	):
		assert excerpt(text) == text


@given(st.text("abcdefgh ,.", max_size=300).map(str.strip), st.text("0123456789", min_size=8))
def test_other_characters_are_never_withheld(text: str, key: str) -> None:
	assert excerpt(text, key) == text


@pytest.mark.parametrize(
	("secret", "text", "withheld"),
	[
		("", "anything", False),
		("hunter2", "the password hunter2 is wrong", True),
		("hunter2", "the password hunter is wrong", False),
		("hunter2", "the password %68unter2 is wrong", True),
		("pässwörd-für-alle", "wrong: p\\u00e4ssw\\u00f6rd-f", True),
	],
)
def test_a_short_secret_counts_as_a_whole(secret: str, text: str, withheld: bool) -> None:
	assert (excerpt(text, secret) is WITHHELD) is withheld


def test_an_excerpt_is_short_and_escaped() -> None:
	assert excerpt(" \x1b[2J two\nlines ") == "\\x1b[2J two\\x0alines"
	assert excerpt("x" * 10_000) == "x" * 299 + "…"
	assert Secret(KEY, "a test").excerpt("x" * 100, 20) == "x" * 19 + "…"


@pytest.mark.parametrize("key", [KEY, "ab" * 20])
def test_no_place_of_the_key_lets_eight_characters_through(key: str) -> None:
	secret = Secret(key, "a test")
	parts = [key[start : start + 8] for start in range(len(key) - 7)]
	for length in (*range(250, 301), *range(4096 - len(key), 4097)):
		shown = secret.excerpt("-" * length + key, 5000)
		assert not any(part in shown for part in parts)


@pytest.mark.parametrize(
	("key", "text"),
	[
		("ab" * 32, "abababa-" * 8_000),
		("k" * 4096, "no echo of it. " * 4_000),
		(KEY, "%25" * 20_000),
		(KEY, "&amp;amp;\\u005cu0025" * 3_000),
		(KEY, "A" * 60_000),
	],
	ids=["nearly", "long key", "percent", "nested", "base64"],
)
def test_it_takes_no_time_worth_measuring(key: str, text: str) -> None:
	began = time.process_time()
	excerpt(text, key)
	assert time.process_time() - began < 1
