"""`tenants`: every site with its verdict, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from command_lines import Run


def test_tenants_shows_every_site_with_its_verdict_and_why(run_agent: Run, mixed_bench: Path) -> None:
	result = run_agent("tenants", "--bench", mixed_bench)
	assert (result.returncode, result.stderr) == (0, "")
	assert re.search(r"^Site +Counted +Why", result.stdout)
	assert re.search(r"^acme\.example +yes +tenant *$", result.stdout, re.MULTILINE)
	assert re.search(r"^pool-001 +no +excluded by exclude_sites: pool-\* *$", result.stdout, re.MULTILINE)
	assert re.search(r"^training\.example +no +\"prego_tenant\" is false", result.stdout, re.MULTILINE)
	assert "alias.example (an alias of acme.example)" in " ".join(result.stdout.split())
	assert result.stdout.endswith("3 tenants of 5 sites\n")


def test_tenants_json_has_the_shape_of_the_design(run_agent: Run, mixed_bench: Path) -> None:
	result = run_agent("tenants", "--json", "--bench", mixed_bench)
	assert (result.returncode, result.stderr) == (0, "")
	written = json.loads(result.stdout)
	assert written["tenant_count"] == 3
	assert [site["site"] for site in written["sites"] if site["counted"]] == [
		"acme.example",
		"brightfoods.example",
		"cedar.example",
	]
	assert written["sites"][3] == {
		"site": "pool-001",
		"bench": str(mixed_bench),
		"counted": False,
		"reason": "excluded by exclude_sites: pool-*",
		"reason_code": "excluded_by_pattern",
	}
	assert all(
		list(site) == ["site", "bench", "counted", "reason", "reason_code"] for site in written["sites"]
	)
	assert {entry["name"] for entry in written["not_sites"]} == {"archived", "alias.example"}


def test_tenants_names_the_bench_of_each_site_when_there_are_several(
	run_agent: Run, bench_folder: Path, make_bench: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	other = make_bench(bench_folder.parent / "other-bench", "delta.example")
	settings(bench_folder, benches=[str(bench_folder), str(other), f"{bench_folder.parent}/*-bench"])
	result = run_agent("tenants", "--bench", bench_folder)
	assert re.search(r"^Site +Bench +Counted +Why", result.stdout)
	assert result.stdout.endswith("4 tenants of 4 sites\n")
	written = json.loads(run_agent("tenants", "--json", "--bench", bench_folder).stdout)
	assert {site["bench"] for site in written["sites"]} == {str(bench_folder), str(other)}


def test_tenants_of_a_bench_without_sites_is_null_and_exit_2(
	run_agent: Run, make_bench: Callable[..., Path], tmp_path: Path
) -> None:
	empty = make_bench(tmp_path / "empty-bench")
	result = run_agent("tenants", "--json", "--bench", empty)
	assert result.returncode == 2
	written = json.loads(result.stdout)
	assert (written["tenant_count"], written["sites"]) == (None, [])
	assert written["error_code"] == "no_site"
	result = run_agent("tenants", "--bench", empty)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr.startswith("Error: ") and "has no sites" in result.stderr


def test_tenants_of_no_bench_is_null_too(run_agent: Run, tmp_path: Path) -> None:
	result = run_agent("tenants", "--json", "--bench", tmp_path)
	assert (result.returncode, json.loads(result.stdout)["tenant_count"]) == (2, None)


def test_all_sites_excluded_is_a_true_0(
	run_agent: Run, bench_folder: Path, settings: Callable[..., Path]
) -> None:
	settings(bench_folder, exclude_sites=["*"])
	result = run_agent("tenants", "--json", "--bench", bench_folder)
	assert (result.returncode, json.loads(result.stdout)["tenant_count"]) == (0, 0)
