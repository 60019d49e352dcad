"""Shows sentences as the Desk does, with the Korean table, and finds what stays English in them."""

from __future__ import annotations

import csv
import re

import translatable

from prego_metrics.agent.base.messages import Message, translated

KOREAN_CSV = translatable.PACKAGE / "translations" / "ko.csv"
with KOREAN_CSV.open(newline="", encoding="utf-8") as _file:
	KOREAN: dict[str, str] = dict(csv.reader(_file))

# Two English words side by side. Commands and what stands in quotes are shown as they are.
_ENGLISH = re.compile(r"[A-Za-z][a-z]+ [a-z]{2,}")


def korean(template: str) -> str:
	return KOREAN.get(template, template)


def in_korean(sentence: str) -> str:
	return translated(sentence, korean)


def still_english(sentence: object, *as_they_came: str) -> list[str]:
	"""Return the templates without a translation and the English leaves of a sentence.

	`as_they_came` are the words of others (a server, the operating system), which nobody translates.
	"""
	if isinstance(sentence, Message):
		missing = [] if sentence.template in KOREAN or _is_bare(sentence.template) else [sentence.template]
		leaves = [
			found for value in sentence.params.values() for found in still_english(value, *as_they_came)
		]
		return [*missing, *leaves]
	if isinstance(sentence, list | tuple):
		return [found for part in sentence for found in still_english(part, *as_they_came)]
	text = str(sentence)
	return [text] if text not in as_they_came and _ENGLISH.search(text) else []


def _is_bare(template: str) -> bool:
	"""Tell whether a template only puts sentences one after the other."""
	return not re.search(r"\w", re.sub(r"\{\w+\}", "", template))
