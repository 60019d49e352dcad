"""How long the English documents may be, so that they stay short enough to be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Tables whose rows are made from the code, or held equal to it one by one: people look a row up, and read no more.
GENERATED = {
	"docs/settings.md": r"^\| setting \|.*?\n\n",
	"docs/error-codes.md": r"^\| code \|.*?(\n\n|\Z)",
	"docs/metrics.md": r"^\| metric \|.*?\n\n",
	"docs/scaling.md": r"^\| (nodes|interval) \|.*?\n\n",
	"docs/troubleshooting.md": r"^\| group \|.*\Z",
	"docs/scaling-simulation.md": r"\A.*\Z",
}
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
PAGES = [
	*(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")),
	*sorted(ROOT.glob("docs/*.md")),
	*sorted(ROOT.glob("deploy/**/*.md")),
]
# By `wc -w`, with everything.
LIMITS = {
	"README.md": 899,
	"docs/install.md": 1000,
	"docs/troubleshooting.md": 1400,
	"docs/architecture.md": 1400,
}


def words(page: Path) -> int:
	"""Count words as `wc -w` does, less commands and their output, the bars of tables, and generated tables."""
	text = FENCE.sub("", page.read_text())
	generated = GENERATED.get(str(page.relative_to(ROOT)))
	if generated:
		text, found = re.subn(generated, "", text, flags=re.M | re.S)
		assert found
	return sum(1 for word in text.split() if re.search(r"\w", word))


@pytest.mark.parametrize("name", LIMITS)
def test_a_page_can_be_read_in_a_few_minutes(name: str) -> None:
	assert len((ROOT / name).read_text().split()) <= LIMITS[name]


def test_all_english_documents_together_can_be_read_in_an_hour() -> None:
	counted = {str(page.relative_to(ROOT)): words(page) for page in PAGES}
	assert sum(counted.values()) <= 12_000, counted
