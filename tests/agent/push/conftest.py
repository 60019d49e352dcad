"""What the tests of a push share: retries without long pauses, a control plane, and a bench aimed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import (
	KEY,
	aim,
	spare_the_sample,
)
from watched_control_plane import WatchedControlPlane


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr("prego_metrics.agent.http.retry.BACKOFF_BASE_SECONDS", 0.02)


@pytest.fixture
def control_plane() -> Iterator[WatchedControlPlane]:
	"""A control plane with the key of these tests, which knows node-1 and keeps what it answered."""
	with WatchedControlPlane(KEY) as plane:
		plane.store.register_node("node-1", "sg", "10.0.0.1")
		yield plane


@pytest.fixture
def bench(bench_folder: Path, control_plane: WatchedControlPlane) -> Path:
	spare_the_sample(bench_folder)
	return aim(bench_folder, control_plane.url)
