"""Whether the tenants' usage is scanned. No push depends on it, so nothing here is worse than a warning."""

from __future__ import annotations

import time

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import Message, message
from prego_metrics.doctor.check import PASS, SKIP, WARN, Examination, Finding
from prego_metrics.tenants.usage.scan_status import ScanStatus, last_scan
from prego_metrics.tenants.usage.store import StoreError

OLD_SECONDS = 2 * 86400.0


def tenant_figures(node: Examination) -> Finding:
	"""The last scan can be read, and no site was scanned more than two days ago."""
	try:
		status = last_scan(node.bench.sites)
	except StoreError as error:
		return Finding(
			WARN,
			message("the tenants' usage cannot be read: {error}", error=error.message),
			_action(node),
			error.code,
		)
	wanted = _scans_at_night(node) and node.config.scan_tenants
	if status is None:
		never = message("the tenants' usage was never scanned")
		return Finding(WARN, never, _action(node)) if wanted else Finding(SKIP, never)
	progress = _progress(status, time.time())
	if not node.config.scan_tenants:
		return Finding(SKIP, message("scan_tenants is false; {status}", status=progress))
	if status.age(time.time()) > OLD_SECONDS:
		return Finding(WARN, progress, _action(node))
	return Finding(PASS, progress)


def _progress(status: ScanStatus, now: float) -> Message:
	started, age = duration(now - status.begun_at), duration(status.age(now))
	if status.ended_at is None:
		return message(
			"scan incomplete: started {started} ago, sites read {sites}; the oldest data is {age} old",
			started=started,
			sites=status.read,
			age=age,
		)
	return message(
		"all sites scanned: started {started} ago, sites {sites}; the oldest data is {age} old",
		started=started,
		sites=status.read,
		age=age,
	)


def _scans_at_night(node: Examination) -> bool:
	return node.config.site is not None and node.has_app


def _action(node: Examination) -> Message:
	if not _scans_at_night(node):
		return message("run `prego-metrics tenants --scan`")
	return message(
		"run `prego-metrics tenants --scan`. The operator site scans at night if its scheduler is enabled and a "
		"worker takes jobs of the queue long; its Error Log has what went wrong"
	)
