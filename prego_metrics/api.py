"""The methods over HTTP: for System Managers, on the operator's site alone.

Thin on purpose: each asks who is there and where, then calls what the command line calls too.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import frappe
from frappe.rate_limiter import rate_limit
from werkzeug.wrappers import Response

from prego_metrics.agent.base.messages import message_of, translated
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push import result
from prego_metrics.agent.state.outcomes import NOT_SENT
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.operator_site import guarded_here, require_operators_site

if TYPE_CHECKING:
	from prego_metrics.doctor.check import Check

# With the heartbeat's own 5 s after it, a push answers within 15.
PUSH_SECONDS = 10.0
DOCTOR_SECONDS = 20.0


@frappe.whitelist()
@rate_limit(limit=120, seconds=60)
def status() -> dict[str, Any]:
	"""Return whether this node is delivering, its last push, drivers, host and settings."""
	from prego_metrics.desk.page.status import page

	config = _config()
	return guarded_here(lambda: page(config))


@frappe.whitelist()
@rate_limit(limit=30, seconds=60)
def tenants() -> dict[str, Any]:
	"""Return every site of the node, counted or not, and why; what `prego-metrics tenants --json` prints."""
	from prego_metrics.agent.base.errors import NotSent
	from prego_metrics.agent.collectors.census import census_as_dict
	from prego_metrics.agent.collectors.tenant_count import count_tenants

	config = _config()

	def census_or_reason() -> dict[str, Any] | str:
		try:
			return census_as_dict(count_tenants(config))
		except NotSent as error:
			return translated(message_of(error), frappe._)

	counted = guarded_here(census_or_reason)
	if isinstance(counted, str):
		frappe.throw(frappe.utils.escape_html(counted), frappe.ValidationError)
	assert isinstance(counted, dict)
	return counted


@frappe.whitelist()
@rate_limit(limit=60, seconds=60)
def series(period: str = "day") -> dict[str, Any]:
	"""Return what was delivered in the last `day`, `week` or `month`, in buckets of equal length."""
	from prego_metrics.desk.page.push_series import PERIODS, delivered_series

	config = _config()
	if period not in PERIODS:
		allowed = ", ".join(PERIODS)
		frappe.throw(frappe._("period must be one of: {0}").format(allowed), frappe.ValidationError)
	return delivered_series(config, period, time.time())


@frappe.whitelist()
@rate_limit(limit=60, seconds=60)
def tenant_sizes(days: int = 30, top: int = 10, contains: str = "") -> dict[str, Any]:
	"""Return the `top` largest tenants and those that grew most in the last 7 or 30 days, from the cache.

	With `contains`, of the sites whose name does.
	"""
	from prego_metrics.desk.page.tenant_charts import GROWTH_DAYS, MOST_SHOWN, sizes

	config = _config()
	days, top = frappe.utils.cint(days), frappe.utils.cint(top)
	if days not in GROWTH_DAYS:
		allowed = ", ".join(map(str, GROWTH_DAYS))
		frappe.throw(frappe._("days must be one of: {0}").format(allowed), frappe.ValidationError)
	if not 1 <= top <= MOST_SHOWN:
		frappe.throw(frappe._("top must be from 1 to {0}").format(MOST_SHOWN), frappe.ValidationError)
	return sizes(config, time.time(), days=days, top=top, contains=contains)


@frappe.whitelist()
@rate_limit(limit=60, seconds=60)
def tenant_history(site: str = "", bench: str = "") -> dict[str, Any]:
	"""Return what one tenant took on each of up to 400 days, from the cache; both names as `tenant_sizes` has them."""
	from prego_metrics.desk.page.tenant_charts import history

	return history(_config(), time.time(), bench=bench, site=site)


@frappe.whitelist(methods=["POST"])
@rate_limit(limit=6, seconds=60)
def push(dry_run: bool = False) -> dict[str, Any]:
	"""Push now, in one attempt within 15 seconds, or return what a push would send."""
	from prego_metrics.agent.push.push import dry_run as show_payload
	from prego_metrics.agent.push.push import push as push_once
	from prego_metrics.agent.push.request import Request
	from prego_metrics.desk.page.status import why_no_push

	config = _config()
	dry = frappe.utils.sbool(dry_run)
	if dry not in (True, False):
		# Who asked for a dry run in other words must not get a push.
		frappe.throw(frappe._("dry_run must be 0 or 1"), frappe.ValidationError)
	if dry:
		return _ended(guarded_here(lambda: show_payload(config.bench)))
	trouble = guarded_here(lambda: why_no_push(config))
	if trouble:
		# Not tried, and so not recorded: it is no failure of the trigger that has the key.
		return _ended(result.Result(NOT_SENT, time.time(), error=trouble))
	request = Request(within_seconds=PUSH_SECONDS, max_attempts=1, who=frappe.session.user)
	return _ended(guarded_here(lambda: push_once(config.bench, request)))


@frappe.whitelist(methods=["POST"])
@rate_limit(limit=6, seconds=60)
def collect() -> dict[str, Any]:
	"""Queue the collection of what each tenant takes, and go on with one that was not finished."""
	import redis

	from prego_metrics.desk.scan_job import is_nobody_there, queue_collection

	config = _config()
	try:
		queued = queue_collection(config)
		waits = is_nobody_there(config)
	except redis.exceptions.RedisError:
		queued = None
	if queued is None:
		frappe.throw(frappe._("Redis does not answer, so nothing was queued"), frappe.ValidationError)
	if waits:
		message = frappe._(
			"Queued, but no worker takes jobs of the queue long: it waits until whoever runs the node starts one."
		)
	elif queued:
		message = frappe._(
			"Queued: a worker of the queue long collects them. Refresh to see how far it has come."
		)
	else:
		message = frappe._("They are being collected already. Refresh to see how far that has come.")
	return {"queued": queued, "message": message}


@frappe.whitelist(methods=["POST"])
@rate_limit(limit=6, seconds=60)
def doctor() -> dict[str, Any]:
	"""Run the doctor's checks, as `prego-metrics doctor --json` does; what takes too long is left out, and said."""
	from prego_metrics.doctor.check import FAIL

	config = _config()
	checks = guarded_here(lambda: _examined(config))
	return {
		"ok": all(check.state != FAIL for check in checks),
		"checks": [
			{
				"name": check.name,
				"state": check.state,
				"seen": translated(check.seen, frappe._),
				"action": translated(check.action, frappe._),
			}
			for check in checks
		],
	}


