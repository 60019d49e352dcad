"""A control plane that knows the node of the alerts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pushing import KEY

from prego_metrics.sandbox.server import LocalControlPlane


@pytest.fixture
def control_plane() -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY) as plane:
		plane.store.register_node("node-1", "sg", "10.0.0.1")
		yield plane
