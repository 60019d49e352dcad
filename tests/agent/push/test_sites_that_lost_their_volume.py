"""A tenant whose volume is gone does not make the pushed count lower: nothing is sent until somebody decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scraping import openmetrics

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.push.push import dry_run, push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.outcomes import DELIVERED, DRY_RUN, NOT_SENT
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.doctor.check import Examination
from prego_metrics.doctor.runner import examine

REQUEST = Request(trigger="manual", if_due=False, max_attempts=1)


@pytest.fixture
def volume(bench_folder: Path, tmp_path: Path) -> Path:
	site = tmp_path / "volume" / "delta.example"
	site.mkdir(parents=True)
	(site / "site_config.json").write_text("{}")
	(bench_folder / "sites" / "delta.example").symlink_to(site)
	return tmp_path / "volume"


@pytest.fixture
def pushed(bench_folder: Path, control_plane, settings: Callable[..., Path]) -> Callable[..., Result]:
	"""`pushed(**settings)` pushes with these settings."""

	def act(**values: object) -> Result:
		settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url, **values)
		return push(open_bench(str(bench_folder)), REQUEST, {"INTERNAL_API_KEY": control_plane.key})

	return act


def count_of(result: Result) -> object:
	assert result.outcome == DELIVERED, result.error
	assert result.payload
	return result.payload["tenant_count"]


def code_of(result: Result) -> str:
	assert result.outcome == NOT_SENT and result.error
	return result.error.code


def test_nothing_is_sent_while_the_volume_is_gone(
	bench_folder: Path, volume: Path, pushed: Callable[..., Result], run_agent: Callable
) -> None:
	bench = open_bench(str(bench_folder))
	assert count_of(pushed()) == 4
	away = volume.rename(volume.with_name("unmounted"))
	for _ in range(2):
		assert code_of(pushed()) == "sites_lost"
	assert dry_run(bench, {}).error.code == "sites_lost"  # type: ignore[union-attr]
	(check,) = examine(bench, {}, online=False, only=["tenants"])
	assert (check.state, check.code) == ("fail", "sites_lost")
	node = Examination(bench, {})
	assert "prego_tenants" not in openmetrics(node.config, node.state)
	listed = run_agent("tenants", "--json", "--bench", bench_folder)
	assert "delta.example" in listed.stderr and listed.returncode == 0
	assert {entry["name"] for entry in json.loads(listed.stdout)["not_sites"]} >= {"delta.example"}
	away.rename(volume)
	assert count_of(pushed()) == 4
	assert dry_run(bench, {}).outcome == DRY_RUN
	assert "delta.example" not in run_agent("tenants", "--bench", bench_folder).stderr


def test_a_trigger_that_names_the_bench_in_another_way_knows_too(
	bench_folder: Path, volume: Path, pushed: Callable[..., Result], tmp_path: Path
) -> None:
	assert count_of(pushed()) == 4
	volume.rename(volume.with_name("unmounted"))
	(tmp_path / "by-another-name").symlink_to(bench_folder)
	assert dry_run(open_bench(str(tmp_path / "by-another-name")), {}).error.code == "sites_lost"  # type: ignore[union-attr]


def test_a_link_that_is_removed_is_a_site_that_is_gone(
	bench_folder: Path, volume: Path, pushed: Callable[..., Result]
) -> None:
	assert count_of(pushed()) == 4
	volume.rename(volume.with_name("unmounted"))
	(bench_folder / "sites" / "delta.example").unlink()
	assert count_of(pushed()) == 3
	(bench_folder / "sites" / "delta.example").symlink_to(volume / "delta.example")
	assert count_of(pushed()) == 3


def test_a_name_that_is_excluded_is_no_tenant_whether_its_volume_is_there_or_not(
	volume: Path, pushed: Callable[..., Result]
) -> None:
	assert count_of(pushed()) == 4
	volume.rename(volume.with_name("unmounted"))
	assert count_of(pushed(exclude_sites=["delta.example"])) == 3


def test_a_first_push_knows_of_no_lost_volume(volume: Path, pushed: Callable[..., Result]) -> None:
	volume.rename(volume.with_name("unmounted"))
	assert count_of(pushed()) == 3


def test_marks_come_back_from_the_state_and_others_make_it_invalid(
	bench_folder: Path, volume: Path, pushed: Callable[..., Result]
) -> None:
	assert count_of(pushed()) == 4
	folder = StateFolder(str(bench_folder / "sites"))
	(mark,) = folder.read()[0].site_marks
	path = bench_folder / "sites" / ".prego-metrics" / "state.json"
	for wrong in ("x", [mark, 5], [mark.upper() + "Z"], {"a": 1}):
		path.write_text(json.dumps({**json.loads(path.read_text()), "site_marks": wrong}))
		assert folder.read()[1], wrong
