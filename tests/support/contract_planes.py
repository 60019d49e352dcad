"""The four control planes of the contract: a Worker in workerd and the local one, with snapshots and without."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Protocol

from prego_metrics.sandbox.server import LocalControlPlane

HERE = Path(__file__).parents[1] / "contract"
KEY = "a-key-for-the-contract-0123456789"
MIGRATIONS = sorted(HERE.glob("migrations/*.sql"))


class Plane(Protocol):
	"""A control plane on loopback. sql answers as `wrangler d1 execute --json` prints it.

	snapshots and intervals tell whether it keeps those: their migrations are not the runbook's first.
	"""

	url: str
	snapshots: bool
	intervals: bool

	def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]: ...


class WorkerPlane:
	"""The Worker and its D1 in workerd, run by miniflare."""

	def __init__(self, folder: Path, snapshots: bool) -> None:
		self.snapshots = self.intervals = snapshots
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
		self.snapshots, self.intervals = snapshots, False
		database = str(folder / "control-plane.sqlite")
		self._plane = LocalControlPlane(KEY, database=database, snapshots=snapshots).start()
		self.url = self._plane.url
		self.sql("CREATE TABLE tenants_master (id INTEGER PRIMARY KEY, node_id TEXT, status TEXT NOT NULL)")

	def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
		return [{"results": self._plane.store.sql(statement, *values), "success": True, "meta": {}}]

	def close(self) -> None:
		self._plane.close()
