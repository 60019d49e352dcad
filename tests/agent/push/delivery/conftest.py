"""What the tests of a delivery share: retries without long pauses, and a bench that need not sample its CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from pushing import spare_the_sample

from prego_metrics.agent.http import retry


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr(retry, "BACKOFF_BASE_SECONDS", 0.02)


@pytest.fixture
def bench(bench_folder: Path) -> Path:
	spare_the_sample(bench_folder)
	return bench_folder
