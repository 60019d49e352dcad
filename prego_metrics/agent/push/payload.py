"""The wire format: what one push says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

NODE_PUSH = "node_push"


@dataclass(frozen=True)
class Payload:
	"""One row for the control plane. Percentages are 0 to 100, None where unknown.

	tenant_count is required: the control plane reads an omitted one as 0, and places tenants accordingly.
	"""

	node_id: str
	tenant_count: int
	cpu_pct: float | None = None
	memory_pct: float | None = None
	disk_pct: float | None = None
	save_snapshot: bool = False
	source: str = NODE_PUSH

	def as_dict(self) -> dict[str, object]:
		"""Return the fields as sent, in the order of the runbook; what is unknown or false is left out."""
		fields: dict[str, object | None] = {
			"node_id": self.node_id,
			"cpu_pct": self.cpu_pct,
			"memory_pct": self.memory_pct,
			"disk_pct": self.disk_pct,
			"tenant_count": self.tenant_count,
			"save_snapshot": self.save_snapshot or None,
			"source": self.source,
		}
		return {name: value for name, value in fields.items() if value is not None}

	def encoded(self) -> bytes:
		"""Return the request's body."""
		return json.dumps(self.as_dict()).encode("ascii")

	def without_snapshot(self) -> Payload:
		"""Return the same row, asking for no snapshot: its insertion may already have happened."""
		return replace(self, save_snapshot=False)
