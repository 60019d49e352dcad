"""Whether Frappe skips the jobs of this site since nobody logs in to it, as up to about 15.56 it does.

Frappe looks at the logins once an hour, keeps the verdict in Redis, and a login does not change it. Whoever opens the
Desk to see why pushes stopped has just logged in: the cause is gone from the database, and stays in the verdict.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

import frappe
from frappe.utils import cint, get_datetime, now_datetime
from frappe.utils import scheduler as frappe_scheduler

_VERDICT = "frappe.utils.scheduler.schedule_jobs_based_on_activity"
_DAY_SECONDS = 86400
# For so long after a login the page says what it ended.
_REMEMBERED_SECONDS = 86400.0


def is_dormant() -> bool:
	"""Return what Frappe would find now; later versions have no such rule."""
	rule = getattr(frappe_scheduler, "is_dormant", None)
	return bool(rule and rule())


def skipped_seconds() -> float | None:
	"""Return for how much longer Frappe skips the site's jobs by the verdict that it keeps; None if it does not."""
	# Frappe's own name for a call without arguments.
	key = f"{_VERDICT}::{hash(())}"
	if frappe.cache.get_value(key, expires=True) is not False:
		return None
	return float(max(0, frappe.cache.ttl(frappe.cache.make_key(key))))


def ended_dormancy() -> tuple[float, float] | None:
	"""Return from when until when nobody logged in, if a login of the last day ended that; in seconds since the epoch.

	Only where this Frappe skips the jobs of such a site.
	"""
	if frappe.conf.developer_mode:
		return None
	now = now_datetime()
	since = now - datetime.timedelta(seconds=_REMEMBERED_SECONDS)
	login = _activity(("creation", ">=", since), "creation asc")
	before = login and _activity(("creation", "<", login), "creation desc")
	days = cint(frappe.get_system_settings("dormant_days")) or 4
	if not login or not before or (login - before).total_seconds() < days * _DAY_SECONDS:
		return None
	began, until = (time.time() - (now - at).total_seconds() for at in (before, login))
	return began, until


def _activity(condition: Any, order: str) -> datetime.datetime | None:
	times = frappe.get_all("Activity Log", filters=[condition], order_by=order, limit=1, pluck="creation")
	return get_datetime(times[0]) if times else None
