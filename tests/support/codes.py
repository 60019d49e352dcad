"""The codes of the error catalog in a sentence."""

from __future__ import annotations

from prego_metrics.agent.base.messages import Message


def codes_in(sentence: object) -> list[str]:
	"""Return the code of a sentence, then those of the sentences among its parameters."""
	if isinstance(sentence, list | tuple):
		return [code for part in sentence for code in codes_in(part)]
	if not isinstance(sentence, Message):
		return []
	inner = [code for value in sentence.params.values() for code in codes_in(value)]
	return [sentence.code, *inner]
