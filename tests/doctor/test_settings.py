"""The doctor on settings, key, tenants and host: each made to pass, to warn and to fail on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examining import URL, Run, checks, judge

# --- configuration and key ---------------------------------------------------------------------------


def test_every_problem_of_the_configuration_is_named(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="..", control_plane_url="http://far.example", push_intervall=60)
	made = checks(bench, environ, online=True)
	assert made["configuration"].state == "fail"
	for words in ("node_id = ", "control_plane_url = ", "push_intervall"):
		assert words in made["configuration"].seen
	assert made["control_plane"].state == "skip"


@pytest.mark.parametrize("content", ["{", "[]", '{"prego_metrics": 7}', ""])
def test_a_broken_common_configuration_fails_and_exits_1(
	run_agent: Run, bench: Path, environ: dict[str, str], content: str
) -> None:
	(bench / "sites" / "common_site_config.json").write_text(content)
	ended = run_agent("doctor", "--json", "--bench", bench, **environ)
	assert (ended.returncode, ended.stderr) == (1, "")
	states = {check["name"]: check["state"] for check in json.loads(ended.stdout)["checks"]}
	assert states["configuration"] == "fail"
	assert states["tenants"] == "fail"
	assert states["control_plane"] == "skip"


def test_an_interval_outside_the_runbook_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path], control_plane: Any
) -> None:
	settings(bench, node_id="node-1", control_plane_url=control_plane.url, push_interval=30)
	check = judge(bench, environ, "configuration")
	assert check.state == "warn" and "outside the runbook's 60 to 300 seconds" in check.seen


def test_without_a_key_the_check_says_where_it_belongs(bench: Path) -> None:
	check = judge(bench, {}, "api_key")
	assert check.state == "fail" and "there is no key: set INTERNAL_API_KEY" in check.seen


def test_an_empty_key_beside_a_key_file_is_a_warning(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("a-key\n")
	(tmp_path / "key").chmod(0o600)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "key"))
	assert judge(bench, {}, "api_key").state == "pass"
	check = judge(bench, {"INTERNAL_API_KEY": ""}, "api_key")
	assert check.state == "warn" and "is empty and counts as unset" in check.seen


def test_a_key_file_that_others_can_read_is_a_failure_with_the_command_that_mends_it(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	(tmp_path / "key").write_text("a-key-of-secrets\n")
	(tmp_path / "key").chmod(0o644)
	settings(bench, node_id="node-1", control_plane_url=URL, api_key_file=str(tmp_path / "key"))
	check = judge(bench, {}, "api_key")
	assert check.state == "fail" and "0644" in check.seen and "chmod 600" in check.seen
	assert "a-key-of-secrets" not in check.seen + check.action


# --- tenants and host --------------------------------------------------------------------------------


def test_an_empty_bench_is_a_failure(
	environ: dict[str, str], make_bench: Callable[..., Path], tmp_path: Path
) -> None:
	check = judge(make_bench(tmp_path / "empty-bench"), environ, "tenants")
	assert check.state == "fail" and "holds no site at all" in check.seen


def test_a_bench_that_cannot_be_read_is_a_failure(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, benches=[str(bench), "/no/such/bench"])
	assert judge(bench, environ, "tenants").state == "fail"


def test_all_sites_excluded_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, exclude_sites=["*"])
	check = judge(bench, environ, "tenants")
	assert (check.state, check.seen) == ("warn", "0 tenants of 3 sites: all are excluded")


def test_a_site_that_cannot_be_judged_is_a_warning_that_names_it(
	bench: Path, environ: dict[str, str], make_site: Callable[..., Path]
) -> None:
	(make_site(bench, "half\x1b[31m.example") / "site_config.json").write_text("{")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert check.seen.startswith("4 tenants of 4 sites\nsite half\\x1b[31m.example: counted, though")


def test_the_operators_own_site_that_is_counted_is_said_with_how_to_exclude_it(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, site="acme.example")
	check = judge(bench, environ, "tenants")
	assert check.state == "warn"
	assert "the operator's site acme.example is counted as a tenant" in check.seen
	assert "prego-metrics configure --exclude-sites acme.example" in check.action
	settings(bench, node_id="node-1", control_plane_url=URL, site="acme.example", exclude_sites=["acme.*"])
	assert judge(bench, environ, "tenants").state == "pass"


def test_a_figure_of_the_host_that_cannot_be_read_is_a_warning(
	bench: Path, environ: dict[str, str], settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url=URL, disk_paths=["/no/such/disk"])
	check = judge(bench, environ, "host")
	assert check.state == "warn"
	assert "disk unknown" in check.seen and "/no/such/disk" in check.seen