@frappe.whitelist(methods=["GET"])
@rate_limit(limit=60, seconds=60)
def metrics() -> Response:
	"""Return the node as OpenMetrics text, for a Prometheus whose user has the role Prego Metrics Reader.

	503 where prometheus_client is not installed, with how to install it.
	"""
	from prego_metrics.agent.state.effective import as_pushed
	from prego_metrics.exporters.openmetrics import CONTENT_TYPE, MissingLibrary, openmetrics

	frappe.only_for(("System Manager", "Prego Metrics Reader"))
	config = require_operators_site()
	folder = StateFolder(config.bench.sites)

	def answer() -> Response:
		state, _ = folder.read()
		try:
			return Response(openmetrics(as_pushed(config, folder, state), state), content_type=CONTENT_TYPE)
		except MissingLibrary as error:
			return Response(f"{error}\n", status=503, content_type="text/plain; charset=utf-8")

	return guarded_here(answer)


def _examined(config: Config) -> list[Check]:
	from prego_metrics.desk.doctor.site import groups
	from prego_metrics.doctor.check import SKIP, Check
	from prego_metrics.doctor.runner import examine

	give_up_at = time.monotonic() + DOCTOR_SECONDS
	checks = []
	for check in examine(config.bench, os.environ, frappe_groups=groups()):
		checks.append(check)
		if time.monotonic() > give_up_at:
			seconds = f"{DOCTOR_SECONDS:g}"
			text = frappe._("not made: the checks took longer than {0} s").format(seconds)
			checks.append(Check("rest", SKIP, text, "prego-metrics doctor"))
			break
	return checks


def _config() -> Config:
	frappe.only_for("System Manager")
	return require_operators_site()


def _ended(ended: result.Result) -> dict[str, Any]:
	"""Return how a push ended, its sentences in the user's language."""
	from prego_metrics.agent.push.result import summary

	return {
		**ended.as_dict(),
		"error": None if ended.error is None else translated(ended.error, frappe._),
		"summary": translated(summary(ended), frappe._),
		"warnings": [translated(warning, frappe._) for warning in ended.warnings],
	}
