"""The delivered metrics over a day, a week or a month, in buckets; a bucket without a delivered push is a gap.

A node that delivered its first push within that time has no buckets before it, and shorter ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import frappe

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.outcomes import DELIVERED
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.desk.node_method import BadParameter
from prego_metrics.desk.push_log import DOCTYPE, METRICS, logged_node_id

DAY_SECONDS = 86400


class Period(NamedTuple):
	"""How far back a chart goes, and how long one of its buckets is, in seconds."""

	seconds: int
	bucket_seconds: int


# About 150 to 180 buckets each: one every two to four pixels.
PERIODS = {
	"day": Period(DAY_SECONDS, 600),
	"week": Period(7 * DAY_SECONDS, 3600),
	"month": Period(30 * DAY_SECONDS, 4 * 3600),
}


# A younger node's buckets are the shortest of these that make no more of them than that.
_YOUNG_BUCKETS, _MAX_BUCKETS = (120, 300), 150


class _Bucket:
	"""Minimum, mean and maximum of each metric among the pushes of one bucket."""

	def __init__(self) -> None:
		self._sums: dict[str, tuple[float, float, float, int]] = {}

	def add(self, metric: str, minimum: float, maximum: float, total: float, count: int) -> None:
		low, high, sum_before, count_before = self._sums.get(metric, (minimum, maximum, 0.0, 0))
		self._sums[metric] = (min(low, minimum), max(high, maximum), sum_before + total, count_before + count)

	def as_dict(self) -> dict[str, list[float] | None]:
		return {
			metric: [round(sums[0], 1), round(sums[2] / sums[3], 1), round(sums[1], 1)]
			if (sums := self._sums.get(metric))
			else None
			for metric in METRICS
		}


def delivered_series(config: Config, period: str, now: float) -> dict[str, Any]:
	"""Return the buckets of `period`, oldest first, each with [minimum, mean, maximum] of a metric, or None.

	An interval longer than a bucket widens the buckets: else every other one would look like a gap. Raises
	BadParameter for an unknown period.
	"""
	if period not in PERIODS:
		raise BadParameter(message("period must be one of: {allowed}", allowed=", ".join(PERIODS)))
	folder = StateFolder(config.bench.sites)
	pushed = as_pushed(config, folder, folder.read()[0])
	seconds, bucket_seconds = PERIODS[period]
	delivered = list(_from_state(folder, pushed.node_id))
	node_id = logged_node_id(pushed.node_id)
	since = now - seconds
	began = min((at for at in (_first_in_log(node_id), *(push.at for push in delivered)) if at), default=now)
	if began > since:
		since = began
		young = (size for size in _YOUNG_BUCKETS if (now - since) / size <= _MAX_BUCKETS)
		bucket_seconds = min(bucket_seconds, next(young, bucket_seconds))
	bucket_seconds = max(bucket_seconds, int(2 * pushed.push_interval))
	first = int(since // bucket_seconds) + (since == now - seconds)
	last = int(now // bucket_seconds)
	buckets: dict[int, _Bucket] = {}
	recent = [push for push in delivered if push.at >= first * bucket_seconds]
	# The state is ahead of the log, which catches up from it: from its first push on, the state alone counts.
	log_ends = min((push.at for push in recent), default=now + bucket_seconds)
	in_log = _from_log(node_id, first * bucket_seconds, log_ends, bucket_seconds)
	for number, metric, minimum, maximum, total, count in in_log:
		buckets.setdefault(number, _Bucket()).add(metric, minimum, maximum, total, count)
	for push in recent:
		bucket = buckets.setdefault(int(push.at // bucket_seconds), _Bucket())
		for metric in METRICS:
			value = (push.payload or {}).get(metric)
			if value is not None:
				bucket.add(metric, value, value, value, 1)
	empty = _Bucket()
	return {
		"period": period,
		"bucket_seconds": bucket_seconds,
		"buckets": [
			{"at": number * bucket_seconds, **buckets.get(number, empty).as_dict()}
			for number in range(first, last + 1)
		],
	}


def _from_state(folder: StateFolder, node_id: str) -> Iterable[Any]:
	for push in folder.history():
		if push.outcome == DELIVERED and push.node_id == node_id:
			yield push


def _first_in_log(node_id: str) -> float | None:
	"""Return when this node delivered the first push that is still in the log."""
	if not node_id or not frappe.db.exists("DocType", DOCTYPE):
		return None
	first: float | None = frappe.db.get_value(
		DOCTYPE, {"node_id": node_id, "outcome": DELIVERED}, "epoch_seconds", order_by="pushed_at asc"
	)
	return first


def _from_log(
	node_id: str, since: float, until: float, bucket_seconds: int
) -> Iterator[tuple[int, str, float, float, float, int]]:
	"""Yield bucket, metric, minimum, maximum, sum and count, aggregated by the database; nothing without the log."""
	if not node_id or not frappe.db.exists("DocType", DOCTYPE):
		return
	from frappe.query_builder import DocType
	from frappe.query_builder.functions import Cast_, Count, Function, Max, Min, Sum

	log = DocType(DOCTYPE)
	bucket = Function("FLOOR", log.epoch_seconds / bucket_seconds)
	for metric in METRICS:
		value = Cast_(log[metric], "DECIMAL(12,2)")
		rows = (
			frappe.qb.from_(log)
			.select(bucket, Min(value), Max(value), Sum(value), Count(value))
			.where(log.node_id == node_id)
			.where(log.outcome == DELIVERED)
			.where(log.epoch_seconds >= since)
			.where(log.epoch_seconds < until)
			# A text column, empty for an unknown value, which a cast would turn into 0.
			.where(log[metric].isnotnull())
			.where(log[metric] != "")
			.groupby(bucket)
		).run()
		for number, minimum, maximum, total, count in rows:
			yield int(number), metric, float(minimum), float(maximum), float(total), int(count)
