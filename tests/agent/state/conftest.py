"""What the tests of the state share: its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from prego_metrics.agent.state.store import StateFolder


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
	return StateFolder(str(tmp_path))
