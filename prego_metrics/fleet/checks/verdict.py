"""The verdict on one node of the fleet, and an alert."""

from __future__ import annotations

from dataclasses import dataclass

UNREGISTERED = "unregistered"
BAD_REGION = "bad_region"
NEVER = "never"
STALE = "stale"
ZERO = "zero"
FRESH = "fresh"
DIFFERS = "differs"
AGREES = "agrees"


@dataclass(frozen=True)
class Verdict:
	"""One node. A zero that may be true is not failing.

	note is sanitized; node_id and source are as exported. age_seconds and placed are None where unknown.
	"""

	node_id: str
	name: str
	failing: bool
	note: str = ""
	age_seconds: float | None = None
	updated_at_seconds: float | None = None
	tenant_count: int | None = None
	placed: int | None = None
	source: str | None = None

	@property
	def updated(self) -> float:
		"""When its row was written, in seconds since the epoch; 0.0 if that is not known."""
		return self.updated_at_seconds or 0.0

	def as_dict(self) -> dict[str, object]:
		"""Return the verdict as `--json` prints it."""
		return {
			"node_id": self.node_id,
			"verdict": self.name,
			"failing": self.failing,
			"note": self.note,
			"age_seconds": None if self.age_seconds is None else round(self.age_seconds, 1),
			"tenant_count": self.tenant_count,
			"placed": self.placed,
			"source": self.source,
		}


@dataclass(frozen=True)
class Alert:
	"""An alert about a `node` or the `control_plane`; sentence is sanitized."""

	about: str
	sentence: str
	node_ids: tuple[str, ...]

	def as_dict(self) -> dict[str, object]:
		"""Return the alert as `--json` prints it."""
		return {"about": self.about, "sentence": self.sentence, "node_ids": list(self.node_ids)}
