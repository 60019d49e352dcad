"""The payload: what is sent, in which order, and what is left out."""

from __future__ import annotations

import json

from prego_metrics.agent.push.payload import Payload


def test_the_fields_are_sent_in_the_order_of_the_runbook() -> None:
	payload = Payload(
		node_id="sg-1", tenant_count=42, cpu_pct=12.5, memory_pct=48.1, disk_pct=61.0, save_snapshot=True
	)
	assert json.loads(payload.encoded()) == payload.as_dict()
	assert list(payload.as_dict()) == [
		"node_id",
		"cpu_pct",
		"memory_pct",
		"disk_pct",
		"tenant_count",
		"save_snapshot",
		"source",
	]


def test_what_is_unknown_or_not_asked_for_is_left_out_and_a_zero_is_not() -> None:
	payload = Payload(node_id="sg-1", cpu_pct=0.0, memory_pct=None, disk_pct=None, tenant_count=0)
	assert payload.as_dict() == {"node_id": "sg-1", "cpu_pct": 0.0, "tenant_count": 0, "source": "node_push"}


def test_a_row_without_a_snapshot_is_the_same_row() -> None:
	payload = Payload("sg-1", None, None, 61.0, 3, save_snapshot=True)
	assert payload.without_snapshot().as_dict() == {
		"node_id": "sg-1",
		"disk_pct": 61.0,
		"tenant_count": 3,
		"source": "node_push",
	}


def test_every_attribute_is_a_field() -> None:
	assert list(Payload("sg-1", 1.0, 2.0, 3.0, 4, save_snapshot=True).as_dict()) == list(Payload._fields)
