"""How a push ended, as a word in a sentence."""

from __future__ import annotations

import pytest

from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.state.outcomes import (
	BUSY,
	DELIVERED,
	FAILED,
	NOT_DUE,
	NOT_SENT,
	REFUSED,
	outcome_word,
)


@pytest.mark.parametrize("outcome", [DELIVERED, REFUSED, FAILED, NOT_SENT, NOT_DUE, BUSY])
def test_a_known_outcome_is_a_word_that_can_be_translated(outcome: str) -> None:
	word = outcome_word(outcome)
	assert isinstance(word, Message)
	assert word == word.template == outcome.replace("_", " ")


@pytest.mark.parametrize(
	("outcome", "shown"),
	[
		("later", "later"),
		("", ""),
		("\x1b[2Jx", r"\x1b[2Jx"),
		("x" * 40, "x" * 40),
		("x" * 41, "x" * 39 + "…"),
	],
)
def test_any_other_is_shown_short_and_harmless(outcome: str, shown: str) -> None:
	assert outcome_word(outcome) == shown
