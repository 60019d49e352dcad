"""What a push is asked for: by which trigger, and within which limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from prego_metrics.agent.config.config import PUSH_KEYS
from prego_metrics.agent.light_typing import NamedTuple
from prego_metrics.agent.push.triggers import started_by_a_person, started_by_systemd

MANUAL = "manual"


class Request(NamedTuple):
	"""What is asked for: by whom, and how.

	within_seconds bounds all of a push that is made while somebody waits for a page, the wait for the lock
	included; max_attempts how often it is tried. who is the user who asked for it, where one is known. on_change asks
	for a push only if the tenant count is not the delivered one.
	"""

	trigger: str = MANUAL
	if_due: bool = False
	save_snapshot: bool = False
	spread: bool = False
	within_seconds: float | None = None
	max_attempts: int | None = None
	who: str | None = None
	on_change: bool = False

	@property
	def is_tick(self) -> bool:
		"""Whether it is the run of a trigger that runs again and again.

		A person who runs `push --if-due` is none, nor is a change: neither says anything about a timer or cron.
		"""
		return self.if_due and not self.on_change and self.trigger != MANUAL

	@property
	def needed_settings(self) -> Collection[str]:
		"""The settings that must be right for it; `scheduler_pushes` matters to Frappe's scheduler alone."""
		return PUSH_KEYS | {"scheduler_pushes"} if self.trigger == "frappe" else PUSH_KEYS


ON_CHANGE = Request("timer", if_due=True, spread=True, on_change=True)


def scheduled_request(environ: Mapping[str, str], *, save_snapshot: bool = False) -> Request:
	"""Return what `push --if-due` asks for, by the trigger that started this process."""
	if started_by_systemd(environ):
		trigger = "timer"
	else:
		trigger = MANUAL if started_by_a_person() else "cron"
	return Request(trigger, if_due=True, save_snapshot=save_snapshot, spread=trigger != MANUAL)
