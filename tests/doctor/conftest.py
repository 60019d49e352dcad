"""What the tests of the doctor share: a bench that delivers, and the environment of its push."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examining import DELIVERED, GOOD, remember, tick

from prego_metrics.agent.setup import systemd_units


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


@pytest.fixture
def unit_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
	"""The folder in which systemd would look for units."""
	folder = tmp_path / "units"
	folder.mkdir()
	monkeypatch.setattr(systemd_units, "UNIT_FOLDERS", (str(tmp_path / "none"), str(folder)))
	return folder
