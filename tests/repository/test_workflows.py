"""The workflows: every action pinned by a commit, no right that a job does not need, each Python that is supported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OURS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ALL = [*OURS, *sorted((ROOT / "deploy/github-actions").glob("*.yml"))]
# What may be more than reading the repository, by workflow and job.
RIGHTS = {
	("release.yml", "build"): {"id-token": "write", "attestations": "write"},
	("release.yml", "publish"): {"id-token": "write"},
	("fleet-freshness.yml", "judge"): {"issues": "write"},
}


def parsed(path: Path) -> dict[Any, Any]:
	workflow = yaml.safe_load(path.read_text())
	assert isinstance(workflow, dict)
	return workflow


def steps(path: Path) -> Iterator[dict[str, Any]]:
	for job in parsed(path)["jobs"].values():
		yield from job["steps"]


def test_the_workflows_are_there() -> None:
	assert [path.name for path in OURS] == ["ci.yml", "frappe.yml", "linters.yml", "release.yml"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_each_action_is_pinned_by_a_full_commit_with_its_version(path: Path) -> None:
	used = re.findall(r"uses: (.*)", path.read_text())
	assert len(used) == len([step for step in steps(path) if "uses" in step]) > 0
	for action in used:
		assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_one_commit_in_all_workflows() -> None:
	pins = {use for path in ALL for use in re.findall(r"uses: (.*)", path.read_text())}
	assert len({pin.split("@")[0] for pin in pins}) == len(pins)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_job_has_no_right_that_it_does_not_need(path: Path) -> None:
	workflow = parsed(path)
	assert workflow["permissions"] in ({}, {"contents": "read"})
	for name, job in workflow["jobs"].items():
		rights = dict(job.get("permissions", workflow["permissions"]))
		assert rights.pop("contents", "read") == "read"
		assert rights == RIGHTS.get((path.name, name), {})
		assert 0 < job["timeout-minutes"] <= 120


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_no_checkout_leaves_its_token_behind(path: Path) -> None:
	for step in steps(path):
		if step.get("uses", "").startswith("actions/checkout@"):
			assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_no_expression_is_written_into_a_script(path: Path) -> None:
	assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


def test_the_suite_runs_on_each_python_of_the_metadata() -> None:
	metadata = (ROOT / "pyproject.toml").read_text()  # 3.10 has no tomllib
	named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', metadata)
	matrix = parsed(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
	assert matrix == named == ["3.10", "3.11", "3.12", "3.13", "3.14"]
	assert f'requires-python = ">={named[0]}"' in metadata


def test_every_target_that_a_workflow_makes_is_in_the_makefile() -> None:
	targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
	scripts = [step["run"] for path in ALL for step in steps(path) if "run" in step]
	made = {target for script in scripts for target in re.findall(r"\bmake ([a-z-]+)", script)}
	assert {"lint", "test", "test-js", "contract", "test-bench", "release-check"} <= made <= targets


def test_frappe_runs_on_both_branches_with_the_python_that_each_takes() -> None:
	matrix = parsed(ROOT / ".github/workflows/frappe.yml")["jobs"]["bench"]["strategy"]["matrix"]["include"]
	assert {row["frappe"]: row["python"] for row in matrix} == {"version-15": "3.12", "version-16": "3.14"}
