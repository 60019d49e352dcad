"""What the tests of the command line share: benches that are set up, and the key in the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pushing import spare_the_sample


@pytest.fixture
def bench(bench_folder: Path, settings: Callable[..., Path], control_plane: Any) -> Path:
	"""A bench that is set up, and need not watch its CPU for a second."""
	settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url, spread=0)
	spare_the_sample(bench_folder)
	return bench_folder


@pytest.fixture
def key(control_plane: Any, monkeypatch: pytest.MonkeyPatch) -> str:
	monkeypatch.setenv("INTERNAL_API_KEY", control_plane.key)
	return str(control_plane.key)


@pytest.fixture
def mixed_bench(bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path]) -> Path:
	"""Three tenants, one excluded, one that says it is none, a folder that is no site, and a link."""
	make_site(bench_folder, "pool-001")
	make_site(bench_folder, "training.example", prego_tenant=0)
	(bench_folder / "sites" / "archived").mkdir()
	(bench_folder / "sites" / "alias.example").symlink_to("acme.example")
	settings(bench_folder, exclude_sites=["pool-*"])
	return bench_folder
