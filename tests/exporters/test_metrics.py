"""What the metrics say, read back by prometheus_client's own parser."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scraping import openmetrics, samples, whole_node
from strategies import folder_names

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.state.model import Push, State
from prego_metrics.exporters import metrics as exporter
from prego_metrics.exporters.metrics import metrics_text
from prego_metrics.tenants.usage.scan import scan_tenants

NOW = 1_795_000_000.0
PAYLOAD = {"node_id": "sg-1", "cpu_pct": 12.5, "memory_pct": 48.1, "tenant_count": 2, "source": "node_push"}


def pushed(at: float = NOW - 41, outcome: str = "delivered") -> Push:
	return Push("x", at, "frappe", outcome, PAYLOAD, 200, 1, 41, None)


def config_of(bench_folder: Path, **environ: str) -> Config:
	return load_config(open_bench(str(bench_folder)), environ)


def test_the_last_push_is_shown_in_base_units(bench_folder: Path) -> None:
	push = pushed()
	state = State(last=push, last_delivered=push, totals={"delivered": 7, "failed": 2})
	found = samples(openmetrics(config_of(bench_folder), state, now=NOW))
	assert found["prego_cpu_ratio", ()] == 0.125
	assert found["prego_memory_ratio", ()] == 0.481
	assert found["prego_push_last_success_timestamp_seconds", ()] == NOW - 41
	assert found["prego_push_duration_seconds", ()] == 0.041
	assert found["prego_push_consecutive_failures", ()] == 0
	assert found["prego_pushes_total", (("outcome", "delivered"),)] == 7
	assert found["prego_pushes_total", (("outcome", "not_sent"),)] == 0


def test_a_figure_that_was_unknown_is_left_out(bench_folder: Path) -> None:
	found = samples(openmetrics(config_of(bench_folder), State(last=pushed()), now=NOW))
	assert ("prego_disk_ratio", ()) not in found


@pytest.mark.parametrize("age", [301, -10])
def test_percentages_that_are_no_longer_fresh_are_left_out(bench_folder: Path, age: float) -> None:
	found = samples(openmetrics(config_of(bench_folder), State(last=pushed(NOW - age)), now=NOW))
	assert not {"prego_cpu_ratio", "prego_memory_ratio", "prego_disk_ratio"} & {name for name, _ in found}
	assert ("prego_pressure_ratio", (("resource", "cpu"),)) in found or not os.path.exists("/proc/pressure")


def test_a_node_that_never_pushed_has_no_time_of_success(bench_folder: Path) -> None:
	found = samples(openmetrics(config_of(bench_folder), State(), now=NOW))
	assert not [name for name, _ in found if "last_success" in name or "duration" in name]


def test_each_site_says_whether_it_counts_and_why(tmp_path: Path, make_bench: Callable[..., Path]) -> None:
	folder = make_bench(tmp_path / "one", "acme.example", "pool-1")
	config = config_of(folder, PREGO_METRICS_EXCLUDE_SITES='["pool-*"]')
	found = samples(openmetrics(config, State(), now=NOW))
	assert found["prego_tenants", ()] == 1
	counted = (("counted", "true"), ("reason", "tenant"), ("site", "acme.example"))
	left_out = (("counted", "false"), ("reason", "excluded by exclude_sites: pool-*"), ("site", "pool-1"))
	assert found["prego_tenant_info", counted] == found["prego_tenant_info", left_out] == 1


def test_one_name_on_two_benches_is_two_series(tmp_path: Path, make_bench: Callable[..., Path]) -> None:
	folders = [make_bench(tmp_path / name, "acme.example") for name in ("one", "two")]
	config = config_of(folders[0], PREGO_METRICS_BENCHES=f'["{folders[0]}", "{folders[1]}"]')
	found = samples(openmetrics(config, State(), now=NOW))
	assert len([name for name, _ in found if name == "prego_tenant_info"]) == 2


def test_a_bench_that_cannot_be_counted_has_no_number_of_tenants(
	tmp_path: Path, make_bench: Callable[..., Path]
) -> None:
	found = samples(openmetrics(config_of(make_bench(tmp_path / "empty")), State(), now=NOW))
	assert ("prego_tenants", ()) not in found
	assert ("prego_push_consecutive_failures", ()) in found


@given(names=st.lists(folder_names, min_size=1, max_size=4, unique=True))
def test_hostile_names_of_sites_are_parsed_back_as_they_are_shown_everywhere(
	tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
	folder = tmp_path_factory.mktemp("hostile")
	(folder / "sites").mkdir()
	(folder / "sites" / "apps.txt").write_text("frappe\n")
	(folder / "sites" / "common_site_config.json").write_text("{}")
	for name in names:
		site = os.path.join(folder, "sites", name)
		if os.path.exists(site):
			continue
		os.mkdir(site)
		Path(site, "site_config.json").write_text("{}")
	found = samples(openmetrics(config_of(folder), State(), now=NOW))
	assert found["prego_tenants", ()] == len([name for name, _ in found if name == "prego_tenant_info"])


def test_sizes_of_the_tenants_come_from_the_store_with_the_labels_as_they_are(
	bench_folder: Path, make_site: Callable[..., Path]
) -> None:
	name = 'say-"hi"-\\.example'
	make_site(bench_folder, name)
	config = config_of(bench_folder)
	scan_tenants(config, {})
	found = samples(openmetrics(config, State(), now=NOW))
	assert found["prego_tenant_files_bytes", (("site", sanitize(name)),)] >= 0
	assert len([1 for metric, _ in found if metric == "prego_tenant_files_bytes"]) == 4


def test_a_thousand_sites_have_series_of_their_own_and_more_only_where_that_is_set(
	tmp_path: Path, make_bench: Callable[..., Path]
) -> None:
	folder = make_bench(tmp_path / "many", *(f"t{number}.example" for number in range(1001)))
	names = {
		limit: [name for name, _ in samples(openmetrics(config_of(folder, **limits), State(), now=NOW))]
		for limit, limits in ((None, {}), (1001, {"PREGO_METRICS_TENANT_SERIES": "1001"}))
	}
	assert names[None].count("prego_tenant_info") == 0 and "prego_tenants" in names[None]
	assert names[1001].count("prego_tenant_info") == 1001


def test_a_scrape_asks_each_source_once(bench_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	counted: list[Config] = []
	genuine = exporter.count_tenants
	monkeypatch.setattr(
		exporter, "count_tenants", lambda config, marks: (counted.append(config), genuine(config, marks))[1]
	)
	config = config_of(bench_folder)
	assert "prego_tenants 3" in openmetrics(config, State())
	assert counted == [config]


@pytest.mark.parametrize(
	("accept", "content_type", "is_openmetrics"),
	[
		("", "text/plain; version=0.0.4; charset=utf-8", False),
		("*/*", "text/plain; version=0.0.4; charset=utf-8", False),
		("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8", False),
		("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text", True),
	],
)
def test_the_format_is_the_one_that_the_request_accepts(
	bench_folder: Path, accept: str, content_type: str, is_openmetrics: bool
) -> None:
	content, answered = metrics_text(config_of(bench_folder), State(), accept=accept, now=NOW)
	assert answered.startswith(content_type)
	assert content.endswith(b"# EOF\n") is is_openmetrics
	assert (b"# TYPE prego_build info" in content) is is_openmetrics
	assert b'prego_pushes_total{outcome="delivered"} 0.0' in content


def test_sites_that_are_not_counted_in_time_are_a_gap_and_the_rest_is_there(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	over = threading.Event()
	monkeypatch.setattr(exporter, "COUNT_SECONDS", 0.2)
	monkeypatch.setattr(exporter, "count_tenants", lambda config, marks: over.wait(20))
	# What comes after it has the rest of the time that a scrape has: too little for a store that hangs too.
	monkeypatch.setattr(exporter, "_ALL_SECONDS", 0.5)
	monkeypatch.setattr(exporter, "_largest", lambda config: over.wait(20))
	began = time.monotonic()
	found = samples(openmetrics(config_of(bench_folder), State(), now=NOW))
	over.set()
	assert time.monotonic() - began < 3
	assert ("prego_tenants", ()) not in found
	assert ("prego_memory_total_bytes", ()) in found and ("prego_push_interval_seconds", ()) in found


def test_a_node_of_which_all_is_known(tmp_path: Path) -> None:
	found = whole_node(tmp_path)
	queue = (("queue", "default"),)
	assert found["prego_rq_jobs_waiting", queue] == 3 and found["prego_rq_jobs_failed", queue] == 2
	assert found["prego_rq_workers", queue] == 1
	assert found["prego_rq_oldest_job_timestamp_seconds", queue] == NOW - 60
	assert found["prego_pressure_ratio", (("resource", "memory"),)] == 0.125
	assert found["prego_swap_used_ratio", ()] == 0.25
	assert found["prego_tenant_backup_timestamp_seconds", (("site", "acme.example"),)] == NOW
	assert found["prego_node_info", (("node_id", "sg-1"),)] == 1


def test_the_file_systems_are_those_of_disk_paths_and_of_the_sites(bench_folder: Path) -> None:
	found = samples(openmetrics(config_of(bench_folder, PREGO_METRICS_DISK_PATHS='["/"]'), State(), now=NOW))
	sizes = os.statvfs("/")
	root = (("mountpoint", "/"),)
	assert found["prego_filesystem_size_bytes", root] == sizes.f_blocks * sizes.f_frsize
	mounted = {dict(labels)["mountpoint"] for name, labels in found if name == "prego_filesystem_used_ratio"}
	assert {os.stat(path).st_dev for path in mounted} >= {os.stat("/").st_dev, os.stat(bench_folder).st_dev}
	assert len({os.stat(path).st_dev for path in mounted}) == len(mounted)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_no_name_or_help_against_the_conventions(bench_folder: Path) -> None:
	push = pushed()
	content, _ = metrics_text(config_of(bench_folder), State(last=push, last_delivered=push), now=NOW)
	checked = subprocess.run(["promtool", "check", "metrics"], input=content, capture_output=True)
	assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
