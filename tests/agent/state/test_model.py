"""Which trigger leads, which runs are a row, and when a push that waits as asked is no failure: at their boundaries."""

from __future__ import annotations

from typing import Any

import pytest
from raw_states import PUSH

from prego_metrics.agent.state.model import State, Tick

NOW = 1e9


def tick(at: float, **values: Any) -> Tick:
	return Tick("timer", at, 60.0, "n", "not_due")._replace(**values)


@pytest.mark.parametrize(
	("values", "leads"),
	[
		({}, True),
		({"trigger": "cron"}, True),
		({"trigger": "frappe"}, False),
		({"outcome": "delivered"}, True),
		({"outcome": "busy"}, True),
		({"outcome": "failed"}, False),
		({"outcome": "not_sent"}, False),
		({"at": NOW - 150}, True),
		({"at": NOW - 150.1}, False),
		({"at": NOW + 0.1}, False),
		({"since": NOW - 45}, True),
		({"since": NOW - 44.9}, False),
		({"since": None}, True),
	],
)
def test_a_trigger_that_is_alive_and_pushes_leads(values: dict[str, Any], leads: bool) -> None:
	assert tick(NOW, since=NOW - 600)._replace(**values).leads(NOW) is leads


@pytest.mark.parametrize(
	("ago", "interval", "interval_before", "is_a_row"),
	[
		(0, 60, 60, True),
		(-0.1, 60, 60, False),
		(300, 60, 60, True),
		(300.1, 60, 60, False),
		(660, 300, 60, True),
		(660, 60, 300, True),
		(660.1, 300, 300, False),
	],
)
def test_runs_are_a_row_as_long_as_each_is_within_what_counts_as_fresh(
	ago: float, interval: float, interval_before: float, is_a_row: bool
) -> None:
	before = tick(NOW - ago, push_interval=interval_before, since=NOW - 9000)
	now = tick(NOW, push_interval=interval)
	assert now.after(before).since == (NOW - 9000 if is_a_row else NOW)
	assert now.after(before._replace(since=None)).since == (NOW - ago if is_a_row else NOW)
	assert now.after(None).since == NOW


@pytest.mark.parametrize(
	("not_before", "delivered_ago", "alerts"),
	[
		(NOW + 0.1, 300, []),
		(NOW, 300, ["failing"]),
		(None, 300, ["failing"]),
		(NOW + 600, 300.1, ["failing"]),
		(NOW + 600, None, ["failing"]),
	],
)
def test_a_push_that_waits_as_asked_alerts_of_nothing_while_its_row_is_fresh(
	not_before: float | None, delivered_ago: float | None, alerts: list[str]
) -> None:
	delivered = None if delivered_ago is None else PUSH._replace(at=NOW - delivered_ago)
	state = State(not_before=not_before, last_delivered=delivered, failures_in_a_row=1)
	after = state.recorded(PUSH._replace(at=NOW, outcome="failed"), 2, fresh_seconds=300)
	assert [event.kind for event in after.events] == alerts


def test_an_alert_is_over_with_the_first_push_that_is_delivered_and_names_how_long_it_was() -> None:
	failed = State(alerted=True, failures_in_a_row=7, failing_since=NOW - 400, last_delivered=PUSH)
	(event,) = failed.recorded(PUSH._replace(at=NOW), 3).events
	assert (event.kind, event.failures, event.since) == ("recovered", 7, NOW - 400)
	# What an older version left does not say since when.
	(event,) = failed._replace(failing_since=None).recorded(PUSH._replace(at=NOW), 3).events
	assert event.since == PUSH.at
	(event,) = State(alerted=True).recorded(PUSH._replace(at=NOW), 3).events
	assert event.since is None
	assert failed.recorded(PUSH._replace(at=NOW, outcome="failed"), 3).events == ()


@pytest.mark.parametrize("other", ["m", "o"])
def test_the_count_of_another_node_did_not_fall(other: str) -> None:
	payload = {"node_id": other, "tenant_count": 10, "source": "node_push"}
	after = State().recorded(PUSH._replace(payload=payload), 3).recorded(PUSH._replace(at=NOW + 60), 3)
	assert after.events == ()
	payload["node_id"] = "n"
	after = State().recorded(PUSH._replace(payload=payload), 3).recorded(PUSH._replace(at=NOW + 60), 3)
	assert [(event.tenants_before, event.tenants) for event in after.events] == [(10, 3)]


def test_without_a_threshold_no_disk_is_full_and_no_row_fresh() -> None:
	full = PUSH._replace(at=NOW, payload={"node_id": "n", "tenant_count": 3, "disk_pct": 100.0})
	after = State().recorded(full, 3)
	assert (after.events, after.disk_alerted) == ((), False)
	waiting = State(not_before=NOW + 60, last_delivered=PUSH._replace(at=NOW - 0.5))
	after = waiting.recorded(PUSH._replace(at=NOW, outcome="failed"), 1)
	assert [event.kind for event in after.events] == ["failing"]
