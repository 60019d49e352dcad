"""What the tests of `configure` share: a key file."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
	path = tmp_path / "internal_api_key"
	path.write_text("a-key-of-secrets-987654321\n")
	path.chmod(0o600)
	return path
