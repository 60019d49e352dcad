"""A site is known by its identity: links and mounts to one elsewhere count once, and further names are aliases."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from censuses import Kernel, MakeBench, MakeSite, counted, verdicts

from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.collectors.census import Census, census_as_dict, take_census


def aliases(census: Census) -> dict[str, str | None]:
	return {entry.name: entry.alias_of for entry in census.not_sites if entry.alias_of}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
	folder = tmp_path / "volume"
	for name in ("delta.example", "pool-9", "empty"):
		(folder / name).mkdir(parents=True)
	for name in ("delta.example", "pool-9"):
		(folder / name / "site_config.json").write_text("{}")
	return folder


def test_a_site_on_another_volume_counts_once_whatever_the_number_of_its_links(
	bench_folder: Path, volume: Path
) -> None:
	sites = bench_folder / "sites"
	(sites / "delta.example").symlink_to(volume / "delta.example")
	(sites / "www.delta.example").symlink_to("delta.example")
	(sites / "shop.delta.example").symlink_to(volume / "delta.example")
	census = counted(bench_folder)
	assert census.tenant_count == 4
	assert verdicts(census)["delta.example"] is True
	assert aliases(census) == dict.fromkeys(("shop.delta.example", "www.delta.example"), "delta.example")


def test_an_alias_of_a_site_among_the_sites_is_listed_with_its_site(bench_folder: Path) -> None:
	(bench_folder / "sites" / "aaa.example").symlink_to("acme.example")
	shown = census_as_dict(counted(bench_folder))
	assert shown["tenant_count"] == 3
	assert shown["not_sites"] == [
		{
			"name": "aaa.example",
			"bench": str(bench_folder),
			"reason": "an alias of acme.example",
			"alias_of": "acme.example",
		}
	]


def test_a_link_counts_by_its_own_name_where_the_name_of_its_target_is_excluded(
	bench_folder: Path, make_site: MakeSite, volume: Path
) -> None:
	make_site(bench_folder, "pool-1")
	make_site(bench_folder, "other.example", prego_tenant=0)
	sites = bench_folder / "sites"
	(sites / "assigned.example").symlink_to("pool-1")
	(sites / "www.other.example").symlink_to("other.example")
	(sites / "pool-9").symlink_to(volume / "pool-9")
	census = counted(bench_folder, "pool-*")
	assert census.tenant_count == 4
	assert aliases(census) == {"pool-1": "assigned.example", "www.other.example": "other.example"}
	assert verdicts(census)["pool-9"] is False


@pytest.mark.parametrize(
	("target", "reason"),
	[
		("gone", "a symlink that leads nowhere"),
		("link", "a symlink that leads nowhere"),
		(".", "a symlink to the sites themselves"),
		("apps.txt", "a symlink to what is no folder"),
		("../../volume/empty", "no site_config.json"),
	],
)
def test_a_link_to_what_is_no_site_is_none(
	bench_folder: Path, volume: Path, target: str, reason: str
) -> None:
	(bench_folder / "sites" / "site_config.json").write_text("{}")
	(bench_folder / "sites" / "link").symlink_to(target)
	census = counted(bench_folder)
	assert census.tenant_count == 3
	assert [entry.reason for entry in census.not_sites if entry.name == "link"] == [reason]


def test_a_site_that_two_benches_hold_counts_once(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	other = make_bench(tmp_path / "other")
	(other / "sites" / "acme.example").symlink_to(bench_folder / "sites" / "acme.example")
	for paths in ([str(bench_folder), str(other)], [str(other), str(bench_folder)]):
		census = take_census(open_benches(paths))
		assert census.tenant_count == 3
		assert [(entry.bench, entry.reason) for entry in census.not_sites if entry.alias_of] == [
			(str(other), f"an alias of acme.example in {bench_folder}")
		]
	assert counted(other).tenant_count == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_bind_mount_of_a_site_is_an_alias_of_it(bench_folder: Path) -> None:
	import subprocess
	import sys

	target = bench_folder / "sites" / "bound.example"
	target.mkdir()
	source = bench_folder / "sites" / "acme.example"
	command = 'mount --bind "$1" "$2" && exec "$3" -m prego_metrics.cli tenants --bench "$4" --json'
	arguments = [str(source), str(target), sys.executable, str(bench_folder)]
	result = subprocess.run(
		["unshare", "--mount", "sh", "-c", command, "sh", *arguments], capture_output=True, text=True
	)
	if "unshare" in result.stderr or "mount:" in result.stderr:
		pytest.skip("no mount namespaces here")
	shown = json.loads(result.stdout)
	assert shown["tenant_count"] == 3
	assert [entry["alias_of"] for entry in shown["not_sites"] if entry["name"] == "bound.example"] == [
		"acme.example"
	]


# Several benches are one moment


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_site_that_moves_between_two_benches_while_they_are_read_counts_once(
	tmp_path: Path, make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]
) -> None:
	folders = [make_bench(tmp_path / name, *(f"{name}-{n}.example" for n in range(3))) for name in ("a", "b")]
	folders = [folders[index] for index in order]
	kernel = Kernel(folders[0])
	listed: list[str] = []
	scandir = os.scandir

	def move_before_the_second_listing(path: str) -> object:
		listed.append(path)
		if len(listed) == 2:
			site = sorted((folders[index_of_source] / "sites").glob("*.example"))[0]
			site.rename(folders[1 - index_of_source] / "sites" / site.name)
		return scandir(path)

	for source in (0, 1):
		index_of_source = source
		listed.clear()
		with monkeypatch.context() as patched:
			patched.setattr(os, "scandir", move_before_the_second_listing)
			census = take_census(
				open_benches([str(folder) for folder in folders]), clock=kernel.clock, sleep=kernel.sleep
			)
		assert census.tenant_count == 6
		assert aliases(census) == {}


def test_a_bench_that_lost_its_sites_is_a_doubt_though_another_one_has_some(
	tmp_path: Path, make_bench: MakeBench, bench_folder: Path
) -> None:
	empty = make_bench(tmp_path / "empty")
	with pytest.raises(CensusError) as raised:
		take_census(open_benches([str(bench_folder), str(empty)]))
	assert raised.value.code == "no_site"
