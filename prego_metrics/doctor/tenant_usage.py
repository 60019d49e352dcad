"""Whether what each tenant takes is collected. No push depends on it, so nothing here is worse than a warning."""

from __future__ import annotations

import time

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.doctor.check import PASS, SKIP, WARN, Examination, Finding
from prego_metrics.tenants.usage.scan_status import CollectionStatus, collection_status
from prego_metrics.tenants.usage.store import HistoryError

OLD_SECONDS = 2 * 86400.0


def tenant_figures(node: Examination) -> Finding:
	"""The cache of the tenants' figures can be read, and none of them is older than two days."""
	try:
		status = collection_status(node.bench.sites)
	except HistoryError as error:
		return Finding(
			WARN,
			message("the cache of the tenants' figures cannot be read: {error}", error=str(error)),
			_action(),
		)
	wanted = node.config.site is not None and node.config.collect_tenants
	if status is None:
		never = message("what each tenant takes was never collected")
		return Finding(WARN, never, _action()) if wanted else Finding(SKIP, never)
	progress = _progress(status, time.time())
	if not node.config.collect_tenants:
		return Finding(SKIP, message("collect_tenants is false; {found}", found=progress))
	if status.age(time.time()) > OLD_SECONDS:
		return Finding(WARN, progress, _action())
	return Finding(PASS, progress)


def _progress(status: CollectionStatus, now: float) -> Message:
	begun, age = _hours(now - status.begun_at), _hours(status.age(now))
	if status.ended_at is None:
		return message(
			"collected, but not of all sites yet: begun {begun} h ago, sites read {sites}; the oldest figures are "
			"{age} h old",
			begun=begun,
			sites=status.read,
			age=age,
		)
	return message(
		"collected of all sites: begun {begun} h ago, sites {sites}; the oldest figures are {age} h old",
		begun=begun,
		sites=status.read,
		age=age,
	)


def _hours(seconds: float) -> str:
	return f"{max(0.0, seconds) / 3600:.0f}"


def _action() -> Message:
	return message(
		"collect them now: `prego-metrics tenants --collect`. By night the operator's site does, where its scheduler is "
		"enabled and a worker takes jobs of the queue long; its Error Log says what kept it from that"
	)
