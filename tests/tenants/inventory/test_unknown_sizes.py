"""Where sizes cannot be known, or the scan's own files are not what they were: said, and never a hang."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_tenants import stored_days

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory import backups
from prego_metrics.tenants.inventory.backups import read_backups
from prego_metrics.tenants.inventory.disk_usage import DiskUsage, disk_usage
from prego_metrics.tenants.usage.reader import UsageReader
from prego_metrics.tenants.usage.scan import scan_tenants
from prego_metrics.tenants.usage.store import DAY_SECONDS, StoreError

Run = Callable[..., subprocess.CompletedProcess[str]]
DUMP = "20261123_010203-acme_example-database.sql.gz"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
	"""A folder on another volume, as it were, with one dump of 70 kB."""
	folder = tmp_path / "volume"
	folder.mkdir()
	(folder / DUMP).write_bytes(os.urandom(70_000))
	return folder


def du(tree: Path) -> int:
	"""Return the bytes that `du` has for a tree, also where it could not read all of it."""
	result = subprocess.run(
		["du", "-s", "--block-size=1", str(tree)], capture_output=True, text=True, check=False
	)
	return int(result.stdout.split()[0])


def test_a_tree_that_a_symlink_stands_for_is_not_read_and_that_is_said(elsewhere: Path) -> None:
	link = elsewhere.with_name("files")
	link.symlink_to(elsewhere)
	assert disk_usage(str(link)).unreadable == 1
	assert disk_usage(str(elsewhere)).unreadable == 0


def test_a_folder_that_may_not_be_read_counts_with_its_own_blocks_as_du_has_it(
	elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	(elsewhere / "locked").mkdir()
	expected = DiskUsage(du(elsewhere), 1)
	genuine = os.open

	def refused(path: str, flags: int, **options: int) -> int:
		if path.endswith("/locked"):
			raise PermissionError(errno.EACCES, "Permission denied")
		return genuine(path, flags, **options)

	monkeypatch.setattr(os, "open", refused)
	assert disk_usage(str(elsewhere)) == expected


def test_folders_whose_path_is_too_long_are_a_lower_bound(tmp_path: Path) -> None:
	"""Any app of the bench can nest folders deeper than a path can say."""
	top = tmp_path / "top"
	top.mkdir()
	descriptors = [os.open(top, os.O_RDONLY)]
	try:
		for _ in range(20):
			os.mkdir("n" * 250, dir_fd=descriptors[-1])
			descriptors.append(os.open("n" * 250, os.O_RDONLY, dir_fd=descriptors[-1]))
		usage = disk_usage(str(top))
		assert usage.unreadable == 1 and 0 < usage.bytes <= du(top)
	finally:
		for descriptor in reversed(descriptors[:-1]):
			os.rmdir("n" * 250, dir_fd=descriptor)
		for descriptor in descriptors:
			os.close(descriptor)


def test_a_deep_and_a_wide_tree_take_what_du_says(tmp_path: Path) -> None:
	deep = tmp_path / "tree"
	for number in range(300):
		deep = deep / str(number)
	deep.mkdir(parents=True)
	(deep / "file").write_bytes(b"x" * 10_000)
	for number in range(500):
		(tmp_path / "tree" / f"beside-{number}").mkdir()
	os.mkfifo(tmp_path / "tree" / "fifo")
	assert disk_usage(str(tmp_path / "tree")) == DiskUsage(du(tmp_path / "tree"))


def test_a_site_whose_files_lie_behind_a_symlink_has_a_lower_bound(
	bench_folder: Path, elsewhere: Path, run_agent: Run
) -> None:
	(bench_folder / "sites" / "acme.example" / "public").mkdir(exist_ok=True)
	(bench_folder / "sites" / "acme.example" / "public" / "files").symlink_to(elsewhere)
	result = run_agent("tenants", "--sizes", "--bench", bench_folder)
	assert "acme.example: 1 entries cannot be read, so the size is a lower bound" in result.stdout


def test_backups_behind_a_symlink_are_those_that_are_shown_and_have_their_size(
	tmp_path: Path, elsewhere: Path
) -> None:
	site = tmp_path / "acme.example"
	(site / "private").mkdir(parents=True)
	(site / "private" / "backups").symlink_to(elsewhere)
	(elsewhere / "20261123_010203-other_example-database.sql.gz").write_bytes(b"x" * 70_000)
	found = read_backups(str(site), sizes=True)
	assert (found.count, found.bytes) == (1, (elsewhere / DUMP).stat().st_blocks * 512)


def test_backups_on_a_volume_that_is_not_mounted_are_an_error_and_no_zero(tmp_path: Path) -> None:
	site = tmp_path / "acme.example"
	(site / "private").mkdir(parents=True)
	assert read_backups(str(site), sizes=True).bytes == 0
	(site / "private" / "backups").symlink_to(tmp_path / "lost")
	found = read_backups(str(site), sizes=True)
	assert (found.bytes, found.error) == (None, "it is a broken link")


def test_backups_that_cannot_be_read_whole_have_a_lower_bound(
	tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	(tmp_path / "acme.example" / "private" / "backups").mkdir(parents=True)
	monkeypatch.setattr(backups, "disk_usage", lambda path: DiskUsage(4096, 2))
	assert read_backups(str(tmp_path / "acme.example"), sizes=True).unreadable == 2


def test_a_fifo_in_place_of_the_scans_lock_holds_nobody_up(bench_folder: Path, run_agent: Run) -> None:
	folder = bench_folder / "sites" / ".prego-metrics"
	folder.mkdir(mode=0o700)
	os.mkfifo(folder / "tenants.lock")
	result = run_agent("tenants", "--scan", "--bench", bench_folder)
	assert (result.returncode, result.stderr) == (0, "")


def test_a_file_system_without_flock_is_one_clear_error(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	def refused(descriptor: int, operation: int) -> None:
		raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

	monkeypatch.setattr(fcntl, "flock", refused)
	with pytest.raises(StoreError, match=r"tenants.lock cannot be locked: No locks available"):
		scan_tenants(load_config(open_bench(str(bench_folder)), {}), {})


def test_a_clock_that_went_back_leaves_no_site_that_is_never_scanned_again(bench_folder: Path) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	now = time.time()
	ahead = now + 300 * DAY_SECONDS
	scan_tenants(config, {}, clock=lambda: ahead)
	result = scan_tenants(config, {}, clock=lambda: now)
	assert (result.scanned, result.scanned_before) == (3, 0)
	with UsageReader(str(bench_folder / "sites")) as store:
		assert {tenant.read_at for tenant in store.latest()} == {now}
	# Growth is reckoned from the first to the last day.
	assert stored_days(bench_folder / "sites") == {int(now // DAY_SECONDS)}


def test_times_that_are_none_are_those_of_no_scan(bench_folder: Path) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	scan_tenants(config, {})
	store = sqlite3.connect(bench_folder / "sites" / ".prego-metrics" / "tenants.sqlite")
	with store:
		store.execute("UPDATE scan SET begun_at = 'now', ended_at = NULL")
		store.execute("UPDATE latest SET read_at = 9e999")
	store.close()
	assert scan_tenants(config, {}).scanned == 3


def test_a_store_that_never_comes_to_an_end_is_given_up(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	scan_tenants(config, {})
	store = sqlite3.connect(bench_folder / "sites" / ".prego-metrics" / "tenants.sqlite")
	store.executescript(
		"""DROP TABLE latest; CREATE VIEW latest AS
		WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
		SELECT 'b' AS bench, 's' AS site, 1.0 AS read_at, '{}' AS content, 1 AS total_bytes FROM n WHERE x < 0"""
	)
	store.close()
	began = time.monotonic()
	with UsageReader(str(bench_folder / "sites")) as store:
		monkeypatch.setattr(store, "_limited", lambda: UsageReader._limited(store, 0.3))
		with pytest.raises(StoreError, match="interrupted"):
			store.latest()
	assert time.monotonic() - began < 10
