"""How a push ended, in the one form that the command line, `bench execute` and HTTP give back."""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.formatting import iso_utc, percent_word, tenants_word
from prego_metrics.agent.base.messages import Message, joined, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import Any, NamedTuple
from prego_metrics.agent.state.outcomes import BUSY, DELIVERED, DRY_RUN, FAILED, NOT_DUE, NOT_SENT, REFUSED

_EXIT_CODES = {DELIVERED: 0, NOT_DUE: 0, DRY_RUN: 0, BUSY: 1, REFUSED: 1, FAILED: 1, NOT_SENT: 2}


class Result(NamedTuple):
	"""The outcome of one push; `at` is in seconds since the epoch.

	scheduled says that a trigger asked for it: another push being under way is then no failure. not_written is why
	the state does not know of it; of a delivered push that is its error. metrics_textfile is where the node's metrics are
	to be written now; None where they are not, or nothing was tried. asked_to_wait says that the control
	plane asks to wait with the next push.
	"""

	outcome: str
	at: float
	payload: Mapping[str, Any] | None = None
	status_code: int | None = None
	attempts: int = 0
	duration_ms: int = 0
	error: Message | None = None
	scheduled: bool = False
	not_written: Message | None = None
	warnings: tuple[str, ...] = ()
	metrics_textfile: str | None = None
	asked_to_wait: bool = False

	@property
	def exit_code(self) -> int:
		"""0 delivered or nothing to do, 1 not delivered or not recorded, 2 nothing could be counted or configured."""
		if self.outcome == DELIVERED and self.error:
			return 1
		return 0 if self.outcome == BUSY and self.scheduled else _EXIT_CODES[self.outcome]

	@property
	def error_code(self) -> str | None:
		"""The code of the catalog for what went wrong; None if nothing did."""
		return self.error.code if self.error else None

	def unrecorded(self, why: Message) -> Result:
		"""Return the result of a push that the state does not know of. Of a delivered one that is the error."""
		if self.outcome == DELIVERED:
			return self._replace(not_written=why, error=why)
		warning = message("{reason}. Failures are not counted until this is fixed", reason=why)
		return self._replace(not_written=why, warnings=(*self.warnings, warning))

	def as_dict(self) -> dict[str, Any]:
		"""Return the result as JSON has it."""
		return {
			"outcome": self.outcome,
			"payload": dict(self.payload) if self.payload is not None else None,
			"status_code": self.status_code,
			"attempts": self.attempts,
			"duration_ms": self.duration_ms,
			"error": self.error,
			"error_code": self.error_code,
			"at": iso_utc(self.at),
		}


def summary(result: Result) -> Message:
	"""Return one sentence, or for several problems a few lines, that say how a push ended."""
	if result.outcome == DELIVERED:
		sentence = message(
			"Delivered in {duration_ms} ms: {figures}",
			duration_ms=result.duration_ms,
			figures=_metrics(result),
		)
		if not result.error:
			return sentence
		return message(
			"{sentence}. It was not recorded, so every run of a trigger pushes again: {error}",
			sentence=sentence,
			error=result.error,
		)
	if result.outcome == NOT_DUE:
		return message("Not due yet: nothing sent")
	if result.outcome == DRY_RUN:
		return message("Dry run: nothing was sent")
	if result.outcome == BUSY:
		return message("Busy: {error}", error=result.error)
	if result.outcome == NOT_SENT:
		return message("Not sent: {error}", error=result.error)
	if result.outcome == REFUSED:
		sentence = message("Refused: {error}", error=result.error)
	else:
		sentence = message("Failed: {error}", error=result.error)
	if result.attempts < 2:
		return sentence
	return message("{sentence} (after {attempts} attempts)", sentence=sentence, attempts=result.attempts)


def _metrics(result: Result) -> Message:
	payload = result.payload or {}
	metrics = [
		message(
			"{node} has {tenants}",
			node=sanitize(str(payload.get("node_id"))),
			tenants=tenants_word(payload.get("tenant_count", 0)),
		),
		message(
			"cpu {cpu}, memory {memory}, disk {disk}",
			cpu=percent_word(payload.get("cpu_pct")),
			memory=percent_word(payload.get("memory_pct")),
			disk=percent_word(payload.get("disk_pct")),
		),
	]
	if payload.get("save_snapshot"):
		metrics.append(message("with a snapshot"))
	return joined(metrics, ", ")
