"""When a scan is due, which site it reads first, and what the doctor says of its age."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.doctor import tenant_usage
from prego_metrics.doctor.check import Check
from prego_metrics.doctor.runner import examine
from prego_metrics.tenants.inventory.site_folder import LocatedSite
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage import scan
from prego_metrics.tenants.usage.scan_status import ScanStatus, is_due, is_under_way, last_scan
from prego_metrics.tenants.usage.writer import UsageWriter

HOUR = 3600.0
NOW = 1_800_000_000.0


def begun(hours_ago: float, *, ended: bool = True) -> ScanStatus:
	at = NOW - hours_ago * HOUR
	return ScanStatus(at, at + 60 if ended else None, 3, at)


@pytest.mark.parametrize(
	("status", "hour", "due"),
	[
		(None, 12, True),
		(begun(1, ended=False), 12, True),
		(begun(19, ended=False), 23, True),
		(begun(23.9), 1, True),
		(begun(23.9), 0, False),
		(begun(1), 2, False),
		(begun(5.9), 4, False),
		(begun(6), 4, True),
		(begun(25.9), 12, False),
		(begun(26), 12, True),
		(begun(-5), 12, True),
	],
)
def test_a_scan_begins_once_a_night_by_day_when_that_was_missed_and_goes_on_at_any_hour(
	status: ScanStatus | None, hour: int, due: bool
) -> None:
	assert is_due(status, NOW, hour) is due


def scan_each_hour(hours: int) -> list[int]:
	"""Return at which of so many hours a scan begins, where each ends at once and the first is at noon."""
	last: ScanStatus | None = None
	begins = []
	for hour in range(hours):
		at = hour * HOUR
		if is_due(last, at, (12 + hour) % 24):
			begins.append(hour)
			last = ScanStatus(at, at + 60, 3, at)
	return begins


def test_after_the_first_one_there_is_one_a_night() -> None:
	assert [(12 + hour) % 24 for hour in scan_each_hour(24 * 7)] == [12] + [1] * 7


def test_the_site_that_was_read_longest_ago_is_read_first(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	genuine = scan._read
	read: list[str] = []

	def killed_at_the_second(located: LocatedSite, *rest: object) -> Tenant:
		if rest_of_run.pop():
			raise KeyboardInterrupt
		read.append(located.site.name)
		return genuine(located, *rest)  # type: ignore[arg-type]

	monkeypatch.setattr(scan, "_read", killed_at_the_second)
	# Each run has time for one site, and the scan before it is too old to be continued.
	for at in (1e6, 2e6, 3e6):
		rest_of_run = [True, False]
		with pytest.raises(KeyboardInterrupt):
			scan.scan_tenants(config, {}, clock=lambda at=at: at)
	assert len(read) == len(set(read)) == 3


def test_how_far_a_scan_came_is_known_from_outside(bench_folder: Path) -> None:
	sites = str(bench_folder / "sites")
	assert last_scan(sites) is None and not is_under_way(sites)
	config = load_config(open_bench(str(bench_folder)), {})
	seen: list[tuple[ScanStatus | None, bool]] = []

	def look() -> None:
		seen.append((last_scan(sites), is_under_way(sites)))

	scan.scan_tenants(config, {}, progress=lambda total: contextlib.nullcontext(look))
	assert [status.read for status, _ in seen if status and status.ended_at is None] == [1, 2, 3]
	assert all(under_way for _, under_way in seen)
	result = last_scan(sites)
	assert result and result.ended_at and result.read == 3 and not is_under_way(sites)


@pytest.fixture
def check(bench_folder: Path, settings: Callable[..., Path]) -> Callable[..., Check]:
	# A bench without the app has no scheduler that could scan.
	(bench_folder / "apps" / "prego_metrics").mkdir(parents=True)

	def run(**values: object) -> Check:
		settings(bench_folder, node_id="node-1", control_plane_url="https://x.example", **values)
		return check_again(bench_folder)

	return run


def check_again(bench_folder: Path) -> Check:
	(made,) = examine(open_bench(str(bench_folder)), {}, online=False, only=["tenant_figures"])
	return made


def test_a_scan_that_never_ran_is_a_warning_where_it_should_have_run(
	check: Callable[..., Check], monkeypatch: pytest.MonkeyPatch
) -> None:
	assert check().state == "skip"
	assert check(site="acme.example", scan_tenants=False).state == "skip"
	monkeypatch.setattr(tenant_usage, "FIRST_SCAN_SECONDS", 0.0)
	made = check(site="acme.example")
	assert made.state == "warn" and "prego-metrics tenants --scan" in made.action


def test_the_first_scan_is_awaited_for_two_hours_after_the_installation(
	bench_folder: Path, check: Callable[..., Check], monkeypatch: pytest.MonkeyPatch
) -> None:
	made = check(site="acme.example")
	assert made.state == "skip" and "within an hour" in made.seen and not made.action
	common, apps = bench_folder / "sites/common_site_config.json", bench_folder / "sites/apps.txt"
	apps.touch()
	for path in (common, apps):
		os.utime(path, (NOW, NOW))
	monkeypatch.setattr(time, "time", lambda: NOW + 1.9 * HOUR)
	assert check_again(bench_folder).state == "skip"
	monkeypatch.setattr(time, "time", lambda: NOW + 2.1 * HOUR)
	assert check_again(bench_folder).state == "warn"


def test_a_site_scanned_two_days_ago_is_a_warning(bench_folder: Path, check: Callable[..., Check]) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	scan.scan_tenants(config, {})
	assert check(site="acme.example").state == "pass"
	ago = time.time() - 49 * HOUR
	with UsageWriter(str(bench_folder / "sites")) as store:
		store.save(replace(store.latest()[0], read_at=ago))
	made = check(site="acme.example")
	assert made.state == "warn" and "2 days old" in made.seen
	assert check(site="acme.example", scan_tenants=False).state == "skip"


def test_a_store_that_cannot_be_read_is_a_warning_that_names_it(
	bench_folder: Path, check: Callable[..., Check]
) -> None:
	folder = bench_folder / "sites" / ".prego-metrics"
	folder.mkdir(mode=0o700)
	(folder / "tenants.sqlite").write_bytes(b"no database at all, and longer than a header" * 40)
	made = check(site="acme.example")
	assert made.state == "warn" and "tenants.sqlite" in made.seen
