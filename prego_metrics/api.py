"""The methods over HTTP, `/api/method/prego_metrics.api.…`: each forwards to the module that does the work.

`node_method` lets in System Managers of the operator site alone. The modules are imported when they are needed:
Frappe imports this one in every web worker.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import frappe
from frappe.rate_limiter import rate_limit

from prego_metrics.desk.node_method import MANAGER_ROLE, READER_ROLE, node_method

if TYPE_CHECKING:
	from werkzeug.wrappers import Response

	from prego_metrics.agent.config.config import Config


@frappe.whitelist()
@rate_limit(limit=120, seconds=60)
@node_method()
def status(config: Config) -> dict[str, Any]:
	"""Return whether this node is delivering, its last push, triggers, host and settings."""
	from prego_metrics.desk.page.status import node_page

	return node_page(config)


@frappe.whitelist()
@rate_limit(limit=30, seconds=60)
@node_method()
def tenants(config: Config) -> dict[str, Any]:
	"""Return every site of the node, counted or not, and why; what `prego-metrics tenants --json` prints."""
	from prego_metrics.agent.collectors.census import census_as_dict
	from prego_metrics.agent.collectors.tenant_count import count_tenants

	return census_as_dict(count_tenants(config))


@frappe.whitelist()
@rate_limit(limit=60, seconds=60)
@node_method()
def series(config: Config, period: str = "day") -> dict[str, Any]:
	"""Return what was delivered in the last `day`, `week` or `month`, in buckets of equal length."""
	from prego_metrics.desk.page.push_series import delivered_series

	return delivered_series(config, period, time.time())


@frappe.whitelist()
@rate_limit(limit=60, seconds=60)
@node_method()
def tenant_sizes(config: Config, days: int = 30, top: int = 10, contains: str = "") -> dict[str, Any]:
	"""Return the `top` largest tenants and those that grew most in the last 7 or 30 days, from the usage store.

	With `contains`, of the sites whose name contains it.
	"""
	from prego_metrics.desk.page.tenant_charts import sizes

	return sizes(config, time.time(), days=days, top=top, contains=contains)


@frappe.whitelist()
@rate_limit(limit=60, seconds=60)
@node_method()
def tenant_history(config: Config, site: str = "", bench: str = "") -> dict[str, Any]:
	"""Return one tenant's usage on each of up to 400 days, from the usage store; both names as `tenant_sizes` returns them."""
	from prego_metrics.desk.page.tenant_charts import history

	return history(config, time.time(), bench=bench, site=site)


@frappe.whitelist(methods=["POST"])
@rate_limit(limit=6, seconds=60)
@node_method()
def push(config: Config, dry_run: bool = False) -> dict[str, Any]:
	"""Push now, in one attempt within 15 seconds, or return what a push would send."""
	from prego_metrics.desk.manual_push import push_over_http

	return push_over_http(config, without_sending=dry_run)


@frappe.whitelist(methods=["POST"])
@rate_limit(limit=6, seconds=60)
@node_method()
def collect(config: Config) -> dict[str, Any]:
	"""Queue the scan of the tenants' usage, which continues one that was not finished."""
	from prego_metrics.desk.scan_job import request_scan

	return request_scan(config)


@frappe.whitelist(methods=["POST"])
@rate_limit(limit=6, seconds=60)
@node_method()
def doctor(config: Config) -> dict[str, Any]:
	"""Run the doctor's checks, as `prego-metrics doctor --json` does, for at most 20 seconds."""
	from prego_metrics.desk.doctor.timed_run import run_checks

	return run_checks(config.bench)


@frappe.whitelist(methods=["GET"])
@rate_limit(limit=60, seconds=60)
@node_method(MANAGER_ROLE, READER_ROLE)
def metrics(config: Config) -> Response:
	"""Return the node as OpenMetrics text, for a Prometheus whose user has the role Prego Metrics Reader."""
	from prego_metrics.desk.page.metrics import metrics_response

	return metrics_response(config)
