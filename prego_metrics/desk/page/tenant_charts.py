"""What the pictures of the tenants show, on the page "Prego Node": fit to show, and in the user's language."""

from __future__ import annotations

from typing import Any

import frappe

from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.messages import Message, message, message_of, translated
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config
from prego_metrics.desk.node_method import BadParameter
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.growth import Overview, overview, tenant_days
from prego_metrics.tenants.usage.reader import Grown
from prego_metrics.tenants.usage.store import DAY_SECONDS, StoreError

GROWTH_DAYS = (7, 30)
MAX_TOP = 50
# A night and a half: by then the job has missed one.
OLD_SECONDS = 36 * 3600


def sizes(config: Config, now: float, *, days: int, top: int, contains: str) -> dict[str, Any]:
	"""Return the `top` largest and fastest growing tenants; where there are none, `nothing` says why.

	Raises BadParameter; HTTP may bring the numbers as strings.
	"""
	days, top = frappe.utils.cint(days), frappe.utils.cint(top)
	if days not in GROWTH_DAYS:
		raise BadParameter(
			message("days must be one of: {allowed}", allowed=", ".join(str(days) for days in GROWTH_DAYS))
		)
	if not 1 <= top <= MAX_TOP:
		raise BadParameter(message("top must be from 1 to {maximum}", maximum=MAX_TOP))
	try:
		usage = overview(config.bench.sites, now, days=days, count=top, name_contains=_stored(contains))
	except StoreError as error:
		return _nothing(_unreadable(error), failed=True)
	if usage is None:
		return _nothing(
			message(
				"The tenants' usage was not scanned yet: the nightly job does that. To scan it now, run "
				"`prego-metrics tenants --scan` on the node."
			)
		)
	return {
		"nothing": None,
		"failed": False,
		"sites": usage.ages.sites,
		"newest_at": iso_utc(usage.ages.newest_at),
		"newest_age_seconds": round(max(0.0, now - usage.ages.newest_at)),
		"oldest_age_seconds": round(max(0.0, now - usage.ages.oldest_at)),
		"notes": [translated(note, frappe._) for note in _notes(usage, now)],
		"largest": [_tenant(tenant) for tenant in usage.largest],
		"growth": {
			"days": days,
			"known_days": usage.known_days,
			"tenants": usage.tenants,
			"bytes_a_day": round(usage.bytes_a_day),
			"fastest": [_grown(one, tenant) for one, tenant in usage.fastest],
		},
	}


def history(config: Config, now: float, *, bench: str, site: str) -> dict[str, Any]:
	"""Return one tenant's days, each `null` where it was not scanned; `nothing` says why there are none."""
	try:
		stored = tenant_days(config.bench.sites, _stored(bench), _stored(site), now)
	except StoreError as error:
		return _nothing(_unreadable(error), failed=True)
	if stored is None:
		return _nothing(message("No usage of {site} is stored: it was never scanned.", site=_visible(site)))
	return {
		"nothing": None,
		"failed": False,
		"site": _visible(site),
		"bench": _visible(bench),
		**_verdict(stored.tenant),
		"first_day_at": stored.first_day * DAY_SECONDS,
		"days": [day and {**day._asdict(), "total_bytes": day.total_bytes} for day in stored.days],
	}


def _nothing(sentence: Message, *, failed: bool = False) -> dict[str, Any]:
	return {"nothing": translated(sentence, frappe._), "failed": failed}


def _unreadable(error: StoreError) -> Message:
	return message("The tenants' usage cannot be read: {error}", error=message_of(error))


def _notes(usage: Overview, now: float) -> list[Message]:
	if now - usage.ages.newest_at > OLD_SECONDS:
		return [
			message(
				"No tenant was scanned for more than a day. Check whether the nightly job runs, or run "
				"`prego-metrics tenants --scan` on the node."
			)
		]
	if usage.unfinished:
		return [
			message(
				"The last scan has not finished: it is still running, or it was stopped and the next one continues "
				"it. Some tenants may be missing or older."
			)
		]
	return []


def _tenant(tenant: Tenant) -> dict[str, Any]:
	return {
		"site": _visible(tenant.site.name),
		"bench": _visible(tenant.site.bench),
		**_verdict(tenant),
		"read_at": iso_utc(tenant.read_at),
		"files_bytes": tenant.files_bytes,
		"backups_bytes": tenant.backups_bytes,
		"database_bytes": tenant.database_bytes,
		"total_bytes": tenant.total_bytes,
		"is_lower_bound": None in (tenant.files_bytes, tenant.backups_bytes, tenant.database_bytes)
		or bool(tenant.disk and tenant.disk.all_unreadable),
	}


def _grown(one: Grown, tenant: Tenant | None) -> dict[str, Any]:
	return {
		"site": _visible(one.site),
		"bench": _visible(one.bench),
		**_verdict(tenant),
		"bytes": one.bytes,
		"days": one.days,
		"bytes_a_day": round(one.bytes_a_day),
	}


def _verdict(tenant: Tenant | None) -> dict[str, Any]:
	"""Return whether a site counted when it was scanned, and why not; nothing is known of one that is gone."""
	if tenant is None:
		return {"counted": None, "reason": None}
	reason = tenant.site.reason
	visible_reason = translated(reason, frappe._) if isinstance(reason, Message) else _visible(reason)
	return {"counted": tenant.site.counted, "reason": visible_reason}


def _stored(name: str) -> str:
	"""Return a name as SQLite takes it: JSON can hold half a character, and no site's name in the usage store does."""
	return name.encode("utf-8", "replace").decode("utf-8")


def _visible(name: str) -> str:
	"""Escape what is not plainly visible in a name of the usage store; a backslash there is of an earlier escape."""
	return "\\".join(sanitize(part) for part in name.split("\\"))
