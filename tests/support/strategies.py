"""Hypothesis strategies that several tests share.

Hostile text is what a folder, a server or a file can really hold: any character that is not a lone
surrogate, and the bytes that are no UTF-8 as Python carries them (PEP 383).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from prego_metrics.agent.config.settings import SETTINGS

# Characters that a terminal obeys, that turn the direction of text, or that cannot be seen.
TRICKY_CHARACTERS = (
	"\x00\x07\x1b\n\r\t\x7f\x80\x85\x9b\xa0\xad\u200b\u200e\u202e\u2028\u2066\ufeff\u3164\ufe0f\\\"' "
)
UNDECODABLE_BYTES = "".join(chr(code) for code in (0xDC80, 0xDC9B, 0xDCAD, 0xDCFF))

hostile_characters = st.one_of(
	st.sampled_from(TRICKY_CHARACTERS + UNDECODABLE_BYTES),
	st.text(min_size=1, max_size=1),
	st.sampled_from("abcxu0189-.…"),
)
hostile_texts = st.text(hostile_characters, max_size=30)

# What can be the name of a folder.
folder_names = (
	st.text(
		st.one_of(
			st.sampled_from("abcp-.*?[]!_ \x1b\n\u202e한" + UNDECODABLE_BYTES),
			st.text(min_size=1, max_size=1).filter(lambda character: character not in "/\0"),
		),
		min_size=1,
		max_size=12,
	)
	.filter(lambda name: name not in (".", ".."))
	.filter(lambda name: len(name.encode("utf-8", "surrogateescape")) <= 200)
)

# What can stand in a JSON file, as json.loads returns it: lone surrogates, NaN and huge numbers too.
json_scalars = st.one_of(
	st.none(),
	st.booleans(),
	st.integers(),
	st.sampled_from([0, 1, -1, 60, 10**30, -(10**400)]),
	st.floats(),
	hostile_texts,
	st.sampled_from(["", "1", "true", "/", "/etc/key", "https://cp.example", "\ud800", "a\0b"]),
)
json_values = st.recursive(
	json_scalars,
	lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(hostile_texts, inner, max_size=4)),
	max_leaves=6,
)

setting_names = st.sampled_from([setting.name for setting in SETTINGS])
json_sections = st.dictionaries(
	st.one_of(setting_names, setting_names, hostile_texts, st.sampled_from(["api_key", "Node_ID"])),
	json_values,
	max_size=8,
)

# What can be the value of an environment variable.
environment_texts = st.one_of(
	hostile_texts.map(lambda text: text.replace("\0", "")),
	st.sampled_from(
		["", "0", "1", "60", "1e3", "-5", " 5", "nan", "inf", "true", "True", "[", "[]", '["/"]']
	),
	st.text("0123456789.", max_size=20),
	json_values.map(lambda value: json.dumps(value).replace("\0", "")),
)
environments = st.dictionaries(
	st.one_of(
		st.sampled_from([setting.variable for setting in SETTINGS]),
		st.sampled_from(["PREGO_METRICS_HARDENED", "PREGO_METRICS_API_KEY", "PREGO_METRICS_", "PATH"]),
	),
	environment_texts,
	max_size=6,
)


@dataclass(frozen=True)
class Entry:
	"""One entry of a sites folder; `config` is the text of its site_config.json, for the kinds that have one."""

	kind: str
	config: str = "{}"


SITE_CONFIGS = (
	"{}",
	'{"db_name": "_1"}',
	'{"maintenance_mode": 1}',
	'{"pause_scheduler": 1}',
	'{"prego_tenant": 0}',
	'{"prego_tenant": false}',
	'{"prego_tenant": 1}',
	'{"prego_tenant": "0"}',
	'{"prego_tenant": null}',
	'{"prego_tenant": []}',
	'{"db_name": ',
	"",
	"[]",
	"null",
	"\ufeff{}",
)
sites_entries = st.builds(
	Entry,
	st.sampled_from(
		[
			"site",
			"site",
			"site",
			"config is a link",
			"config is a dangling link",
			"config is a folder",
			"config is a pipe",
			"folder",
			"file",
			"link to a site",
			"dangling link",
		]
	),
	st.sampled_from(SITE_CONFIGS),
)
sites_trees = st.dictionaries(
	st.one_of(
		folder_names, st.sampled_from(["pool-1", "pool-2", "archived", ".trash", "a.example", "lost+found"])
	),
	sites_entries,
	max_size=8,
)
exclusion_lists = st.lists(
	st.one_of(
		st.sampled_from(["pool-*", "*.example", "a*", "[ab]*", "?", "[!a]*", "[z-a]", "[[a]", "[", "*"]),
		folder_names,
	),
	max_size=3,
)
