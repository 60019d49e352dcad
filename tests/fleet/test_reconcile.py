"""`fleet reconcile`: each node's count beside where tenants are placed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fleet_exports import Ended, metrics, run_fleet, tenant, wrangler

Judge = Callable[..., Ended]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
	"""`judge(metrics, tenants, *options)` exports the rows, and runs `fleet reconcile --json`."""

	def run(pushed: list[dict[str, Any]], tenants: list[dict[str, Any]], *options: object) -> Ended:
		files = ["--metrics", wrangler(tmp_path / "metrics.json", *pushed)]
		files += ["--tenants", wrangler(tmp_path / "tenants.json", *tenants)]
		return run_fleet("reconcile", *files, *options, "--json")

	return run


def test_counts_that_agree_are_well_however_old_they_are(judge: Judge) -> None:
	result = judge([metrics("a", 9999, 2), metrics("empty", 5, 0)], [tenant("a"), tenant("a"), tenant(None)])
	assert (result.code, result.json["ok"]) == (0, True)
	assert result.verdicts() == {"a": "agrees", "empty": "agrees"}


def test_a_count_that_differs_by_one_fails_either_way(judge: Judge) -> None:
	result = judge([metrics("a", 5, 2), metrics("b", 5, 0)], [tenant("a"), tenant("b")])
	assert (result.code, result.verdicts()) == (1, {"a": "differs", "b": "differs"})
	assert [row["note"] for row in result.json["nodes"]] == [
		"1 more than are placed here",
		"1 fewer than are placed here",
	]


def test_the_tolerance_is_the_largest_difference_that_agrees(judge: Judge) -> None:
	pushed, tenants = [metrics("a", 5, 3)], [tenant("a")]
	assert judge(pushed, tenants, "--tolerance", 1).code == 1
	assert judge(pushed, tenants, "--tolerance", 2).code == 0
	assert judge(pushed, tenants, "--tolerance", -1).code == 2


def test_tenants_on_a_node_that_never_pushed_are_named(judge: Judge) -> None:
	result = judge([metrics("a", 5, 1)], [tenant("a"), tenant("gone")])
	assert (result.code, result.verdicts()) == (1, {"a": "agrees", "gone": "never"})


def test_what_the_sidecar_pushed_is_not_compared(judge: Judge) -> None:
	pushed = [metrics("a", 5, 1, source="node_push"), metrics("b", 5, 99, source="hetzner_api")]
	result = judge(pushed, [tenant("a"), tenant("b")])
	assert (result.code, result.verdicts(), result.json["not_compared"]) == (0, {"a": "agrees"}, ["b"])
	assert "nothing was compared" in judge(pushed[1:], [tenant("b")]).stderr


@pytest.mark.parametrize("source", [None, ""])
def test_a_row_without_a_source_is_a_node_s_own_push(judge: Judge, source: Any) -> None:
	assert judge([metrics("a", 5, 2, source=source)], [tenant("a")]).code == 1


def test_by_default_tenants_without_a_site_do_not_count(judge: Judge) -> None:
	counted = ["trial", "provisioning", "active", "Active", "suspended", "grace_period", "terminated"]
	counted += ["Pending", "Pending_Deletion"]
	gone = ["data_purged", "failed", "Deleted"]
	result = judge([metrics("a", 5, len(counted))], [tenant("a", status) for status in counted + gone])
	assert result.code == 0


@pytest.mark.parametrize(
	"options", [["--statuses", "active,trial"], ["--statuses", "Active", "--statuses", "trial"]]
)
def test_the_statuses_that_count_can_be_chosen(judge: Judge, options: list[str]) -> None:
	tenants = [tenant("a", status) for status in ("active", "trial", "suspended")]
	assert judge([metrics("a", 5, 2)], tenants, *options).code == 0
	assert judge([metrics("a", 5, 2)], tenants).code == 1


def test_without_a_status_all_count_with_a_warning(judge: Judge) -> None:
	result = judge([metrics("a", 5, 2)], [{"node_id": "a"}, {"node_id": "a"}])
	assert result.code == 0
	assert "has no column status: every tenant in it counts" in result.stderr
	assert result.json["warnings"]


@pytest.mark.parametrize(
	("pushed", "tenants", "options", "words"),
	[
		([metrics("a")], [], [], "holds no tenants"),
		([metrics("a", 5, 0)], [tenant(None)], [], "places no tenant on any node"),
		([metrics("a", 5, 0)], [tenant("a")], ["--statuses", "actve"], "with the status actve"),
		([metrics("a", 5, 0)], [tenant("a")], ["--statuses", ","], "names no status"),
		([metrics("a")], [{"server": "a"}], [], "has no column node_id (it has server)"),
		([metrics("a")], [{"node_id": "a"}], ["--statuses", "active"], "has no column status"),
		([{"node_id": "a"}], [tenant("a")], [], "has no column tenant_count"),
		([metrics("a", 5, -1)], [tenant("a")], [], "row 1: tenant_count is -1"),
		([metrics("a", 5, 1.5)], [tenant("a")], [], "row 1: tenant_count is 1.5"),
		([metrics("a", 5, True)], [tenant("a")], [], "row 1: tenant_count is True"),
		([metrics("a"), metrics("a")], [tenant("a")], [], "several rows for a"),
		([metrics("a")], [tenant("a"), {"node_id": 7}], [], "row 2: node_id is 7"),
		([metrics("a")], [{"node_id": "a", "status": []}], [], "row 1: the status is not a string"),
		([metrics("a", source=5)], [tenant("a")], [], "row 1: the source is not a string"),
	],
)
def test_what_cannot_be_compared_is_one_error_and_exit_2(
	judge: Judge, pushed: list[Any], tenants: list[Any], options: list[str], words: str
) -> None:
	result = judge(pushed, tenants, *options)
	assert result.code == 2
	assert words in result.stderr
	assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
	assert (result.json["ok"], result.json["nodes"]) == (False, [])
