"""What one push says: the fields of its payload, and how they are collected. A new field is added here."""

from __future__ import annotations

import json
import time

from prego_metrics.agent.light_typing import TYPE_CHECKING, NamedTuple
from prego_metrics.agent.state import schedule

if TYPE_CHECKING:
	from prego_metrics.agent.collectors.cpu import CpuReading
	from prego_metrics.agent.collectors.stamp import Stamp
	from prego_metrics.agent.config.config import Config
	from prego_metrics.agent.state.model import State

NODE_PUSH = "node_push"


class Payload(NamedTuple):
	"""One row for the control plane, its fields in the order in which they are sent.

	What is None or False is left out: it is unknown, or not asked for. Percentages are 0 to 100. tenant_count is
	required: the control plane reads an omitted one as 0, and places tenants accordingly.
	"""

	node_id: str
	cpu_pct: float | None
	memory_pct: float | None
	disk_pct: float | None
	tenant_count: int
	save_snapshot: bool = False
	source: str = NODE_PUSH

	def as_dict(self) -> dict[str, object]:
		"""Return the fields as they are sent."""
		return {
			name: value for name, value in self._asdict().items() if value is not None and value is not False
		}

	def encoded(self) -> bytes:
		"""Return the request's body."""
		return json.dumps(self.as_dict()).encode("ascii")

	def without_snapshot(self) -> Payload:
		"""Return the same row, asking for no snapshot: its insertion may already have happened."""
		return self._replace(save_snapshot=False)


class Collected(NamedTuple):
	"""A payload, what the next push needs of this one (the CPU's reading, marks of tenants), and what was doubtful.

	stamp is that of what was counted, taken before it was.
	"""

	payload: Payload
	cpu: CpuReading | None
	site_marks: tuple[str, ...]
	warnings: tuple[str, ...]
	stamp: Stamp | None


def collect_payload(
	config: Config, state: State, at: float, *, save_snapshot: bool, give_up_at: float
) -> Collected:
	"""Count the tenants and sample the host; `at` is in seconds since the epoch, `give_up_at` of the monotonic clock.

	A disk that hangs takes half of the time that is left, and then costs the push that figure alone. Raises NotSent
	where there is no count.
	"""
	from prego_metrics.agent.collectors.host import DISK_SECONDS, sample_host
	from prego_metrics.agent.collectors.lost_sites import marks_of
	from prego_metrics.agent.collectors.stamp import take_stamp
	from prego_metrics.agent.collectors.tenant_count import count_tenants

	stamp = take_stamp(config)
	census = count_tenants(config, state.site_marks)
	disk_seconds = min(DISK_SECONDS, (give_up_at - time.monotonic()) / 2)
	host = sample_host(state.cpu, config.disk_paths, config.memory_source, disk_seconds=disk_seconds)
	payload = Payload(
		node_id=config.node_id,
		cpu_pct=host.cpu_pct,
		memory_pct=host.memory_pct,
		disk_pct=host.disk_pct,
		tenant_count=census.tenant_count,
		save_snapshot=save_snapshot
		or schedule.is_snapshot_due(at, state.last_snapshot_at, config.snapshot_interval),
	)
	return Collected(
		payload, host.cpu, marks_of(census, config.benches), (*census.warnings, *host.warnings), stamp
	)
