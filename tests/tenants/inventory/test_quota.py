"""A tenant over its quota is marked in what is shown; nothing is claimed of what was not read."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prego_metrics.agent.base.messages import Message, translated
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory.backups import Backups
from prego_metrics.tenants.inventory.database import DatabaseUsage
from prego_metrics.tenants.inventory.quota import NO_QUOTA, Quota, quota_of
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk
from prego_metrics.tenants.inventory.tenant import Tenant, tenant_as_dict, warnings_of
from prego_metrics.tenants.usage.reader import stored_tenants
from prego_metrics.tenants.usage.scan import scan_tenants
from prego_metrics.tenants.usage.stored_tenant import tenant_from_stored

Run = Callable[..., subprocess.CompletedProcess[str]]
NOW = 1_795_000_000.0
GB = 10**9
SITE = Site("acme.example", "/bench", True, "tenant")
DISK = SiteOnDisk("mariadb", None, False, (), 2 * GB, GB, 0, Backups(1, 9 * GB, NOW, True))


def tenant(
	disk: SiteOnDisk | None = DISK, database_bytes: int | None = None, quota: Quota | None = None
) -> Tenant:
	database = None if database_bytes is None else DatabaseUsage(database_bytes, 0)
	return Tenant(SITE, disk, database, NOW, quota or Quota(5 * GB))


def quota_warnings(of: Tenant) -> list[str]:
	return [warning for warning in warnings_of(of, NOW) if "quota" in warning]


def test_the_sites_own_quota_wins_over_the_nodes_and_zero_is_none() -> None:
	assert quota_of({}, 0.0) == NO_QUOTA
	assert quota_of({}, 2.5) == Quota(2_500_000_000)
	assert quota_of({"prego_quota_gb": 7}, 2.5) == Quota(7 * GB, own=True)
	assert quota_of({"prego_quota_gb": 0}, 2.5) == Quota(None, own=True)


@pytest.mark.parametrize(
	("value", "shown"),
	[
		("5", '"5"'),
		(None, "null"),
		(-1, "-1"),
		(True, "true"),
		([[5]], "list"),
		(float("nan"), "NaN"),
		("\x1b[31m", '"\\\\u001b[31m"'),
	],
)
def test_what_is_no_quota_is_named_and_the_nodes_is_not_taken_for_it(value: object, shown: str) -> None:
	quota = quota_of({"prego_quota_gb": value}, 1.0)
	assert quota == Quota(None, own=True, refused=shown)
	[warning] = quota_warnings(tenant(quota=quota))
	assert "prego_quota_gb" in warning and shown in warning and "0.001 to 100000" in warning


def test_files_and_database_count_and_backups_do_not() -> None:
	assert quota_warnings(tenant(database_bytes=2 * GB)) == []
	assert quota_warnings(tenant(database_bytes=2 * GB + 1)) == [
		"over quota: 5.0 GB of 5.0 GB (100 %)",
	]


def test_a_lower_bound_above_the_quota_still_warns_and_says_so() -> None:
	walked = replace(DISK, public_files_bytes=6 * GB, unreadable=3)
	expected = ["over quota: at least 7.0 GB of 5.0 GB (140 %)"]
	assert quota_warnings(tenant(replace(walked, unreadable=0))) == expected  # without the database
	assert quota_warnings(tenant(walked, database_bytes=0)) == expected


def test_nothing_is_claimed_of_sizes_that_were_not_read() -> None:
	unread = replace(DISK, public_files_bytes=None, private_files_bytes=None)
	assert tenant(unread).quota_used is None and tenant(unread).quota_share is None
	assert quota_warnings(tenant(unread)) == []
	assert tenant_as_dict(tenant(unread), NOW)["quota"]["used_pct"] is None


def test_a_site_that_is_no_tenant_is_not_warned_about() -> None:
	assert warnings_of(replace(tenant(quota=Quota(1)), site=SITE._replace(counted=False)), NOW) == []


def test_every_warning_can_be_translated_and_is_english_in_json() -> None:
	sick = Tenant(
		SITE,
		replace(DISK, unreadable=2, backups=Backups(1, 1, NOW - 86400 * 3, False)),
		DatabaseUsage(9 * GB, 0, failed_jobs_day=4, stuck_mails=5, error="refused"),
		NOW,
		Quota(GB),
	)
	others = [
		replace(sick, disk=replace(DISK, backups=Backups())),
		replace(
			sick, disk=replace(DISK, backups=Backups(error="Permission denied")), quota=Quota(refused="1")
		),
	]
	warnings = [warning for one in (sick, *others) for warning in warnings_of(one, NOW)]
	assert {
		"database: refused",
		"the newest backup is 3.0 days old",
		"the newest backup is incomplete: files, private files or tables are missing",
		"2 entries cannot be read, so the size is a lower bound",
		"failed scheduled jobs in the last day: 4",
		"mails stuck for more than an hour: 5",
		"no backup",
		"the backups cannot be read: Permission denied",
	} < set(warnings)
	assert all(isinstance(warning, Message) for warning in warnings)
	for warning in warnings:
		shown = translated(warning, lambda text: "번역: " + text)
		assert shown.startswith("번역: ") and shown.replace("번역: ", "") == warning
	assert json.loads(json.dumps(tenant_as_dict(sick, NOW)))["warnings"] == list(
		map(str, warnings_of(sick, NOW))
	)


def test_the_store_keeps_a_quota_that_was_refused() -> None:
	stored = json.loads(json.dumps(tenant_as_dict(tenant(quota=Quota(None, True, '"5"')), NOW)))
	assert tenant_from_stored(stored).quota == Quota(None, True, '"5"')


@pytest.mark.parametrize("quota", [5, None, {}, {"bytes": "5", "own": True, "refused": None}, {"bytes": -1}])
def test_a_quota_in_the_store_that_is_none_is_refused(quota: Any) -> None:
	with pytest.raises(ValueError, match="not a stored tenant"):
		tenant_from_stored({**tenant_as_dict(tenant(), NOW), "quota": quota})


def test_a_scan_keeps_the_quota_of_each_site(
	bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	settings(bench_folder, tenant_quota_gb=2)
	make_site(bench_folder, "own.example", prego_quota_gb=1)
	scan_tenants(load_config(open_bench(str(bench_folder)), {}), {})
	found = {one.site.name: one.quota for one in stored_tenants(str(bench_folder / "sites"))}
	assert found["own.example"] == Quota(GB, own=True) and found["acme.example"] == Quota(2 * GB)


def test_a_bad_quota_of_a_site_changes_no_count_and_one_of_the_node_is_an_error(
	bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path], run_agent: Run
) -> None:
	make_site(bench_folder, "own.example", prego_quota_gb="5")
	result = run_agent("tenants", "--json", "--bench", bench_folder)
	assert json.loads(result.stdout)["tenant_count"] == 4
	result = run_agent("tenants", "--sizes", "--bench", bench_folder)
	assert result.returncode == 0 and '! own.example: "prego_quota_gb" is "5"' in result.stdout
	settings(bench_folder, node_id="node-1", control_plane_url="https://control.example")
	payload = json.loads(run_agent("push", "--dry-run", "--bench", bench_folder).stdout)
	assert payload["tenant_count"] == 4 and "quota" not in json.dumps(payload)
	settings(bench_folder, tenant_quota_gb="5")
	for option in ("--sizes", "--scan"):
		result = run_agent("tenants", option, "--bench", bench_folder)
		assert result.returncode == 2 and 'tenant_quota_gb = "5"' in result.stderr
	assert stored_tenants(str(bench_folder / "sites")) == []


def test_the_most_used_come_first_and_each_form_shows_the_share(
	bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path], run_agent: Run
) -> None:
	settings(bench_folder, tenant_quota_gb=1)
	files = make_site(bench_folder, "big.example", prego_quota_gb=0.001) / "public" / "files"
	files.mkdir(parents=True)
	(files / "film").write_bytes(b"x" * 2_000_000)
	options = ("tenants", "--sizes", "--sort", "quota", "--top", "1", "--bench", bench_folder)
	shown = run_agent(*options).stdout
	assert "Quota" in shown and "! big.example: over quota: at least 2.0 MB of 1.0 MB (20" in shown
	[site] = json.loads(run_agent(*options, "--json").stdout)["sites"]
	assert site["quota"]["bytes"] == 10**6 and site["quota"]["used_is_lower_bound"] is True
	[row] = csv.DictReader(run_agent(*options, "--csv").stdout.splitlines())
	assert float(row["quota_used_pct"]) == site["quota"]["used_pct"] >= 200
