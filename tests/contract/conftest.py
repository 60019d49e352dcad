"""The four control planes of the contract: a Worker in workerd and the local one, with snapshots and without."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from prego_metrics.sandbox.server import LocalControlPlane

HERE = Path(__file__).parent
KEY = "a-key-for-the-contract-0123456789"
MIGRATIONS = sorted(HERE.glob("migrations/*.sql"))


class Plane(Protocol):
	"""A control plane on loopback. sql answers as `wrangler d1 execute --json` prints it."""

	url: str
	snapshots: bool

	def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]: ...

	@property
	def sqlite_file(self) -> Path: ...


class WorkerPlane:
	"""The Worker and its D1 in workerd, run by miniflare."""

	def __init__(self, folder: Path, snapshots: bool) -> None:
		self.snapshots = snapshots
		self._folder = folder
		self._process = subprocess.Popen(
			["node", "serve.mjs", str(folder), *map(str, MIGRATIONS if snapshots else MIGRATIONS[:1])],
			cwd=HERE,
			env={"PATH": os.environ["PATH"], "HOME": str(folder), "INTERNAL_API_KEY": KEY},
			stdin=subprocess.PIPE,
			stdout=subprocess.PIPE,
			text=True,
		)
		self.url = self._line()["url"]

	def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
		assert self._process.stdin
		self._process.stdin.write(json.dumps({"sql": statement, "values": values}) + "\n")
		self._process.stdin.flush()
		answer = self._line()
		assert isinstance(answer, list), answer
		return answer

	@property
	def sqlite_file(self) -> Path:
		(found,) = (self._folder / "miniflare-D1DatabaseObject").glob("*.sqlite")
		return found

	def close(self) -> None:
		self._process.communicate(timeout=30)

	def _line(self) -> Any:
		assert self._process.stdout
		line = self._process.stdout.readline()
		assert line, "the Worker did not start: see above"
		return json.loads(line)


class LocalPlane:
	"""The local control plane on a SQLite file, with the table of tenants beside its own."""

	def __init__(self, folder: Path, snapshots: bool) -> None:
		self.snapshots = snapshots
		self.sqlite_file = folder / "control-plane.sqlite"
		self._plane = LocalControlPlane(KEY, database=str(self.sqlite_file), snapshots=snapshots).start()
		self.url = self._plane.url
		self._connection = sqlite3.connect(self.sqlite_file, isolation_level=None)
		self._connection.row_factory = sqlite3.Row
		self.sql("CREATE TABLE tenants_master (id INTEGER PRIMARY KEY, node_id TEXT, status TEXT NOT NULL)")

	def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
		rows = [dict(row) for row in self._connection.execute(statement, values)]
		return [{"results": rows, "success": True, "meta": {}}]

	def close(self) -> None:
		self._connection.close()
		self._plane.close()


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
