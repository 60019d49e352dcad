"""A node's metrics as a Prometheus reads them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.bench.queues import RqQueue
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.state.model import Push, State
from prego_metrics.exporters import host
from prego_metrics.exporters.metrics import metrics_text
from prego_metrics.tenants.usage.reader import SiteSizes

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_NOW = 1_795_000_000.0
_PRESSURE = (
	"some avg10=0.00 avg60=12.50 avg300=0.00 total=5\nfull avg10=0.00 avg60=1.00 avg300=0.00 total=5\n"
)


def openmetrics(config: Config, state: State, *, now: float | None = None) -> str:
	"""The metrics as OpenMetrics text."""
	return metrics_text(config, state, accept=OPENMETRICS, now=now)[0].decode()


def samples(text: str) -> Samples:
	"""The value of each series, by its name and labels; the text is read by prometheus_client's own parser."""
	assert text.endswith("# EOF\n")
	return {
		(sample.name, tuple(sorted(sample.labels.items()))): sample.value
		for family in text_string_to_metric_families(text)
		for sample in family.samples
	}


def whole_node(folder: Path) -> Samples:
	"""The series of a node of which everything is known, its bench made in `folder`."""
	(folder / "sites" / "acme.example").mkdir(parents=True)
	(folder / "sites" / "apps.txt").write_text("frappe\n")
	(folder / "sites" / "acme.example" / "site_config.json").write_text("{}")
	for resource in ("cpu", "memory", "io"):
		(folder / resource).write_text(_PRESSURE)
	payload = {"node_id": "sg-1", "cpu_pct": 12.5, "memory_pct": 48.1, "disk_pct": 61.0, "tenant_count": 1}
	push = Push("x", _NOW, "timer", "delivered", payload, 200, 1, 41, None)
	config = load_config(open_bench(str(folder)), {"PREGO_METRICS_NODE_ID": "sg-1"})
	with (
		patch.object(host, "_PRESSURE_FOLDER", str(folder)),
		patch("psutil.swap_memory", lambda: SimpleNamespace(total=1 << 30, used=1 << 28)),
		patch(
			"prego_metrics.exporters.metrics._largest",
			lambda _: [SiteSizes(str(folder), "acme.example", 1, 2, _NOW)],
		),
		patch(
			"prego_metrics.exporters.queues.read_queues",
			lambda *_: [RqQueue("default", 3, _NOW - 60, 2, 1, 1)],
		),
	):
		return samples(openmetrics(config, State(last=push, last_delivered=push), now=_NOW))


@functools.cache
def metric_names() -> frozenset[str]:
	"""The names of all metrics that a node can have."""
	with tempfile.TemporaryDirectory() as folder:
		return frozenset(name for name, _ in whole_node(Path(folder)))
