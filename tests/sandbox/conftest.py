"""What the tests of the local control plane share: one that knows sg-1, and a client with its key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from asking import KEY, Client

from prego_metrics.sandbox.server import LocalControlPlane


@pytest.fixture
def session() -> Iterator[requests.Session]:
	with requests.Session() as session:
		session.trust_env = False
		yield session


@pytest.fixture
def control_plane() -> Iterator[LocalControlPlane]:
	with LocalControlPlane(KEY) as control_plane:
		control_plane.store.register_node("sg-1", "sg", "10.0.0.1")
		yield control_plane


@pytest.fixture
def client(session: requests.Session, control_plane: LocalControlPlane) -> Client:
	return Client(session, control_plane)
