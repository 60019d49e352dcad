"""What the fleet's tests share: exports written as an operator would have them, and the command run on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from prego_metrics.cli.app import cli


@dataclass(frozen=True)
class Ended:
	"""How a command ended: its code, what it printed, and that as JSON where it is."""

	code: int
	stdout: str
	stderr: str

	@property
	def json(self) -> Any:
		return json.loads(self.stdout)

	def verdicts(self) -> dict[str, str]:
		return {node["node_id"]: node["verdict"] for node in self.json["nodes"]}


def run_fleet(*arguments: object, **environ: str) -> Ended:
	"""Run `prego-metrics fleet …` in this process; an exception that it lets out is raised here."""
	result = CliRunner().invoke(cli, ["fleet", *map(str, arguments)], env=environ)
	if result.exception is not None and not isinstance(result.exception, SystemExit):
		raise result.exception
	return Ended(result.exit_code, result.stdout, result.stderr)


def ago(seconds: float) -> str:
	"""A moment before now, as a Worker's `toISOString()` writes it."""
	moment = datetime.now(timezone.utc) - timedelta(seconds=seconds)
	return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wrangler(path: Path, *rows: dict[str, Any], **result: Any) -> Path:
	"""Write rows as `wrangler d1 execute --json` prints them."""
	path.write_text(json.dumps([{"results": list(rows), "success": True, "meta": {"duration": 1}, **result}]))
	return path


def node(node_id: str, region: Any = "sg", **more: Any) -> dict[str, Any]:
	return {"node_id": node_id, "region": region, "host": "10.0.0.1", **more}


def metrics(node_id: str, age: float = 10, tenant_count: Any = 3, **more: Any) -> dict[str, Any]:
	return {"node_id": node_id, "updated_at": ago(age), "tenant_count": tenant_count, **more}


def tenant(node_id: str | None, status: str = "active") -> dict[str, Any]:
	return {"id": 1, "node_id": node_id, "status": status}
