"""Sentences that can be shown in another language: English text that remembers what it was made of.

The core writes English, as logs, JSON and terminals want it. Where the Desk shows the same sentence, it looks
up the template in its translations and fills in the same parameters, which may be such sentences again.

What is stored or matched on has a code of the catalog (`coded`): the state keeps code and parameters, and
`restore` makes the sentence again. A `message` without a code lives only as long as its process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from prego_metrics.agent.base.error_codes import TEMPLATES
from prego_metrics.agent.base.sanitize import is_sanitized, sanitize
from prego_metrics.agent.light_typing import Any

# What is stored of a sentence is input too: no longer, no deeper and no wider than a sentence of ours can be.
_MAX_LENGTH = 2000
_MAX_DEPTH = 4
_MAX_ITEMS = 100
_CODE = "[a-z][a-z0-9_]{0,63}"
_FIELD = r"\{(\w+)\}"


class Message(str):
	"""An English sentence; `template` has a {name} for each of `params`.

	code is empty for a sentence that is none of the catalog's, template for one that cannot be translated.
	A parameter is a scalar, a Message, or a sequence of Messages, each on a line of its own.
	"""

	__slots__ = ("code", "params", "template")

	code: str
	template: str
	params: Mapping[str, object]


def message(template: str, /, **params: object) -> Message:
	"""Fill `template` with `params`. The template is a literal, so that a test finds it in the translations."""
	return _filled("", template, params)


def coded(code: str, /, **params: object) -> Message:
	"""Return the sentence of the catalog that `code` names, filled with `params`."""
	return _filled(code, TEMPLATES[code], params)


def from_catalog(code: str, template: str, /, **params: object) -> Message:
	"""Return a sentence of another catalog; of `params` it keeps those that the template has."""
	return _filled(code, template, {name: params[name] for name in _fields(template)})


def plain(text: str, code: str = "") -> Message:
	"""Return `text` as a sentence that stays as it is in every language."""
	return _made(text, code, "", {})


def joined(sentences: Iterable[object], separator: str = "; ") -> Message:
	"""Return `sentences` one after the other; each stays translatable by itself."""
	parts = {f"part_{number}": sentence for number, sentence in enumerate(sentences)}
	return _filled("", separator.join(f"{{{name}}}" for name in parts), parts)


def _filled(code: str, template: str, params: Mapping[str, object]) -> Message:
	return _made(_with_params(template, params, str), code, template, params)


def _made(text: str, code: str, template: str, params: Mapping[str, object]) -> Message:
	sentence = Message(text)
	sentence.code = code
	sentence.template = template
	sentence.params = params
	return sentence


def _with_params(template: str, params: Mapping[str, object], show: Callable[[object], str]) -> str:
	return template.format(
		**{
			name: "\n".join(show(part) for part in value) if isinstance(value, list | tuple) else show(value)
			for name, value in params.items()
		}
	)


def message_of(error: Exception) -> str:
	"""Return an error's message as it was given: one of ours stays translatable, which its str() would not."""
	original = error.args[0] if len(error.args) == 1 else None
	return original if isinstance(original, Message) else str(error)


def code_of(sentence: str | None) -> str:
	"""Return the code of a sentence, empty for one without."""
	return sentence.code if isinstance(sentence, Message) else ""


def shortened(sentence: Message, limit: int) -> Message:
	"""Return `sentence`, or its first `limit` characters: what is cut can no longer be translated."""
	return sentence if len(sentence) <= limit else plain(sentence[:limit], sentence.code)


def first_line(sentence: str, limit: int) -> str:
	"""Return the first line, fit to show and at most `limit` characters; translated it may be longer."""
	problems = sentence.params.get("problems") if isinstance(sentence, Message) else None
	if isinstance(problems, list | tuple) and problems and isinstance(problems[0], str):
		sentence = problems[0]  # which can still be translated
	line = sentence if "\n" not in sentence else sentence.split("\n")[0]
	beginning = sanitize(line, limit)
	if beginning == line:
		return line
	if isinstance(line, Message) and sanitize(line) == line:
		return _made(beginning, line.code, line.template, line.params)
	return beginning


def translated(sentence: object, translate: Callable[[str], str]) -> str:
	"""Return `sentence` with its template, and those of the sentences within it, put through `translate`.

	Anything that is no Message is shown as it stands: a number, a name, a server's words.
	"""
	if not isinstance(sentence, Message) or not sentence.template:
		return str(sentence)

	def show(param: object) -> str:
		return translated(param, translate)

	try:
		return _with_params(translate(sentence.template), sentence.params, show)
	except (LookupError, ValueError, AttributeError):
		# Somebody else's translation, with other parameters in it; such as one made by hand in the Desk.
		return _with_params(sentence.template, sentence.params, show)


def params_as_json(sentence: Message) -> dict[str, object]:
	"""Return the parameters of a coded sentence as JSON has them, for `restore`."""
	return {name: _param_as_json(value) for name, value in sentence.params.items()}


def _param_as_json(value: object) -> object:
	if isinstance(value, list | tuple):
		return [_param_as_json(item) for item in value]
	if isinstance(value, Message):
		return {"code": value.code, "params": params_as_json(value)} if value.code else str(value)
	return value if value is None or isinstance(value, bool | int | float) else str(value)


def restore(code: object, params: object, text: str) -> Message:
	"""Return the sentence that was stored as `code` and `params`, with `text` as its English.

	What was stored may be anybody's, or another version's. Where the code is not known, or the parameters are
	not those of its template and fit to show, the result is `text`, which stays as it is in every language.
	"""
	try:
		return _restored(code, params, _MAX_DEPTH)
	except ValueError:
		return plain(text, code if isinstance(code, str) and re.fullmatch(_CODE, code) else "")


def _restored(code: object, params: object, depth: int) -> Message:
	template = TEMPLATES.get(code) if isinstance(code, str) else None
	if template is None or not depth or not isinstance(params, dict) or set(_fields(template)) != set(params):
		raise ValueError("no sentence of ours")
	sentence = coded(str(code), **{name: _restored_param(value, depth - 1) for name, value in params.items()})
	if len(sentence) > _MAX_LENGTH:
		raise ValueError("longer than a sentence of ours")
	return sentence


def _restored_param(value: Any, depth: int) -> object:
	if isinstance(value, list) and depth and len(value) <= _MAX_ITEMS:
		return [_restored_param(item, 0 if isinstance(item, list) else depth) for item in value]
	if isinstance(value, dict):
		return _restored(value.get("code"), value.get("params"), depth)
	if isinstance(value, str) and len(value) <= _MAX_LENGTH and is_sanitized(value):
		return value
	if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
		return value
	raise ValueError("no parameter of ours")


def _fields(template: str) -> list[str]:
	return re.findall(_FIELD, template)
