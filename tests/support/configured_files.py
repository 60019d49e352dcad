"""What the tests of `configure` as a command share: the file that it writes, and its table taken apart."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]


URL = "https://control-plane.example"


GOOD = ["--node-id", "sg-1", "--control-plane-url", URL]


SOURCE = "common_site_config.json"


def common_file(bench_folder: Path) -> Path:
	return bench_folder / "sites" / SOURCE


def written(bench_folder: Path) -> dict[str, Any]:
	return dict(json.loads(common_file(bench_folder).read_text()).get("prego_metrics", {}))


def rows(table: str) -> dict[str, tuple[str, str]]:
	"""Take a table of settings apart: value and source by name. Cells are two or more spaces apart."""
	found = {}
	for line in table.splitlines():
		name, *cells = re.split(r" {2,}", line.rstrip())
		if cells:
			found[name] = (cells[0] if len(cells) > 1 else "", cells[-1])
	return found
