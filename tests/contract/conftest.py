"""The four control planes of the contract, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from contract_planes import HERE, LocalPlane, Plane, WorkerPlane


@pytest.fixture(
	scope="session", params=["worker", "worker without snapshots", "local", "local without snapshots"]
)
def running_plane(
	request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
	folder = tmp_path_factory.mktemp("plane")
	snapshots = "without" not in request.param
	if request.param.startswith("worker"):
		if not shutil.which("node") or not (HERE / "node_modules/miniflare").is_dir():
			pytest.fail("the Worker needs Node 20 and miniflare: run `make contract`")
		plane: WorkerPlane | LocalPlane = WorkerPlane(folder, snapshots)
	else:
		plane = LocalPlane(folder, snapshots)
	yield plane
	plane.close()


@pytest.fixture
def plane(running_plane: Plane) -> Plane:
	"""A control plane that knows sg-1, which has never pushed, and nothing else."""
	if running_plane.snapshots:
		running_plane.sql("DELETE FROM server_metrics_snapshots")
	for table in ("tenants_master", "server_metrics", "nodes"):
		running_plane.sql(f"DELETE FROM {table}")
	running_plane.sql("INSERT INTO nodes (node_id, region, host) VALUES ('sg-1', 'sg', '10.0.0.1')")
	return running_plane
