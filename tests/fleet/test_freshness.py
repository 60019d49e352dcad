"""`fleet freshness`: which nodes deliver, from exports as wrangler and others write them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fleet_exports import Ended, metrics, node, run_fleet, tenant, wrangler
from terminals import on_a_terminal

Judge = Callable[..., Ended]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
	"""`judge(nodes, metrics, tenants, *options)` exports the rows, and runs `fleet freshness --json`."""

	def run(
		nodes: list[dict[str, Any]],
		pushed: list[dict[str, Any]],
		tenants: list[dict[str, Any]] | None = None,
		*options: object,
	) -> Ended:
		files = ["--nodes", wrangler(tmp_path / "nodes.json", *nodes)]
		files += ["--metrics", wrangler(tmp_path / "metrics.json", *pushed)]
		if tenants is not None:
			files += ["--tenants", wrangler(tmp_path / "tenants.json", *tenants)]
		return run_fleet("freshness", *files, *options, "--json")

	return run


def test_a_fleet_that_delivers_is_well(judge: Judge) -> None:
	result = judge([node("sg-1"), node("us-1", "us")], [metrics("sg-1"), metrics("us-1")])
	assert (result.code, result.stderr) == (0, "")
	assert result.json["ok"] is True and result.json["alerts"] == []
	assert result.verdicts() == {"sg-1": "fresh", "us-1": "fresh"}


@pytest.mark.parametrize(
	("nodes", "pushed", "verdict"),
	[
		([node("sg-1")], [], "never"),
		([node("sg-1")], [metrics("sg-1", 301)], "stale"),
		([node("sg-1")], [metrics("sg-1", -86400)], "stale"),
		([node("sg-1")], [{**metrics("sg-1"), "updated_at": "yesterday"}], "stale"),
		([node("sg-1")], [{**metrics("sg-1"), "updated_at": None}], "never"),
		([node("sg-1", "SG")], [metrics("sg-1")], "bad_region"),
		([node("sg-1", None)], [metrics("sg-1")], "bad_region"),
		([node("sg-1", "de")], [], "bad_region"),
		([node("other", "sg")], [metrics("other"), metrics("sg-1", 9999, 0)], "unregistered"),
		([node("SG-1"), node("sg-1 ")], [metrics("sg-1")], "unregistered"),
	],
)
def test_what_is_wrong_with_a_node_is_its_verdict_and_exit_1(
	judge: Judge, nodes: list[Any], pushed: list[Any], verdict: str
) -> None:
	result = judge(nodes, pushed)
	assert result.code == 1
	assert result.verdicts()["sg-1"] == verdict
	assert any("sg-1" in alert["node_ids"] for alert in result.json["alerts"])


def test_of_several_verdicts_the_first_holds(judge: Judge) -> None:
	nodes = [node("bad", "de"), node("never"), node("stale"), node("zero"), node("fresh")]
	pushed = [
		metrics("unregistered", 9999, 0),
		metrics("bad", 9999, 0),
		metrics("stale", 9999, 0),
		metrics("zero", 10, 0),
		metrics("fresh"),
	]
	tenants = [tenant(name) for name in ("unregistered", "bad", "never", "stale", "zero", "fresh")]
	result = judge(nodes, pushed, tenants)
	assert result.verdicts() == {
		"bad": "bad_region",
		"fresh": "fresh",
		"never": "never",
		"stale": "stale",
		"unregistered": "unregistered",
		"zero": "zero",
	}


def test_without_placement_a_zero_is_shown_and_no_failure(judge: Judge) -> None:
	result = judge([node("sg-1")], [metrics("sg-1", tenant_count=0)])
	assert (result.code, result.json["ok"], result.verdicts()) == (0, True, {"sg-1": "zero"})


def test_with_placement_a_zero_fails_where_tenants_are_and_is_fresh_where_none_are(judge: Judge) -> None:
	pushed = [metrics("sg-1", tenant_count=0), metrics("sg-2", tenant_count=0)]
	result = judge([node("sg-1"), node("sg-2")], pushed, [tenant("sg-1"), tenant("sg-2", "data_purged")])
	assert (result.code, result.verdicts()) == (1, {"sg-1": "zero", "sg-2": "fresh"})


def test_a_count_that_is_missing_is_a_zero_where_tenants_are_placed(judge: Judge) -> None:
	result = judge([node("a"), node("b")], [metrics("a", tenant_count=None), metrics("b")], [tenant("a")])
	assert (result.code, result.verdicts()) == (1, {"a": "zero", "b": "fresh"})


def test_tenants_on_a_node_that_nobody_registered_are_named(judge: Judge) -> None:
	result = judge([node("sg-1")], [metrics("sg-1")], [tenant("sg-1"), tenant("gone")])
	assert (result.code, result.verdicts()["gone"]) == (1, "unregistered")


def test_max_age_is_300_s_unless_it_is_given(judge: Judge) -> None:
	assert judge([node("sg-1")], [metrics("sg-1", 290)]).code == 0
	assert judge([node("sg-1")], [metrics("sg-1", 310)]).code == 1
	assert judge([node("sg-1")], [metrics("sg-1", 310)], None, "--max-age", 600).code == 0
	assert judge([node("sg-1")], [metrics("sg-1", 70)], None, "--max-age", 60).code == 1


def test_an_interval_that_is_exported_is_the_node_s_own_limit(judge: Judge) -> None:
	names = ["a", "b", "c", "d", "e"]
	pushed = [
		metrics("a", 650, push_interval=300),
		metrics("b", 670, push_interval="300"),
		metrics("c", 310, push_interval=5.0),
		metrics("d", 310, push_interval=None),
		metrics("e", 310, push_interval=""),
	]
	nodes = [node(name) for name in names]
	result = judge(nodes, pushed)
	assert result.verdicts() == {"a": "fresh", "b": "stale", "c": "stale", "d": "stale", "e": "stale"}
	assert [row["max_age_seconds"] for row in result.json["nodes"]] == [660, 660, 300, 300, 300]
	assert judge(nodes, pushed, None, "--max-age", 60).verdicts()["a"] == "stale"


@pytest.mark.parametrize("interval", [0, -60, "often", True, [], "nan", 10**400])
def test_an_interval_that_is_none_is_an_error_that_names_the_row(judge: Judge, interval: Any) -> None:
	result = judge([node("a"), node("b")], [metrics("b"), metrics("a", push_interval=interval)])
	assert result.code == 2
	assert "row 2: push_interval is" in result.json["error"]


def stopped(
	judge: Judge, interval: float, down_seconds: float, more: dict[str, Any], *options: object
) -> Ended:
	"""Judge 200 nodes of one interval, whose pushes came up to a minute late, so long after all of them stopped."""
	names = [f"n{number:03}" for number in range(200)]
	gap = interval + 60
	pushed = [metrics(name, down_seconds + gap * at / 200, **more) for at, name in enumerate(names)]
	return judge([node(name) for name in names], pushed, None, *options)


@pytest.mark.parametrize("stale_share", [0.15, 0.5, 1.5])
@pytest.mark.parametrize("knows", ["the column", "--max-age"])
@pytest.mark.parametrize("interval", [5, 60, 300, 3600])
def test_a_control_plane_that_is_down_is_one_alert_whatever_the_interval(
	judge: Judge, interval: float, knows: str, stale_share: float
) -> None:
	limit = max(300, 2 * interval + 60)
	more = {"push_interval": interval} if knows == "the column" else {}
	options = ("--max-age", limit) if knows == "--max-age" else ()
	result = stopped(judge, interval, limit - (interval + 60) * (1 - stale_share), more, *options)
	assert [alert["about"] for alert in result.json["alerts"]] == ["control_plane"]
	assert len(result.json["alerts"][0]["node_ids"]) == list(result.verdicts().values()).count("stale") > 0


@pytest.mark.parametrize(("interval", "down_seconds"), [(60, 190), (60, 1000), (300, 60), (300, 1000)])
def test_it_is_one_alert_also_where_nobody_knows_the_interval(
	judge: Judge, interval: float, down_seconds: float
) -> None:
	result = stopped(judge, interval, down_seconds, {})
	assert [alert["about"] for alert in result.json["alerts"]] == ["control_plane"]


def test_a_control_plane_that_is_down_stops_nodes_of_all_intervals_at_once(judge: Judge) -> None:
	every = [5, 60, 300, 3600]
	names = [f"n{number:03}" for number in range(200)]
	pushed = [
		metrics(name, 7300 + every[at % 4] * at / 200, push_interval=every[at % 4])
		for at, name in enumerate(names)
	]
	(alert,) = judge([node(name) for name in names], pushed).json["alerts"]
	assert (alert["about"], len(alert["node_ids"])) == ("control_plane", 200)


def test_a_few_that_stopped_beside_a_fleet_that_pushes_are_alerts_of_their_own(judge: Judge) -> None:
	names = [f"n{number:03}" for number in range(200)]
	pushed = [metrics(name, 300 * at / 200, push_interval=300) for at, name in enumerate(names)]
	pushed[:4] = [metrics(name, 900, push_interval=300) for name in names[:4]]
	alerts = judge([node(name) for name in names], pushed).json["alerts"]
	assert [(alert["about"], alert["node_ids"]) for alert in alerts] == [
		("node", [name]) for name in names[:4]
	]


def test_nodes_gone_in_the_same_minute_are_one_alert_about_the_control_plane(judge: Judge) -> None:
	names = [f"sg-{number}" for number in range(6)]
	pushed = [metrics(name, 1000 + 9 * number) for number, name in enumerate(names[:5])] + [metrics("sg-5")]
	result = judge([node(name) for name in names], pushed)
	(alert,) = result.json["alerts"]
	assert result.code == 1
	assert (alert["about"], alert["node_ids"]) == ("control_plane", names[:5])
	assert "5 of 6 nodes" in alert["sentence"]


def test_a_node_that_stopped_at_another_time_is_an_alert_of_its_own(judge: Judge) -> None:
	names = ["a", "b", "c", "d"]
	pushed = [metrics("a", 1000), metrics("b", 1010), metrics("c", 1020), metrics("d", 5000)]
	alerts = judge([node(name) for name in names], pushed).json["alerts"]
	assert [(alert["about"], alert["node_ids"]) for alert in alerts] == [
		("control_plane", ["a", "b", "c"]),
		("node", ["d"]),
	]


@pytest.mark.parametrize("updated_at", [-(10**300), -62_135_596_800, 0, "0001-01-01T00:00:00+23:59"])
def test_nodes_gone_before_any_calendar_are_told_all_the_same(judge: Judge, updated_at: Any) -> None:
	pushed = [{**metrics(name), "updated_at": updated_at} for name in "abc"]
	result = judge([node(name) for name in "abc"], pushed)
	assert (result.code, set(result.verdicts().values())) == (1, {"stale"})


@pytest.mark.parametrize("ages", [[1000, 1010], [1000, 1310, 1620], [1000, 1010, 1020, 5, 5, 5]])
def test_a_few_or_scattered_nodes_are_alerts_of_their_own(judge: Judge, ages: list[float]) -> None:
	names = [f"n{number}" for number in range(len(ages))]
	result = judge([node(name) for name in names], [metrics(*pair) for pair in zip(names, ages, strict=True)])
	assert {alert["about"] for alert in result.json["alerts"]} == {"node"}


@pytest.mark.parametrize(
	"written",
	[
		lambda moment: int(moment),
		lambda moment: moment,
		lambda moment: int(moment * 1000),
		lambda moment: str(int(moment)),
		lambda moment: str(int(moment * 1000)),
		lambda moment: datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S"),
		lambda moment: datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"),
		lambda moment: datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
		lambda moment: datetime.fromtimestamp(moment, timezone(timedelta(hours=8, minutes=30))).isoformat(),
	],
)
def test_each_way_of_writing_a_time_is_understood(judge: Judge, written: Callable[[float], Any]) -> None:
	for age, code in ((100, 0), (400, 1), (-3000, 1)):
		row = {"node_id": "sg-1", "tenant_count": 1, "updated_at": written(time.time() - age)}
		result = judge([node("sg-1")], [row])
		assert result.code == code
		assert abs(result.json["nodes"][0]["age_seconds"] - age) < 5


def test_csv_and_plain_json_say_the_same(tmp_path: Path) -> None:
	nodes, pushed = [node("sg-1"), node("eu-1", "eu")], [metrics("sg-1"), metrics("eu-1", 900)]
	for suffix in ("json", "csv"):
		files = []
		for name, rows in (("nodes", nodes), ("server_metrics", pushed)):
			files.append(tmp_path / f"{name}.{suffix}")
			lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows), ""]
			files[-1].write_text(json.dumps(rows) if suffix == "json" else "\r\n".join(lines))
		result = run_fleet("freshness", "--nodes", files[0], "--metrics", files[1], "--json")
		assert (result.code, result.verdicts()) == (1, {"eu-1": "stale", "sg-1": "fresh"})


def test_a_table_for_people_is_readable_without_colour(judge: Judge, tmp_path: Path) -> None:
	judge([node("sg-1"), node("evil\x1b[31m\n", "sg")], [metrics("sg-1", 400)])
	files = ["--nodes", tmp_path / "nodes.json", "--metrics", tmp_path / "metrics.json"]
	result = run_fleet("freshness", *files)
	assert "\x1b" not in result.stdout
	assert "evil\\x1b[31m\\x0a" in result.stdout
	assert ["sg-1", "stale", "7", "min", "ago", "3"] in [
		line.split()[:6] for line in result.stdout.splitlines()
	]
	lines = result.stdout.splitlines()
	assert [line[:5] for line in lines[:2]] == ["Alert", "Alert"]
	assert lines[2] == "2 nodes: 1 never, 1 stale"
	assert lines[5].split() == ["Node", "Verdict", "Pushed", "Tenants", "Note"]
	seen = on_a_terminal("fleet", "freshness", *files, columns=120)
	assert (seen.code, "\x1b[1;31mstale" in seen.screen) == (1, True)


def test_either_files_or_the_control_plane_are_asked(tmp_path: Path) -> None:
	for options in (
		[],
		["--nodes", "x"],
		["--metrics", "x"],
		["--nodes", "x", "--metrics", "y", "--control-plane-url", "z"],
	):
		result = run_fleet("freshness", *options)
		assert result.code == 2 and "give either" in result.stderr
	assert run_fleet("freshness", "--nodes", "x", "--metrics", "y", "--max-age", "inf").code == 2


def test_the_threshold_and_where_it_came_from_are_said(judge: Judge, tmp_path: Path) -> None:
	expected = judge([node("sg-1")], [metrics("sg-1", 310)], None).json
	assert (expected["max_age_seconds"], expected["max_age_source"]) == (300.0, "default")
	files = ["--nodes", tmp_path / "nodes.json", "--metrics", tmp_path / "metrics.json"]
	assert "Threshold: 300 s (default)." in run_fleet("freshness", *files).stdout
	result = run_fleet("freshness", *files, "--max-age", 600)
	assert "Threshold: 600 s (--max-age)." in result.stdout
	judge([node("a"), node("b")], [metrics("a", push_interval=300), metrics("b")])
	result = run_fleet("freshness", *files)
	own = "each node's 2 × push_interval + 60 s, at least 300 s"
	assert f"Threshold: {own}; 300 s where it is not known (1 of 2)." in result.stdout
	judge([node("a")], [metrics("a", push_interval=300)])
	assert f"Threshold: {own}.\n" in run_fleet("freshness", *files).stdout
	judge([node("sg-1")], [metrics("sg-1", 310)])
	assert run_fleet("freshness", *files, "--max-age", 300, "--json").json["max_age_source"] == "--max-age"


def test_failing_lists_what_is_wrong_and_nothing_else(judge: Judge, tmp_path: Path) -> None:
	names = [f"n{number}" for number in range(30)]
	pushed = [metrics(name, 1000 + 400 * at) for at, name in enumerate(names[:-1])] + [metrics("n29")]
	nodes = [node(name) for name in names]
	result = judge(nodes, pushed, None, "--failing")
	assert (result.code, set(result.verdicts())) == (1, {*names} - {"n29"})
	assert result.json["totals"] == {"stale": 29, "fresh": 1}
	files = ["--nodes", tmp_path / "nodes.json", "--metrics", tmp_path / "metrics.json"]
	lines = run_fleet("freshness", *files, "--failing").stdout.splitlines()
	assert lines[19].startswith("Alert: n2") and lines[20].startswith("Alert: 9 more nodes are failing")
	assert lines[21] == "30 nodes: 29 stale, 1 fresh"
	assert {line.split()[0] for line in lines[26:] if line[0] != " "} == {*names} - {"n29"}
	judge([node("a")], [metrics("a")])
	assert run_fleet("freshness", *files, "--failing").stdout.splitlines()[0] == "1 node: 1 fresh"
	assert len(run_fleet("freshness", *files, "--failing").stdout.splitlines()) == 2


def test_it_runs_as_a_process_of_its_own_where_there_is_no_bench(
	run_agent: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
	nodes = wrangler(tmp_path / "nodes.json", node("sg-1"))
	pushed = wrangler(tmp_path / "metrics.json", metrics("sg-1"))
	result = run_agent("fleet", "freshness", "--nodes", nodes, "--metrics", pushed, cwd=tmp_path)
	assert (result.returncode, result.stderr) == (0, "")
	assert "1 node: 1 fresh" in result.stdout
