"""A tenant on another volume that is gone while its entry is there stops the count until the operator decides."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from censuses import OTHER_USER, Kernel, MakeBench, MakeSite, counted, reason, verdicts

from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.base.files import opened_folder
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.lost_sites import marks_of, require_none_lost
from prego_metrics.agent.collectors.second_looks import Listing, list_absent, look_again
from prego_metrics.agent.collectors.sightings import Pass
from prego_metrics.agent.collectors.sites import Exclusion
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config


@pytest.fixture
def volume(tmp_path: Path) -> Path:
	folder = tmp_path / "volume"
	for name in ("delta.example", "echo.example"):
		(folder / name).mkdir(parents=True)
		(folder / name / "site_config.json").write_text("{}")
	return folder


@pytest.fixture
def linked(bench_folder: Path, volume: Path) -> Path:
	"""The sites folder of a bench with three sites, and two more as links to a volume."""
	for name in ("delta.example", "echo.example"):
		(bench_folder / "sites" / name).symlink_to(volume / name)
	return bench_folder / "sites"


def quick(sites: Path) -> Census:
	return Kernel(sites.parent).census()


def refused(sites: Path, marks: tuple[str, ...], *exclude: str) -> list[str]:
	"""Return the paths that stop a count."""
	with pytest.raises(CensusError) as raised:
		require_none_lost(quick(sites), exclude, marks)
	assert raised.value.code == "sites_lost"
	return str(raised.value.message.params["paths"]).split(", ")


def test_marks_are_of_the_tenants_on_another_volume_alone(linked: Path, volume: Path) -> None:
	(linked / "www.acme.example").symlink_to("acme.example")
	(linked / "assets").symlink_to(volume)
	census = counted(linked.parent, "echo.*")
	assert census.elsewhere == ((str(linked.parent), "delta.example"),)
	assert len(marks_of(census)) == 1


@pytest.mark.parametrize("what", ["unmounted", "an empty folder", "a file", "a loop"])
def test_a_link_that_was_a_tenant_and_leads_to_no_site_stops_the_count(
	linked: Path, volume: Path, what: str
) -> None:
	marks = marks_of(quick(linked))
	require_none_lost(quick(linked), (), marks)
	if what == "unmounted":
		volume.rename(volume.with_name("elsewhere"))
	else:
		for name in ("delta.example", "echo.example"):
			shutil.rmtree(volume / name)
			if what == "an empty folder":
				(volume / name).mkdir()
			elif what == "a file":
				(volume / name).write_text("")
			else:
				(volume / name).symlink_to(name)
	assert quick(linked).tenant_count == 3
	assert refused(linked, marks) == [f"{linked}/delta.example", f"{linked}/echo.example"]


def test_the_operator_ends_it_by_the_entry_the_mount_or_the_exclusion(linked: Path, volume: Path) -> None:
	marks = marks_of(quick(linked))
	volume.rename(volume.with_name("elsewhere"))
	require_none_lost(quick(linked), ["delta.*", "echo.example"], marks)
	assert refused(linked, marks, "delta.*") == [f"{linked}/echo.example"]
	(linked / "echo.example").unlink()
	assert refused(linked, marks) == [f"{linked}/delta.example"]
	volume.with_name("elsewhere").rename(volume)
	require_none_lost(quick(linked), (), marks)


def test_a_link_that_never_counted_and_a_site_that_moved_stop_nothing(linked: Path, volume: Path) -> None:
	(linked / "old.example").symlink_to("nowhere")
	marks = marks_of(quick(linked))
	(linked / "delta.example").unlink()
	(volume / "delta.example").rename(linked / "delta.example")
	(linked / "echo.example").rename(linked / "renamed.example")
	census = quick(linked)
	require_none_lost(census, (), marks)
	assert census.tenant_count == 5


def test_a_site_whose_configuration_was_a_link_that_leads_nowhere_now_stops_the_count(
	bench_folder: Path, tmp_path: Path
) -> None:
	sites, secrets = bench_folder / "sites", tmp_path / "secrets"
	secrets.mkdir()
	for name in ("acme.example", "never.example"):
		(sites / name).mkdir(exist_ok=True)
		(sites / name / "site_config.json").unlink(missing_ok=True)
		(sites / name / "site_config.json").symlink_to(secrets / name)
	(secrets / "acme.example").write_text("{}")
	marks = marks_of(quick(sites))
	assert quick(sites).tenant_count == 3
	secrets.rename(tmp_path / "elsewhere")
	assert refused(sites, marks) == [f"{sites}/acme.example"]
	require_none_lost(quick(sites), ["acme.*"], marks)


def test_a_bench_of_a_pattern_behind_a_link_that_leads_nowhere_now_stops_the_count(
	bench_folder: Path, make_bench: MakeBench, tmp_path: Path
) -> None:
	far, homes = make_bench(tmp_path / "far-bench", "far.example"), tmp_path / "homes"
	homes.mkdir()
	(homes / "near").symlink_to(bench_folder)
	(homes / "far").symlink_to(far)
	(homes / "never").symlink_to("nowhere")
	benches = {"PREGO_METRICS_BENCHES": f'["{homes}/*"]'}
	config = load_config(open_bench(str(bench_folder)), benches)
	census = count_tenants(config)
	marks = marks_of(census, config.benches)
	assert census.tenant_count == 4
	far.rename(tmp_path / "away")
	with pytest.raises(CensusError) as raised:
		count_tenants(config, marks)
	assert (raised.value.code, raised.value.message.params["paths"]) == ("benches_lost", f"{homes}/far")
	(homes / "far").unlink()
	assert count_tenants(config, marks).tenant_count == 3


def test_many_lost_sites_are_named_in_part(bench_folder: Path, volume: Path) -> None:
	for number in range(9):
		(bench_folder / "sites" / f"s{number}").symlink_to(volume / f"s{number}")
		(volume / f"s{number}").mkdir()
		(volume / f"s{number}" / "site_config.json").write_text("{}")
	marks = marks_of(quick(bench_folder / "sites"))
	volume.rename(volume.with_name("elsewhere"))
	named = refused(bench_folder / "sites", marks)
	assert len(named) == 6 and named[-1] == "… (9)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_mount_point_that_was_a_tenant_and_is_empty_stops_the_count(
	bench_folder: Path, volume: Path, run_mounted: Callable[..., list[str]], kind: str
) -> None:
	(bench_folder / "sites" / "far.example").mkdir()
	lines = run_mounted(bench_folder / "sites" / "far.example", kind, volume / "delta.example")
	assert lines == ["4", "sites_lost", str(bench_folder / "sites" / "far.example")]


_MOUNTED = """
import subprocess, sys
from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.lost_sites import marks_of
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
place = sys.argv[1]
config = load_config(open_bench(sys.argv[2]), {})
how = ["--bind", sys.argv[4]] if sys.argv[3] == "bind" else ["-t", "tmpfs", "tmpfs"]
subprocess.run(["mount", *how, place], check=True)
open(place + "/site_config.json", "w").write("{}")
census = count_tenants(config)
print(census.tenant_count)
subprocess.run(["umount", place], check=True)
try:
	print(count_tenants(config, marks_of(census)).tenant_count)
