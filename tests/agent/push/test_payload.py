"""The payload: what is sent, in which order, and what is left out."""

from __future__ import annotations

import json
from dataclasses import dataclass

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
	payload = Payload(node_id="sg-1", tenant_count=0, cpu_pct=0.0)
	assert payload.as_dict() == {"node_id": "sg-1", "cpu_pct": 0.0, "tenant_count": 0, "source": "node_push"}


def test_an_attribute_more_is_a_field_more() -> None:
	@dataclass(frozen=True, kw_only=True)
	class WithSwap(Payload):
		swap_pct: float | None = None

	payload = WithSwap(node_id="sg-1", tenant_count=3, swap_pct=1.5, save_snapshot=True)
	assert payload.as_dict()["swap_pct"] == 1.5
	assert payload.without_snapshot().as_dict() == {
		"node_id": "sg-1",
		"tenant_count": 3,
		"source": "node_push",
		"swap_pct": 1.5,
	}
	assert "swap_pct" not in WithSwap(node_id="sg-1", tenant_count=3).as_dict()
