"""What a connection's error is made of."""

from __future__ import annotations

from prego_metrics.agent.http.connection import causes_of


def test_the_causes_of_an_error_come_outermost_first() -> None:
	deepest = OSError(111, "Connection refused")
	middle, beside = RuntimeError(deepest), ValueError("beside it")
	outer = RuntimeError(middle)
	outer.__cause__ = beside
	deepest.__context__ = outer
	assert causes_of(outer) == [outer, beside, middle, deepest]


def test_of_a_long_chain_of_causes_twenty_are_looked_at() -> None:
	error = OSError()
	for _ in range(30):
		error = OSError(error)
	assert len(causes_of(error)) == 20
