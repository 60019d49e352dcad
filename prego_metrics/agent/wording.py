"""Sentences that can be shown in another language: English text that remembers what it was made of.

The core writes English, as logs, JSON and terminals want it. Where the Desk shows the same sentence, it
looks up the template in its translations and fills in the same values, which may be such sentences again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


class Wording(str):
	"""An English sentence; `template` has a {name} for each of `values`."""

	__slots__ = ("template", "values")

	template: str
	values: Mapping[str, object]


def wording(template: str, /, **values: object) -> Wording:
	"""Fill `template` with `values`. The template is a literal, so that a test finds it in the translations."""
	sentence = Wording(template.format(**values))
	sentence.template = template
	sentence.values = values
	return sentence


def joined(sentences: Iterable[object], separator: str = "; ") -> Wording:
	"""Return `sentences` one after the other; each stays translatable by itself."""
	parts = {f"part_{number}": sentence for number, sentence in enumerate(sentences)}
	sentence = Wording(separator.join(map(str, parts.values())))
	sentence.template = separator.join(f"{{{name}}}" for name in parts)
	sentence.values = parts
	return sentence


def translated(sentence: object, translate: Callable[[str], str]) -> str:
	"""Return `sentence` with its template, and those of the sentences within it, put through `translate`.

	Anything that is no Wording is shown as it stands: a number, a name, a server's words.
	"""
	if not isinstance(sentence, Wording):
		return str(sentence)
	values = {name: translated(value, translate) for name, value in sentence.values.items()}
	return translate(sentence.template).format(**values)
