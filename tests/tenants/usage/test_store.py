"""A damaged store of figures: one clear error for whoever reads, and a new store with the next scan."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.usage.reader import stored_tenants
from prego_metrics.tenants.usage.scan import scan_tenants
from prego_metrics.tenants.usage.store import CorruptStore
from prego_metrics.tenants.usage.writer import UsageWriter

Run = Callable[..., subprocess.CompletedProcess[str]]
GARBAGE = b"this is no database" * 1000


def file_of(bench_folder: Path) -> Path:
	return bench_folder / "sites" / ".prego-metrics" / "tenants.sqlite"


@pytest.fixture
def scanned(bench_folder: Path) -> Path:
	scan_tenants(load_config(open_bench(str(bench_folder)), {}), {})
	return bench_folder


def test_reading_what_is_no_database_names_the_file_and_what_to_do(scanned: Path) -> None:
	file_of(scanned).write_bytes(GARBAGE)
	with pytest.raises(CorruptStore) as raised:
		stored_tenants(str(scanned / "sites"))
	assert str(file_of(scanned)) in str(raised.value) and "tenants --scan" in str(raised.value)
	assert file_of(scanned).read_bytes() == GARBAGE


def test_a_scan_sets_a_damaged_file_aside_and_says_so(scanned: Path, run_agent: Run) -> None:
	file_of(scanned).write_bytes(GARBAGE)
	journal = file_of(scanned).with_name("tenants.sqlite-journal")
	journal.write_bytes(b"of the old file")
	result = run_agent("tenants", "--scan", "--bench", scanned)
	assert result.returncode == 0 and "moved to tenants.sqlite.set-aside" in result.stderr
	assert file_of(scanned).with_name("tenants.sqlite.set-aside").read_bytes() == GARBAGE
	assert not journal.exists()
	assert len(stored_tenants(str(scanned / "sites"))) == 3
	again = run_agent("tenants", "--scan", "--bench", scanned)
	assert again.returncode == 0 and "set aside" not in again.stderr


def test_a_second_damaged_file_leaves_the_first_as_it_was_and_no_more_than_three_are_kept(
	scanned: Path, run_agent: Run
) -> None:
	for number in range(1, 6):
		file_of(scanned).write_bytes(GARBAGE + b"%d" % number)
		last = run_agent("tenants", "--scan", "--bench", scanned)
		assert last.returncode == 0
	assert "moved to tenants.sqlite.set-aside-3, " in last.stderr
	kept = {path.name: path.read_bytes()[-1:] for path in file_of(scanned).parent.glob("*set-aside*")}
	assert kept == {
		"tenants.sqlite.set-aside": b"1",
		"tenants.sqlite.set-aside-2": b"2",
		"tenants.sqlite.set-aside-3": b"5",
	}


def test_damage_in_the_middle_of_the_file_is_found_before_a_scan_writes(scanned: Path) -> None:
	with open(file_of(scanned), "r+b") as file:
		file.seek(4096)  # the first page still says that it is a database
		file.write(os.urandom(4096))
	with UsageWriter(str(scanned / "sites")) as store, pytest.raises(CorruptStore):
		store.check()
	assert scan_tenants(load_config(open_bench(str(scanned)), {}), {}).set_aside


def test_a_file_that_somebody_locks_is_not_taken_for_a_damaged_one(
	scanned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	import sqlite3

	from prego_metrics.tenants.usage import store as tenant_history

	monkeypatch.setattr(tenant_history, "_BUSY_SECONDS", 0.05)
	holder = sqlite3.connect(file_of(scanned))
	try:
		holder.execute("BEGIN EXCLUSIVE")
		with pytest.raises(tenant_history.StoreError, match="locked") as raised:
			scan_tenants(load_config(open_bench(str(scanned)), {}), {})
	finally:
		holder.close()
	assert not isinstance(raised.value, CorruptStore)
	assert not file_of(scanned).with_name("tenants.sqlite.set-aside").exists()
