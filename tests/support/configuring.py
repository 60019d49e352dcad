"""What the tests of writing settings share: a change, and a refusal that wrote nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.writer import write_settings

Write = Callable[..., Path]


GOOD = {"node_id": "sg-1", "control_plane_url": "https://cp.example"}


def common_file(bench_folder: Path) -> Path:
	return bench_folder / "sites" / "common_site_config.json"


def configured(
	bench_folder: Path, unset: tuple[str, ...] = (), environ: dict[str, str] | None = None, **changes: Any
) -> Config:
	return write_settings(open_bench(str(bench_folder)), changes, unset, environ or {})


def refusal(bench_folder: Path, unset: tuple[str, ...] = (), **changes: Any) -> ConfigurationError:
	"""Return the error of a refusal, which must have written nothing."""
	path = common_file(bench_folder)
	before, names = path.read_bytes(), sorted(os.listdir(path.parent))
	stamp = path.stat()
	with pytest.raises(ConfigurationError) as raised:
		configured(bench_folder, unset, **changes)
	after = path.stat()
	assert path.read_bytes() == before
	assert (after.st_ino, after.st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)
	assert sorted(os.listdir(path.parent)) == names
	return raised.value
