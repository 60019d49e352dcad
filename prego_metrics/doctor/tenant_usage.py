"""Whether the tenants' usage is scanned. No push depends on it, so nothing here is worse than a warning."""

from __future__ import annotations

import time

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.bench.processes import app_added_at
from prego_metrics.doctor.check import PASS, SKIP, WARN, Examination, Finding, found
from prego_metrics.doctor.triggers import settings_changed_at
from prego_metrics.tenants.usage.scan_status import ScanStatus, last_scan
from prego_metrics.tenants.usage.store import StoreError

OLD_SECONDS = 2 * 86400.0
# Frappe asks every hour whether a scan is due, and the first one always is.
FIRST_SCAN_SECONDS = 2 * 3600.0


def tenant_figures(node: Examination) -> Finding:
	"""The last scan can be read, and no site was scanned more than two days ago."""
	scans_at_night = node.config.site is not None and node.has_app
	action = message("run `prego-metrics tenants --scan`")
	if scans_at_night:
		action = message(
			"run `prego-metrics tenants --scan`, and see the operator site's Error Log. Its nightly scan needs an "
			"enabled scheduler and a worker for the queue long"
		)
	try:
		status = last_scan(node.bench.sites)
	except StoreError as error:
		return found(WARN, "the usage data cannot be read: {error}", action, error.code, error=error.message)
	wanted = scans_at_night and node.config.scan_tenants
	if status is None:
		if wanted and _is_new(node):
			return found(
				SKIP,
				"no usage scan has run yet: Frappe starts the first within an hour; to scan now, run `prego-metrics tenants --scan`",
			)
		never = message("no usage scan has run yet")
		return Finding(WARN, never, action) if wanted else Finding(SKIP, never)
	progress = _progress(status, time.time())
	if not node.config.scan_tenants:
		return found(SKIP, "scan_tenants is false; {status}", status=progress)
	if status.age(time.time()) > OLD_SECONDS:
		return Finding(WARN, progress, action)
	return Finding(PASS, progress)


def _is_new(node: Examination) -> bool:
	"""Tell whether Frappe may not have come to the first scan yet, since the app or its settings are new."""
	since = max(app_added_at(node.bench) or 0.0, settings_changed_at(node))
	return time.time() - since < FIRST_SCAN_SECONDS


def _progress(status: ScanStatus, now: float) -> Message:
	started, age = duration(now - status.begun_at), duration(status.age(now))
	if status.ended_at is None:
		return message(
			"scan incomplete: started {started} ago, {sites} sites read, oldest data {age} old",
			started=started,
			sites=status.read,
			age=age,
		)
	return message(
		"all {sites} sites scanned, started {started} ago, oldest data {age} old",
		sites=status.read,
		started=started,
		age=age,
	)
