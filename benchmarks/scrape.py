"""A scrape of a node with 10,000 tenants in the usage store, with the default `tenant_series` and with all of them shown.

The census, the usage store and prometheus_client's text together, in this process, on warm caches. The time that
passes and the time on the CPU are both told: on a machine that does other work only the second is the scrape's.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))
sys.path.insert(0, str(CHECKOUT / "benchmarks"))

from census import SITES, lay_out  # noqa: E402

from prego_metrics.agent.bench.locate import open_bench  # noqa: E402
from prego_metrics.agent.collectors.tenant_count import count_tenants  # noqa: E402
from prego_metrics.agent.config.config import Config, load_config  # noqa: E402
from prego_metrics.agent.state.model import State  # noqa: E402
from prego_metrics.exporters.metrics import metrics_text  # noqa: E402
from prego_metrics.tenants.inventory.database import DatabaseUsage  # noqa: E402
from prego_metrics.tenants.inventory.site_folder import locate_sites, read_site  # noqa: E402
from prego_metrics.tenants.inventory.tenant import Tenant  # noqa: E402
from prego_metrics.tenants.usage.writer import UsageWriter  # noqa: E402

TIMES = 15
TARGETS_MS = {1_000: 300, SITES: 600}


def main() -> None:
	with tempfile.TemporaryDirectory(prefix="prego-scrape-") as folder:
		lay_out(Path(folder))
		time.sleep(0.1)  # the census waits for a folder that was changed a moment ago
		fill_cache(load_config(open_bench(folder), {}))
		for series, target_ms in TARGETS_MS.items():
			measure(folder, series, target_ms)


def measure(folder: str, series: int, target_ms: int) -> None:
	"""Time the scrapes with so many tenants shown, and print a line."""
	config = load_config(open_bench(folder), {"PREGO_METRICS_TENANT_SERIES": str(series)})
	text = metrics_text(config, State())[0].decode()
	for name in ("files_bytes", "database_bytes", "backup_timestamp_seconds"):
		assert text.count(f"prego_tenant_{name}{{") == series, name
	taken = [milliseconds(config) for _ in range(TIMES)]
	passed, cpu = ([pair[column] for pair in taken] for column in (0, 1))
	print(
		f"scrape of {SITES:,} tenants, {series:,} shown (target {target_ms} ms or less): "
		f"median {statistics.median(passed):.0f} ms, best {min(passed):.0f} ms; on the CPU "
		f"{statistics.median(cpu):.0f} ms; {TIMES} times; {len(text) / 1e6:.1f} MB; "
		f"Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}"
	)


def fill_cache(config: Config) -> None:
	"""Keep the same figures for each site, as a scan would."""
	located = locate_sites(config, count_tenants(config))
	disk, now = read_site(located[0], sizes=True), time.time()
	disk = dataclasses.replace(disk, backups=dataclasses.replace(disk.backups, newest_at=now))
	base = DatabaseUsage(data_bytes=123_456_789, index_bytes=23_456_789)
	with UsageWriter(config.bench.sites) as store:
		for one in located:
			store.save(Tenant(one.site, disk, base, now))


def milliseconds(config: Config) -> tuple[float, float]:
	"""Return what passed and what it took on the CPU."""
	gc.collect()
	began, cpu_began = time.perf_counter(), time.process_time()
	metrics_text(config, State())
	return 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - cpu_began)


if __name__ == "__main__":
	main()