except CensusError as error:
	print(error.code, error.message.params["paths"], sep="\\n")
"""


_BENCHES = """
import json, os, shutil, subprocess, sys
from prego_metrics.agent.base.errors import CensusError
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.lost_sites import marks_of
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
bench, homes = sys.argv[1:]

def count(marks=()):
	config = load_config(open_bench(bench), {})
	try:
		census = count_tenants(config, marks)
	except CensusError as error:
		print(error.code, error.message.params["paths"])
		return marks
	print(census.tenant_count)
	return marks_of(census, config.benches)

def settings(**values):
	path = bench + "/sites/common_site_config.json"
	written = json.load(open(path))
	json.dump({**written, "prego_metrics": values}, open(path, "w"))

far = homes + "/far"
os.mkdir(far)
settings(benches=[bench, homes + "/*/frappe-bench"])
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", far], check=True)
shutil.copytree(bench, far + "/frappe-bench")
os.makedirs(homes + "/near/frappe-bench/sites")
shutil.copytree(bench, homes + "/near/frappe-bench", dirs_exist_ok=True)
marks = count()
subprocess.run(["umount", far], check=True)
count(marks)
settings(benches=[bench, homes + "/near/frappe-bench"])
count(marks)
settings(benches=[bench, homes + "/*/frappe-bench"])
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", far], check=True)
count(marks)
subprocess.run(["umount", far], check=True)
count(marks)
os.rmdir(far)
count(marks)
shutil.copytree(homes + "/near", homes + "/third")
shutil.rmtree(homes + "/near/frappe-bench")
count(marks)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_bench_of_a_pattern_that_lost_its_volume_stops_the_count(
	bench_folder: Path, tmp_path: Path
) -> None:
	homes = tmp_path / "homes"
	homes.mkdir()
	lost = f"benches_lost {homes}/far"
	# Both; unmounted; named one by one; mounted and empty, so removed; unmounted; gone; one removed that was on no volume.
	seen = in_a_mount_namespace(_BENCHES, str(bench_folder), str(homes))
	assert seen == ["9", lost, "6", "6", lost, "6", "6"]


