"""Requests and jobs by site as a table for 80 columns, as JSON and as cells of CSV; and what they do not tell."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.cli.ui.console import console
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.request_log import LOG_NAME, MAX_BYTES, Activity, MonitorLog, Work

CSV_COLUMNS = "requests,request_seconds,jobs,job_seconds,wall_seconds_pct".split(",")
MEANING = (
	"Of the last 24 h. Share: of the wall seconds that all these requests and jobs spent in the shared workers. That is no CPU "
	"time: waiting for the database or another server counts too. Jobs include Frappe's own scheduled ones."
)
_SWITCH_ON = (
	"Frappe's monitor is off: to have these figures, `bench set-config -g monitor 1`. It costs a line of about 300 "
	f"bytes for each request and job, in Redis first, then in logs/{LOG_NAME}, which nothing rotates unless you do"
)


def work_of(activity: Activity, tenant: Tenant) -> Work | None:
	"""Return a tenant's requests and jobs; None where the log has no line of it, which is no zero.

	A site that writes to the log at all has at least the scheduled job that wrote.
	"""
	return activity.by_site.get((tenant.site.bench, tenant.site.name))


def print_activity(tenants: Sequence[Tenant], top: int | None, activity: Activity) -> None:
	"""Print the requests and jobs of the first `top` tenants, the totals of all, and what they mean."""
	several = len({tenant.site.bench for tenant in tenants}) > 1
	total = activity.total  # of all sites, whatever is shown
	table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, show_footer=True)
	table.add_column("Site", "Total", overflow="fold")
	for heading, footer in zip(("Requests", "Seconds", "Jobs", "Seconds"), _cells(total), strict=True):
		table.add_column(heading, footer, justify="right", no_wrap=True)
	table.add_column("Share", justify="right", no_wrap=True)
	for tenant in tenants[:top]:
		name = f"{tenant.site.name} ({tenant.site.bench})" if several else tenant.site.name
		work = work_of(activity, tenant)
		cells = [name, *_cells(work), _percent_text(work, total)]
		table.add_row(*(Text(cell, style="" if tenant.site.counted else "dim") for cell in cells))
	if activity.other != Work():
		cells = ["other (sites that are no longer here)", *_cells(activity.other)]
		table.add_row(*(Text(cell) for cell in (*cells, _percent_text(activity.other, total))))
	screen = console()
	if activity.by_site or activity.other != Work():
		screen.print(table)
		screen.print(Text(MEANING))
	for note in notes(tenants, activity):
		screen.print(Text(f"Note: {note}"))


def notes(tenants: Sequence[Tenant], activity: Activity) -> list[str]:
	"""Return what the figures leave out, in words."""
	several = len(activity.logs) > 1
	found = []
	for log in activity.logs:
		begin = f"{log.bench}: " if several else ""
		found += [begin + note for note in _notes_of(log, activity)]
	silent = sum(work_of(activity, tenant) is None for tenant in tenants)
	if silent and activity.by_site:
		found.append(
			f"{silent} of {len(tenants)} sites have no line in the log (?): monitor is off in their own "
			"configuration, or their scheduler, which writes the log, does not run. The shares are without them"
		)
	return found


def _notes_of(log: MonitorLog, activity: Activity) -> Iterator[str]:
	if log.error:
		yield f"{sanitize(log.path)} cannot be read: {log.error}"
	if not log.monitored:
		yield _SWITCH_ON
	elif log.first_at is None and not log.error:
		yield (
			f"{sanitize(log.path)} has no line of the last day yet: each site's scheduler writes it, every four "
			"minutes by default"
		)
	if log.first_at is not None and log.last_at is not None:
		if log.first_at - activity.since > 600 or activity.until - log.last_at > 1800:
			yield f"what the log has of that begins at {_local(log.first_at)} and ends at {_local(log.last_at)}"
	if log.cut:
		yield f"only the newest {MAX_BYTES >> 20} MiB of {sanitize(log.path)} were read: it has never been rotated"
	if log.not_understood:
		yield f"{log.not_understood} lines of {sanitize(log.path)} are none of Frappe's, and are left out"


def activity_as_dict(tenants: Sequence[Tenant], activity: Activity) -> dict[str, Any]:
	"""Return what is known beside the tenants' own figures, as JSON has it."""
	return {
		"since": activity.since,
		"until": activity.until,
		"meaning": MEANING,
		"other": work_as_dict(activity, activity.other),
		"total": work_as_dict(activity, activity.total),
		"logs": [{**asdict(log), "path": sanitize(log.path)} for log in activity.logs],
		"notes": notes(tenants, activity),
	}


def work_as_dict(activity: Activity, work: Work | None) -> dict[str, Any] | None:
	"""Return the figures of one site as JSON has them, None where there is no line of it."""
	if work is None:
		return None
	return {
		"requests": work.requests,
		"request_seconds": round(work.request_seconds, 3),
		"jobs": work.jobs,
		"job_seconds": round(work.job_seconds, 3),
		"wall_seconds_pct": _percent(work, activity.total),
	}


def csv_cells(activity: Activity | None, tenant: Tenant) -> list[object]:
	"""Return a tenant's cells under CSV_COLUMNS; empty is what is not known."""
	work = work_as_dict(activity, work_of(activity, tenant)) if activity else None
	return list(work.values()) if work else [""] * len(CSV_COLUMNS)


def _percent(work: Work, total: Work) -> float | None:
	return round(100 * work.seconds / total.seconds, 1) if total.seconds else None


def _percent_text(work: Work | None, total: Work) -> str:
	percent = _percent(work, total) if work else None
	return "?" if percent is None else f"{percent:.1f} %"


def _cells(work: Work | None) -> list[str]:
	if work is None:
		return ["?"] * 4
	return [str(work.requests), _seconds(work.request_seconds), str(work.jobs), _seconds(work.job_seconds)]


def _seconds(seconds: float) -> str:
	return f"{seconds:.1f}" if seconds < 1000 else f"{seconds:.0f}"


def _local(at: float) -> str:
	return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
