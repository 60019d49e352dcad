"""How a push ended, in the one form that the command line, `bench execute` and HTTP give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prego_metrics.agent.base.messages import Wording, wording
from prego_metrics.agent.base.sanitize import printable

DELIVERED = "delivered"
REFUSED = "refused"
FAILED = "failed"
NOT_SENT = "not_sent"
NOT_DUE = "not_due"
BUSY = "busy"
DRY_RUN = "dry_run"

_EXIT_CODES = {DELIVERED: 0, NOT_DUE: 0, DRY_RUN: 0, BUSY: 1, REFUSED: 1, FAILED: 1, NOT_SENT: 2}


@dataclass(frozen=True)
class Result:
	"""The outcome of one push; `at` is in seconds since the epoch.

	scheduled tells that a driver asked for it: another push being under way is then no failure.
	"""

	outcome: str
	at: float
	payload: Mapping[str, Any] | None = None
	status_code: int | None = None
	attempts: int = 0
	duration_ms: int = 0
	error: str | None = None
	scheduled: bool = False
	warnings: tuple[str, ...] = ()

	@property
	def exit_code(self) -> int:
		"""0 delivered or nothing to do, 1 not delivered, 2 nothing could be counted or configured."""
		return 0 if self.outcome == BUSY and self.scheduled else _EXIT_CODES[self.outcome]

	def as_dict(self) -> dict[str, Any]:
		"""Return the result as JSON has it."""
		return {
			"outcome": self.outcome,
			"payload": dict(self.payload) if self.payload is not None else None,
			"status_code": self.status_code,
			"attempts": self.attempts,
			"duration_ms": self.duration_ms,
			"error": self.error,
			"at": iso_utc(self.at),
		}


def outcome_word(outcome: str) -> str:
	"""Return how a push ended as it stands in a sentence; the state may hold anybody's words."""
	words = {
		DELIVERED: wording("delivered"),
		REFUSED: wording("refused"),
		FAILED: wording("failed"),
		NOT_SENT: wording("not_sent"),
		NOT_DUE: wording("not_due"),
		BUSY: wording("busy"),
	}
	return words.get(outcome) or printable(outcome, 40)


def percent_word(figure: float | None) -> Wording:
	"""Return a percentage as it stands in a sentence."""
	return wording("unknown") if figure is None else wording("{percent} %", percent=figure)


def iso_utc(at: float) -> str:
	"""Return a time in seconds since the epoch as ISO 8601 in UTC, to the second."""
	import datetime

	return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
