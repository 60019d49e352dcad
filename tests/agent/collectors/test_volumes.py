"""File systems that hold sites or MariaDB's data are found, whether disk_paths names them or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from censuses import counted

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors import volumes
from prego_metrics.agent.collectors.volumes import mariadb_folders, mount_point, unwatched_volumes
from prego_metrics.agent.config.config import load_config

MEMORY = Path("/dev/shm")


@pytest.fixture
def on_another_volume(bench_folder: Path) -> Path:
	if not MEMORY.is_dir() or MEMORY.stat().st_dev == bench_folder.stat().st_dev:
		pytest.skip("there is no second file system here")
	import tempfile

	return Path(tempfile.mkdtemp(dir=MEMORY, prefix="prego-metrics-test-"))


@pytest.fixture(autouse=True)
def no_mariadb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
	monkeypatch.setattr(volumes, "_MARIADB_FOLDER", str(tmp_path / "no-mysql"))
	monkeypatch.setattr(volumes, "_MARIADB_FILES", (str(tmp_path / "*.cnf"),))
	return tmp_path


def test_the_volume_of_a_linked_site_is_named_until_disk_paths_has_it(
	bench_folder: Path, on_another_volume: Path
) -> None:
	(on_another_volume / "site_config.json").write_text("{}")
	(bench_folder / "sites" / "far.example").symlink_to(on_another_volume)
	bench = open_bench(str(bench_folder))
	try:
		census = counted(bench_folder)
		assert len(census.volumes) == 2
		assert unwatched_volumes(load_config(bench, {}), census) == [str(MEMORY)]
		watched = {"PREGO_METRICS_DISK_PATHS": f'["/", "{bench_folder}", "{MEMORY}"]'}
		assert unwatched_volumes(load_config(bench, watched), census) == []
	finally:
		os.unlink(on_another_volume / "site_config.json")
		on_another_volume.rmdir()


def test_the_volume_of_mariadbs_data_is_named(
	bench_folder: Path, on_another_volume: Path, no_mariadb: Path
) -> None:
	(no_mariadb / "server.cnf").write_text(f"[mysqld]\n# datadir = /gone\ndatadir = '{on_another_volume}'\n")
	try:
		assert mariadb_folders() == [str(no_mariadb / "no-mysql"), str(on_another_volume)]
		config = load_config(open_bench(str(bench_folder)), {})
		assert unwatched_volumes(config, counted(bench_folder)) == [str(MEMORY)]
	finally:
		on_another_volume.rmdir()


def test_a_bench_on_watched_file_systems_alone_gives_no_cause(bench_folder: Path) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	assert unwatched_volumes(config, counted(bench_folder)) == []
	assert mount_point("/") == "/"
