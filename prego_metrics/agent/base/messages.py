"""Sentences that can be shown in another language: English text that remembers what it was made of.

The core writes English, as logs, JSON and terminals want it. Where the Desk shows the same sentence, it
looks up the template in its translations and fills in the same values, which may be such sentences again.
So does a sentence that was kept in the state: what it was made of is kept beside it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping

from prego_metrics.agent.base.sanitize import sanitize

# What is kept of a sentence is input too: no longer, and no deeper, than a sentence of ours can be.
_MAX_LENGTH = 2000
_MAX_DEPTH = 6


class Message(str):
	"""An English sentence; `template` has a {name} for each of `values`."""

	__slots__ = ("template", "values")

	template: str
	values: Mapping[str, object]


def message(template: str, /, **values: object) -> Message:
	"""Fill `template` with `values`. The template is a literal, so that a test finds it in the translations."""
	return _filled(template, values)


def joined(sentences: Iterable[object], separator: str = "; ") -> Message:
	"""Return `sentences` one after the other; each stays translatable by itself."""
	parts = {f"part_{number}": sentence for number, sentence in enumerate(sentences)}
	return _filled(separator.join(f"{{{name}}}" for name in parts), parts)


def _filled(template: str, values: Mapping[str, object]) -> Message:
	return _worded(template.format(**values), template, values)


def _worded(text: str, template: str, values: Mapping[str, object]) -> Message:
	sentence = Message(text)
	sentence.template = template
	sentence.values = values
	return sentence


def message_of(error: Exception) -> str:
	"""Return an error's original as it was given: one of ours stays translatable, which its str() would not."""
	original = error.args[0] if len(error.args) == 1 else None
	return original if isinstance(original, Message) else str(error)


def first_line(sentence: str, limit: int) -> str:
	"""Return the first line, fit to show and at most `limit` characters; translated it may be longer."""
	line = sentence.split("\n")[0]
	if isinstance(sentence, Message) and len(line) < len(sentence):
		template = sentence.template.split("\n")[0]
		names = [name for _, name, _, _ in string.Formatter().parse(template) if name]
		head = _filled(template, {name: sentence.values[name] for name in names})
		line = head if head == line else line
	elif isinstance(sentence, Message):
		line = sentence
	shown = sanitize(line, limit)
	if shown == line:
		return line
	if isinstance(line, Message) and sanitize(line) == line:
		return _worded(shown, line.template, line.values)
	return shown


def translated(sentence: object, translate: Callable[[str], str]) -> str:
	"""Return `sentence` with its template, and those of the sentences within it, put through `translate`.

	Anything that is no Wording is shown as it stands: a number, a name, a server's words.
	"""
	if not isinstance(sentence, Message):
		return str(sentence)
	values = {name: translated(value, translate) for name, value in sentence.values.items()}
	try:
		return translate(sentence.template).format(**values)
	except (LookupError, ValueError, AttributeError):
		# Somebody else's translation, with other values in it; such as one made by hand in the Desk.
		return sentence.template.format(**values)


def as_kept(sentence: Message) -> dict[str, object]:
	"""Return what `sentence` was made of as JSON has it, to be kept beside its text."""
	return {
		"template": sentence.template,
		"values": {
			name: as_kept(value) if isinstance(value, Message) else str(value)
			for name, value in sentence.values.items()
		},
	}


def recalled(text: str, kept: object) -> str:
	"""Return `text` as the sentence that it was, made of what was `kept` beside it.

	Both may be anybody's. Only what yields exactly this text is used, and only if the text is fit to show as
	it stands, so nothing is shown in any language that the text does not hold. Else the text stays a text.
	"""
	try:
		sentence = _made_again(kept, _MAX_DEPTH)
	except ValueError:
		return text
	fit = all(sanitize(line) == line for line in text.split("\n"))
	return sentence if fit and sentence == text else text


def _made_again(kept: object, depth: int) -> str:
	if isinstance(kept, str):
		return kept
	template, values = (kept.get("template"), kept.get("values")) if isinstance(kept, dict) else (None, None)
	if (
		not depth
		or not isinstance(template, str)
		or not isinstance(values, dict)
		or len(template) > _MAX_LENGTH
	):
		raise ValueError("no sentence of ours")
	fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
	# A format or an attribute in it could make much of little.
	if any(
		not name.isidentifier() or spec or conversion
		for _, name, spec, conversion in fields
		if name is not None
	):
		raise ValueError("no template of ours")
	if {name for _, name, _, _ in fields} != set(values):
		raise ValueError("not the values of the template")
	sentence = _filled(template, {name: _made_again(value, depth - 1) for name, value in values.items()})
	if len(sentence) > _MAX_LENGTH:
		raise ValueError("longer than a sentence of ours")
	return sentence
