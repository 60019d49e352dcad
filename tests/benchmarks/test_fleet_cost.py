"""The figures of docs/scaling.md are those of the command that anybody can run again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import fleet_cost as cost

ROOT = Path(__file__).parents[2]


def numbers(text: str) -> list[list[str]]:
	return [re.findall(r"[\d.]+", line) for line in text.splitlines() if re.match(r"\| \d", line)]


@pytest.mark.parametrize("document", ["docs/scaling.md", "docs/ko/scaling.md"])
def test_the_document_has_the_costs_that_the_command_prints(document: str) -> None:
	text = (ROOT / document).read_text()
	assert numbers(text) == numbers(cost.fleets()) + numbers(cost.free_plan())
	for dollars in re.findall(r"\$[\d.]+\d", cost.others()):
		assert dollars in text
	for size in re.findall(r"[\d.]+ GB a year", cost.snapshots()):
		assert re.search(size.removesuffix(" GB a year") + " ?GB", text)


def test_a_month_of_1_000_and_10_000_nodes_costs_what_the_prices_say() -> None:
	# 43.2 million pushes: 33.2 × $0.30, 56.4 million ms × $0.02, and no row above the included ones.
	assert cost.Fleet(1000, 60).dollars(1) == pytest.approx(5 + 9.96 + 1.128)
	# 432 million: 422 × $0.30, 834 × $0.02, 389.2 × $1.00; with two rows a push 821.2 × $1.00.
	assert cost.Fleet(10_000, 60).dollars(1) == pytest.approx(5 + 126.6 + 16.68 + 389.2)
	assert cost.Fleet(10_000, 60).dollars(2) == pytest.approx(5 + 126.6 + 16.68 + 821.2)
