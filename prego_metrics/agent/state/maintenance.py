"""Maintenance: a time in which alerts are held while pushes go on.

An operator starts one, and `bench update` is one: it sets `maintenance_mode` for the whole bench. Each of the two has a
record in the state folder, which is input as all else there: one that cannot be read, lasts longer than a day or lies
in the future holds nothing.
"""

from __future__ import annotations

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import Any, NamedTuple
from prego_metrics.agent.state.schedule import CLOCK_STEP_SECONDS
from prego_metrics.agent.state.store import StateFolder

MAX_SECONDS = 86400.0
MAX_REASON = 140
OPERATOR = "operator"
FRAPPE = "frappe"


class Maintenance(NamedTuple):
	"""One maintenance, from `since` until before `until`, in seconds since the epoch.

	source is who started it. over says that Frappe's mode was seen off since; one that is left on is not begun again.
	"""

	source: str
	since: float
	until: float
	reason: str = ""
	over: bool = False

	def holds(self, at: float) -> bool:
		"""Tell whether alerts are held at that time. Before `since` they are not, since the clock went back."""
		return self.since - CLOCK_STEP_SECONDS <= at < self.until


def maintenances(
	folder: StateFolder, bench_in_maintenance: bool | None, now: float, *, note: bool = True
) -> list[Maintenance]:
	"""Return the last maintenance of each source, over or not.

	`bench_in_maintenance` is Frappe's mode for the whole bench, None if it cannot be read. With `note` its begin and its
	end are recorded; a begin that cannot be recorded holds nothing, since nobody could tell its end.
	"""
	frappe = _read(folder, FRAPPE, now)
	if bench_in_maintenance and (frappe is None or frappe.over):
		begun = Maintenance(FRAPPE, now, now + MAX_SECONDS)
		frappe = frappe if note and write_maintenance(folder, begun) else begun
	elif bench_in_maintenance is False and frappe and not frappe.over:
		frappe = frappe._replace(until=max(frappe.since, min(frappe.until, now)), over=True)
		if note:
			write_maintenance(folder, frappe)
	return [one for one in (_read(folder, OPERATOR, now), frappe) if one]


def note_frappe_mode(folder: StateFolder, bench_in_maintenance: bool | None, now: float) -> None:
	"""Record that Frappe's mode was switched on, which holds alerts for a day at most, or off again."""
	maintenances(folder, bench_in_maintenance, now)


def holding(records: list[Maintenance], now: float) -> Maintenance | None:
	"""Return the maintenance that holds alerts now, the one that ends last; None if none does."""
	return max((one for one in records if one.holds(now)), key=lambda one: one.until, default=None)


def write_maintenance(folder: StateFolder, maintenance: Maintenance) -> Message | None:
	"""Record a maintenance; return what went wrong, or None."""
	return folder.write_record(_name(maintenance.source), maintenance._asdict())


def stop_maintenances(folder: StateFolder, records: list[Maintenance], now: float) -> Message | None:
	"""End what holds alerts now; return what went wrong, or None. Frappe's mode, if still on, is not begun again."""
	written = [write_maintenance(folder, one._replace(until=now)) for one in records if one.holds(now)]
	return next((not_written for not_written in written if not_written), None)


def maintenance_as_dict(maintenance: Maintenance) -> dict[str, Any]:
	"""Return a maintenance as JSON has it; reason is null without one."""
	return {
		"source": maintenance.source,
		"since": iso_utc(maintenance.since),
		"until": iso_utc(maintenance.until),
		"reason": maintenance.reason or None,
	}


def held_message(maintenance: Maintenance) -> Message:
	"""Return that alerts are held, until when, and why."""
	until = iso_utc(maintenance.until)
	if maintenance.source == FRAPPE:
		return message("alerts are held until {time}: the bench is in Frappe's maintenance mode", time=until)
	if not maintenance.reason:
		return message("alerts are held until {time}: maintenance", time=until)
	return message(
		"alerts are held until {time}: maintenance, {reason}", time=until, reason=maintenance.reason
	)


def _read(folder: StateFolder, source: str, now: float) -> Maintenance | None:
	fields = folder.read_record(_name(source))
	try:
		if fields is None:
			return None
		reason = sanitize(fields.text("reason", required=False) or "", MAX_REASON)
		over = fields.get("over", bool) or False
		quiet = Maintenance(source, fields.number("since"), fields.number("until"), reason, over)
	except ValueError:
		return None
	is_ours = 0 <= quiet.until - quiet.since <= MAX_SECONDS and quiet.since <= now + CLOCK_STEP_SECONDS
	return quiet if is_ours else None


def _name(source: str) -> str:
	return f"maintenance-{source}.json"
