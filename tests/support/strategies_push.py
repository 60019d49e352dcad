"""What a state file may hold, ours or anybody's, and how time may pass for a node and its triggers."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.collectors.cpu import CpuReading
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.model import OUTCOMES, TRIGGERS, Push, State

times = st.floats(min_value=0, max_value=1e11, allow_nan=False)
counts = st.integers(min_value=0, max_value=10**9)
percents = st.floats(min_value=0, max_value=100, allow_nan=False)
texts = st.text(max_size=50)

payloads = st.fixed_dictionaries(
	{"node_id": st.text(min_size=1, max_size=20), "tenant_count": counts, "source": st.just("node_push")},
	optional={
		"cpu_pct": percents,
		"memory_pct": percents,
		"disk_pct": percents,
		"save_snapshot": st.just(True),
	},
)
push_ids = st.text("0123456789abcdef", min_size=16, max_size=16)
pushes = st.builds(
	Push,
	id=push_ids,
	at=times,
	trigger=st.sampled_from(TRIGGERS),
	outcome=st.sampled_from(OUTCOMES),
	payload=st.none() | payloads,
	status_code=st.none() | st.integers(100, 599),
	attempts=st.integers(0, 3),
	duration_ms=counts,
	error=st.none() | texts,
	who=st.none() | texts,
)
events = st.builds(
	AlertEvent,
	id=push_ids,
	at=times,
	kind=st.sampled_from(tuple(ALERTS)),
	failures=counts,
	error=st.none() | texts,
	since=st.none() | times,
	tenants_before=st.none() | counts,
	tenants=st.none() | counts,
	disk_pct=st.none() | percents,
	repeat=counts,
)
readings = st.builds(
	CpuReading,
	boot_id=texts,
	boot_seconds=times,
	cpus=st.integers(1, 1024),
	times=st.dictionaries(st.sampled_from(("user", "system", "idle", "iowait", "steal")), times),
)
states = st.builds(
	State,
	last_attempt_at=st.none() | times,
	last_regular_at=st.none() | times,
	last_snapshot_at=st.none() | times,
	failures_in_a_row=counts,
	failing_since=st.none() | times,
	not_before=st.none() | times,
	alerted=st.booleans(),
	disk_alerted=st.booleans(),
	cpu=st.none() | readings,
	last_delivered=st.none() | pushes,
	totals=st.dictionaries(st.sampled_from(OUTCOMES), counts),
	last=st.none() | pushes,
	events=st.lists(events, max_size=20).map(tuple),
	settings_file_seen=st.booleans(),
	site_marks=st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), max_size=3).map(tuple),
	row_mark=st.none() | texts,
	unknown=st.just(""),
	unknown_events=st.just(()),
)

json_values = st.recursive(
	st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
	lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
	max_leaves=20,
)


@st.composite
def mutated(draw: st.DrawFn, written: dict[str, Any]) -> dict[str, Any]:
	"""A state as we write it, with one value somewhere in it replaced, removed or added."""
	content = json.loads(json.dumps(written))
	places: list[tuple[Any, Any]] = []
	waiting: list[Any] = [content]
	while waiting:
		value = waiting.pop()
		places += [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
		inner = value.values() if isinstance(value, dict) else value
		waiting += [one for one in inner if isinstance(one, dict | list)]
	holder, key = draw(st.sampled_from(places))
	how = draw(st.sampled_from(("replace", "remove", "add")))
	if how == "replace":
		holder[key] = draw(json_values)
	elif how == "remove":
		del holder[key]
	elif isinstance(holder, dict):
		holder[draw(st.text(max_size=12))] = draw(json_values)
	else:
		holder.append(draw(json_values))
	return content


@dataclass(frozen=True)
class Trigger:
	"""Something that ticks: every `every` seconds, first at its `phase`, late by up to `jitter`, drifting."""

	every: float
	phase: float
	jitter: float
	drift: float


@dataclass(frozen=True)
class World:
	"""A node for some hours: its interval, its triggers, and how often a push fails."""

	interval: float
	triggers: tuple[Trigger, ...]
	failing: float
	send_seconds: float
	seed: int

	def ticks(self, seconds: float) -> list[float]:
		"""The moments, in order, at which one of the triggers asks whether a push is due."""
		chance = random.Random(self.seed)
		found = []
		for trigger in self.triggers:
			moment = trigger.every * trigger.phase
			while moment < seconds:
				found.append(moment + chance.uniform(0, trigger.jitter))
				moment += trigger.every * (1 + trigger.drift)
		return sorted(found)


triggers = st.builds(
	Trigger,
	every=st.sampled_from((60.0, 60.0, 60.0, 240.0)),
	phase=st.floats(0, 1),
	jitter=st.floats(0, 14.9),
	drift=st.floats(-0.0005, 0.0005),
)


def worlds(failing: st.SearchStrategy[float]) -> st.SearchStrategy[World]:
	return st.builds(
		World,
		interval=st.sampled_from((5.0, 20.0, 60.0, 60.0, 90.0, 120.0, 300.0, 3600.0)),
		triggers=st.lists(triggers, min_size=1, max_size=4).map(tuple),
		failing=failing,
		send_seconds=st.floats(0, 3),
		seed=st.integers(0, 2**32),
	)
