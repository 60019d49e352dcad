"""The simulation of a fleet: small ones whose outcome is known, under the product's own rules."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks import fleet
from benchmarks.simulation import document
from benchmarks.simulation.figures import Figures, figures_of
from benchmarks.simulation.model import simulate
from benchmarks.simulation.scenarios import SCENARIOS
from benchmarks.simulation.world import CRON, FRAPPE_60, FRAPPE_240, TIMER, Scenario
from prego_metrics.agent.state import schedule

NODES, HOURS = 20, 1.0
TWENTY_MINUTES = (1200.0, 2400.0)


def figures(scenario: Scenario, seed: int = 1) -> Figures:
	return figures_of(scenario, NODES, HOURS, simulate(scenario, NODES, HOURS, seed))


def test_every_node_pushes_once_a_minute_by_the_timer() -> None:
	found = figures(Scenario("timer", ""))
	assert NODES * 59 < sum(found.minutes) <= NODES * 60
	assert 58.9 < found.gap_min <= found.gap_p50 <= found.gap_p99 <= found.gap_max < 61.1
	assert (found.mean, found.stale, found.alerts) == (0.33, 0, 0)


def test_the_same_seed_gives_the_same_and_another_one_another_result() -> None:
	scenario = Scenario("mixed", "", triggers=((TIMER,), (CRON, FRAPPE_60)), stepping=0.5, loss=0.1)
	assert figures(scenario) == figures(scenario)
	assert figures(scenario) != figures(scenario, seed=2)


def test_the_rule_that_decides_is_the_product_s(monkeypatch: pytest.MonkeyPatch) -> None:
	monkeypatch.setattr(schedule, "MAX_SLACK_SECONDS", 0.0)
	# Without the slack a tick that comes early finds nothing due.
	assert figures(Scenario("timer", "")).gap_max > 119


def test_a_trigger_that_ticks_too_seldom_keeps_no_interval() -> None:
	found = figures(Scenario("frappe", "", triggers=((FRAPPE_240,),)))
	assert found.gap_p50 == pytest.approx(240, abs=3)
	assert found.minute > 3


def test_two_triggers_make_one_push_an_interval() -> None:
	found = figures(Scenario("both", "", triggers=((TIMER, FRAPPE_60),)))
	assert 45 <= found.gap_min and sum(found.minutes) <= NODES * 61


def test_during_an_outage_rows_grow_old_and_nodes_alert() -> None:
	found = figures(Scenario("outage", "", outage=TWENTY_MINUTES))
	assert 1200 < found.longest_age < 1275 and found.own_age < 75
	assert (found.alerts, found.stale, found.apart_after) == (NODES, 0, 0)


def test_nodes_that_were_off_push_when_they_are_back() -> None:
	found = figures(Scenario("restart", "", restart=(1200.0, 1500.0)))
	assert found.during == 0
	assert 300 < found.longest_age < 300 + 35 + 120


def test_a_database_that_is_slower_than_the_fleet_leaves_rows_stale() -> None:
	enough, slow = (figures(Scenario("d1", "", service_seconds=s, queue=5)) for s in (1.0, 4.0))
	assert enough.stale == 0 < slow.stale


def test_a_clock_that_is_set_costs_at_most_one_push_more() -> None:
	found = figures(Scenario("clocks", "", clocks=30, stepping=1.0))
	assert found.gap_max < 300 + 120 and sum(found.minutes) >= NODES * 55


def test_a_changed_count_is_measured_until_its_row_is_written() -> None:
	found = figures(Scenario("change", "", change_seconds=600))
	assert 0 < found.change_p50 < found.change_p99 <= found.change_max < 65


def test_the_command_prints_a_line_or_json_for_each_scenario(
	monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
	arguments = [
		"fleet.py",
		"--nodes",
		"5",
		"--hours",
		"0.5",
		"--scenario",
		"timer-60",
		"--scenario",
		"loss-300",
	]
	monkeypatch.setattr(sys, "argv", arguments)
	fleet.main()
	assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["timer-60", "loss-300"]
	monkeypatch.setattr(sys, "argv", [*arguments, "--json"])
	fleet.main()
	rows = json.loads(capsys.readouterr().out)
	assert [(row["scenario"], row["nodes"], len(row["minutes"])) for row in rows] == [
		("timer-60", 5, 30),
		("loss-300", 5, 30),
	]


def test_the_page_judges_the_aims_and_its_plot_is_an_svg() -> None:
	scenario = next(scenario for scenario in SCENARIOS if scenario.name == "outage-60")
	now = figures(replace(scenario, outage=TWENTY_MINUTES))
	before = replace(now, during=3.0, apart_after=-1.0)
	page = document.document([now], [before], NODES, 1)
	assert "| outage-60: as before within two intervals, in minutes | never | 0 | yes |" in page
	assert page.count("| **outage-60** ") == 2
	drawing = ElementTree.fromstring(document.drawing([now], [before]))
	assert len(drawing.findall(".//{http://www.w3.org/2000/svg}polyline")) == 2
