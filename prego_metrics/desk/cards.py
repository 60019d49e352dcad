"""The workspace's cards and chart. On a site other than the operator site a card shows a dash and raises no error,
which would show a tenant's System Manager a red message.

Frappe fetches a card when the workspace opens and not again, so times are local times, not ages. It shows what a
card returns as HTML.
"""

from __future__ import annotations

import time
from typing import Any

import frappe
from frappe.utils import add_days, getdate, nowdate

from prego_metrics.agent.state.outcomes import DELIVERED, FAILED, NOT_SENT, REFUSED
from prego_metrics.agent.state.status import FAILING, FRESH, NEVER, STALE, Status, judge_status
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.desk.adapters.site_locale import users_time
from prego_metrics.desk.operator_site import operator_config
from prego_metrics.desk.push_log import DOCTYPE, node_id_in_log

CHART_DAYS = 14
NOTHING = "–"


@frappe.whitelist(methods=["GET", "POST"])
def node_state() -> str:
	"""Return whether the node is delivering, as the page says it; HTML, which is red where the row is stale."""
	status = _status()
	if status is None:
		return NOTHING
	mark, word = {
		FRESH: ("✓", frappe._("Delivering")),
		FAILING: ("!", frappe._("Failing")),
		STALE: ("✕", frappe._("Stale")),
		NEVER: ("✕", frappe._("Never delivered")),
	}[status.verdict]
	return _in_colour(status, f"{mark} {frappe.utils.escape_html(word)}")


@frappe.whitelist(methods=["GET", "POST"])
def tenants() -> str:
	"""Return how many tenants the last delivered push counted; HTML."""
	status = _status()
	payload = status.last_delivered.payload if status and status.last_delivered else None
	return _in_colour(status, str(payload["tenant_count"])) if status and payload else NOTHING


@frappe.whitelist(methods=["GET", "POST"])
def failures_in_a_row() -> str:
	"""Return how many pushes in a row were not delivered; HTML."""
	status = _status()
	return _in_colour(status, str(status.failures_in_a_row)) if status else NOTHING


@frappe.whitelist(methods=["GET", "POST"])
def last_delivered() -> str:
	"""Return when a push was last delivered, as this user reads times; HTML."""
	status = _status()
	if status is None or status.last_delivered is None:
		return NOTHING
	moment, zone = users_time(status.last_delivered.at).rsplit(" ", 1)
	small = f'<div class="text-muted" style="font-size: 12px; font-weight: 400">{zone}</div>'
	return _in_colour(status, f'<span style="font-size: 18px">{moment}</span>{small}')


@frappe.whitelist(methods=["GET", "POST"])
def pushes_per_day(**_chart: Any) -> dict[str, Any]:
	"""Return this node's logged pushes of the last two weeks, a bar a day, by outcome; 0 for a day without a push."""
	frappe.only_for("System Manager")
	days = [getdate(add_days(nowdate(), -back)) for back in reversed(range(CHART_DAYS))]
	counts: dict[tuple[Any, str], int] = {}
	config = operator_config()
	if config:
		from frappe.query_builder import DocType
		from frappe.query_builder.functions import Count, Date

		log = DocType(DOCTYPE)
		node_id = node_id_in_log(StateFolder(config.bench.sites), config)
		day = Date(log.pushed_at)
		rows = (
			frappe.qb.from_(log)
			.select(day, log.outcome, Count("*"))
			.where((log.node_id == node_id) & (log.pushed_at >= days[0]))
			.groupby(day, log.outcome)
		).run()
		counts = {(getdate(on), outcome): count for on, outcome, count in rows}
	names = {
		DELIVERED: frappe._("Delivered"),
		NOT_SENT: frappe._("Not Sent"),
		FAILED: frappe._("Failed"),
		REFUSED: frappe._("Refused"),
	}
	return {
		"labels": [f"{day:%m-%d}" for day in days],
		"datasets": [
			{"name": name, "values": [counts.get((day, outcome), 0) for day in days]}
			for outcome, name in names.items()
		],
	}


def _in_colour(status: Status, html: str) -> str:
	"""Return what a card shows in the colour of the state: a stale node's old numbers must not look healthy."""
	colour = {FAILING: "var(--orange-600, #bd3e0c)", STALE: "var(--red-600, #e03636)"}
	colour[NEVER] = colour[STALE]
	return f'<span style="color: {colour.get(status.verdict, "inherit")}">{html}</span>'


def _status() -> Status | None:
	frappe.only_for("System Manager")
	config = operator_config()
	if config is None:
		return None
	folder = StateFolder(config.bench.sites)
	state, _ = folder.read()
	return judge_status(state, as_pushed(config, folder, state), time.time(), folder=folder)
