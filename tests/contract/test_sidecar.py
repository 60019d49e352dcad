"""The Hetzner sidecar's command against the Worker and the local control plane."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contract_planes import KEY, Plane
from hetzner_api import TOKEN, HetznerFake, server


def test_the_sidecar_pushes_a_registered_node_and_names_one_that_is_not(
	plane: Plane, run_agent: Callable[..., Any], tmp_path: Path
) -> None:
	(tmp_path / "counts.csv").write_text("node_id,tenant_count\nsg-1,9\nhz-2,3\n")
	(tmp_path / "metrics.json").write_text(json.dumps(plane.sql("SELECT * FROM server_metrics")))
	with HetznerFake([server(1, prego_node_id="sg-1"), server(2, prego_node_id="hz-2")]) as api:
		result = run_agent(
			*("hetzner", "push", "--json"),
			*("--counts", tmp_path / "counts.csv", "--metrics", tmp_path / "metrics.json"),
			HCLOUD_TOKEN=TOKEN,
			HCLOUD_ENDPOINT=api.endpoint,
			INTERNAL_API_KEY=KEY,
			PREGO_METRICS_CONTROL_PLANE_URL=plane.url,
		)
	assert result.returncode == 1, result.stderr
	outcomes = {node["node_id"]: node["outcome"] for node in json.loads(result.stdout)["nodes"]}
	assert outcomes == {"sg-1": "pushed", "hz-2": "not_pushed"}
	(row,) = plane.sql("SELECT * FROM server_metrics")[0]["results"]
	assert (row["node_id"], row["tenant_count"], row["cpu_pct"]) == ("sg-1", 9, 20.0)
	assert (row["memory_pct"], row["disk_pct"], row["source"]) == (None, None, "hetzner_api")
