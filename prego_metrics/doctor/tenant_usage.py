"""Whether what each tenant takes is collected. No push depends on it, so nothing here is worse than a warning."""

from __future__ import annotations

import time

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.doctor.check import PASS, SKIP, WARN, Check, Examination
from prego_metrics.tenants.usage.scan_status import CollectionStatus, collection_status
from prego_metrics.tenants.usage.store import HistoryError

OLD_SECONDS = 2 * 86400.0
_NAME = "tenant_figures"


def tenant_figures(seen: Examination) -> Check:
	"""The cache of the tenants' figures can be read, and none of them is older than two days."""
	try:
		status = collection_status(seen.bench.sites)
	except HistoryError as error:
		return Check(
			_NAME,
			WARN,
			message("the cache of the tenants' figures cannot be read: {error}", error=str(error)),
			_action(),
		)
	wanted = seen.config.site is not None and seen.config.collect_tenants
	if status is None:
		never = message("what each tenant takes was never collected")
		return Check(_NAME, WARN, never, _action()) if wanted else Check(_NAME, SKIP, never)
	found = _found(status, time.time())
	if not seen.config.collect_tenants:
		return Check(_NAME, SKIP, message("collect_tenants is false; {found}", found=found))
	if status.age(time.time()) > OLD_SECONDS:
		return Check(_NAME, WARN, found, _action())
	return Check(_NAME, PASS, found)


def _found(status: CollectionStatus, now: float) -> Message:
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
