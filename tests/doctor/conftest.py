"""What the tests of the doctor share: a bench that delivers, and the environment of its push."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examining import DELIVERED, GOOD, remember, tick


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path], control_plane: Any) -> Path:
	"""A bench that delivers, so that every check passes."""
	(bench_folder / "apps/prego_metrics").mkdir(parents=True)
	settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url)
	remember(bench_folder, DELIVERED._replace(at=time.time() - 20))
	tick(bench_folder)
	return bench_folder


@pytest.fixture
def environ(control_plane: Any) -> dict[str, str]:
	return {"INTERNAL_API_KEY": control_plane.key}


@pytest.fixture
def idle_bench(bench_folder: Path, settings: Callable[..., Path]) -> Path:
	"""A bench with settings, for which nothing has pushed yet."""
	(bench_folder / "apps/prego_metrics").mkdir(parents=True)
	settings(bench_folder, **GOOD)
	return bench_folder