def in_a_mount_namespace(script: str, *arguments: str) -> list[str]:

	command = ["unshare", "--mount", sys.executable, "-c", script, *arguments]
	result = subprocess.run(command, capture_output=True, text=True, timeout=30)
	if "unshare" in result.stderr or "mount:" in result.stderr:
		pytest.skip("no mount namespaces here")
	assert result.returncode == 0, result.stderr
	return result.stdout.splitlines()


@pytest.fixture
def run_mounted() -> Callable[..., list[str]]:
	"""`run_mounted(place, kind, source)` counts with a site mounted there, and again without the mount, in a mount namespace."""

	def run(place: Path, kind: str, source: Path) -> list[str]:
		return in_a_mount_namespace(_MOUNTED, str(place), str(place.parents[1]), kind, str(source))

	return run


def test_an_entry_that_was_renamed_meanwhile_is_not_listed_and_so_not_lost(linked: Path) -> None:
	"""A link may move to another bench right after it led nowhere, and its name here is marked."""
	bench, result = open_bench(str(linked)), Pass()
	with opened_folder(bench.sites) as folder:
		listing = Listing(bench, bench.root, folder, Exclusion(()), time.time())
		list_absent(result, listing, "moved.example", "a symlink that leads nowhere")
		(linked / "moved.example").symlink_to("nowhere")
		assert vars(result) == vars(Pass())
		list_absent(result, listing, "moved.example", "a symlink that leads nowhere")
	(linked / "moved.example").unlink()
	look_again(result, Exclusion(()), lambda seconds: None)
	assert result.not_sites == []


# A link in doubt


def test_a_target_that_is_away_for_a_moment_is_looked_for_again(linked: Path, volume: Path) -> None:
	kernel = Kernel(linked.parent, age_seconds=0.5)
	kernel.clock = time.time  # type: ignore[method-assign]
	away = (volume / "delta.example").rename(volume / "away")
	time.sleep(0.05)
	kernel.at_sleep = lambda number: away.rename(volume / "delta.example") if number == 20 else None
	census = kernel.census()
	assert census.tenant_count == 5 and len(kernel.sleeps) == 20


def test_a_target_that_is_long_gone_costs_no_time(linked: Path, volume: Path) -> None:
	shutil.rmtree(volume / "delta.example")
	kernel = Kernel(linked.parent)
	kernel.clock = lambda: time.time() + 60  # type: ignore[method-assign]
	assert kernel.census().tenant_count == 4
	assert kernel.sleeps == []


def test_a_link_that_may_not_be_followed_counts_with_a_warning(
	shared_folder: Path, make_bench: MakeBench, make_site: MakeSite, as_user: Callable[..., object]
) -> None:
	bench = make_bench(shared_folder / "bench", "open.example")
	closed = shared_folder / "closed"
	make_site(closed, "delta.example")
	for name in ("delta.example", "pool-1", ".hidden"):
		(bench / "sites" / name).symlink_to(closed / "sites" / "delta.example")
	closed.chmod(0o700)

	def as_other() -> list[object]:
		census = counted(bench, "pool-*")
		return [verdicts(census), census.warnings[0], reason(census, "delta.example")]

	found, warning, why = as_user(OTHER_USER, as_other)  # type: ignore[misc]
	assert found == {"open.example": True, "delta.example": True, "pool-1": False}
	assert warning.endswith(why) and "Permission denied" in why
	assert counted(bench, "pool-*").tenant_count == 2


def test_a_count_with_the_marks_of_the_last_one_is_refused(linked: Path, volume: Path) -> None:
	config = load_config(open_bench(str(linked)), {})
	marks = marks_of(count_tenants(config))
	shutil.rmtree(volume)
	with pytest.raises(CensusError):
		count_tenants(config, marks)
