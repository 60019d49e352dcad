"""What the tests of the census share: a bench of thirty sites."""

from __future__ import annotations

from pathlib import Path

import pytest
from censuses import MakeBench


@pytest.fixture
def thirty_sites(tmp_path: Path, make_bench: MakeBench) -> Path:
	return make_bench(tmp_path / "bench", *(f"site-{number:02}.example" for number in range(30)))
