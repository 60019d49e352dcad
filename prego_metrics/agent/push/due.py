"""Whether a run pushes: the time of the next regular push has come, or the tenant count is not the delivered one.

Most runs find nothing to do, each minute. So they count only where a stamp (see collectors/stamp.py) says that the
count may have changed, and keep what they found.
"""

from __future__ import annotations

import time

from prego_metrics.agent.base.errors import NotSent, TooLate
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.time_limits import folder_in_time, in_time
from prego_metrics.agent.collectors.stamp import Stamp, take_stamp
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.light_typing import NamedTuple
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.push.steps import read_state, read_ticks, write_in_time
from prego_metrics.agent.state import schedule
from prego_metrics.agent.state.model import Count, State
from prego_metrics.agent.state.outcomes import NOT_DUE
from prego_metrics.agent.state.store import StateFolder

# Who wakes up a moment early finds nothing due.
_MOMENT_SECONDS = 0.05


class Wait(NamedTuple):
	"""How long a run waits before it pushes, and whether that is a regular push.

	A run that waits because the count changed makes no regular push, though one may be due when it is over: the next
	one would move from the trigger's moment, and come a whole period later.
	"""

	seconds: float
	regular: bool


def wait_before_push(config: Config, folder: StateFolder, request: Request) -> Wait | None:
	"""Return for how long a run that starts now waits, None if it does not push. Raises TooLate."""
	state, _ = read_state(folder)
	regular_seconds = None if request.on_change else _wait_for_regular(config, folder, state, request)
	if regular_seconds is not None:
		return Wait(regular_seconds, regular=True)
	if not state.pace.obeys_changes:
		return None
	seconds = _seconds_until_change_due(config, state)
	# Frappe's worker has other jobs than to wait.
	longest = schedule.CHANGE_SECONDS if request.spread else 0.0
	if seconds > longest or not has_changed(config, folder, state):
		return None
	spread = min(config.spread, config.push_interval) if request.spread else 0.0
	share = schedule.spread_share_seconds(config.node_id, spread)
	return Wait(max(share, seconds + _MOMENT_SECONDS if seconds > 0 else 0.0), regular=False)


def may_have_alerts(config: Config, folder: StateFolder, request: Request, result: Result) -> bool:
	"""Tell whether this run looks for alerts to post. One that pushed does, unless somebody waits for its page.

	One that is not due does so where some may be left (one stat), or where it only watches over another trigger.
	"""
	if result.outcome != NOT_DUE:
		return request.within_seconds is None
	if request.trigger == "frappe" and not config.scheduler_pushes:
		return True
	try:
		return folder_in_time(folder.is_pending, folder.path)
	except TooLate:
		return False


def is_due(config: Config, folder: StateFolder, state: State, request: Request, wait: Wait) -> bool:
	"""Tell whether a push is due, for a run that waited and holds the lock."""
	if not request.on_change and is_regular_due(config, state):
		return True
	ready = state.pace.obeys_changes and _seconds_until_change_due(config, state) <= 0
	# Without a wait it has only just been counted, and a push meanwhile would have moved the time of the next.
	just_counted = not (wait.regular or wait.seconds)
	return ready and (just_counted or has_changed(config, folder, state))


def is_regular_due(config: Config, state: State) -> bool:
	"""Tell whether a push is due whatever the count is."""
	# The clock is read after the state: a stamp from a push that is just beginning must not look like the future.
	now = time.time()
	return schedule.seconds_until_due(now, state.pace, config.push_interval, config.node_id) <= 0


def has_changed(config: Config, folder: StateFolder, state: State) -> bool:
	"""Tell whether the tenant count is not the one that was delivered last for this node.

	Where there is no count now, nothing has changed: the next regular push says why.
	"""
	delivered = state.last_delivered
	if delivered is None or delivered.payload is None or delivered.node_id != config.node_id:
		return False
	try:
		tenants = _current_count(config, folder, state)
	except NotSent:
		return False
	return bool(tenants != delivered.payload["tenant_count"])


def keep_count(folder: StateFolder, stamp: Stamp | None, tenants: int) -> None:
	"""Keep a count for the runs to come, unless it may be one of half a change: that one is made again."""
	if stamp and stamp.settled:
		write_in_time(lambda: folder.write_count(Count(stamp.text, tenants)), folder)


def _wait_for_regular(config: Config, folder: StateFolder, state: State, request: Request) -> float | None:
	# Frappe's runs are aligned to the clock on all nodes. The other triggers' ticks are read only if a push is due.
	other_trigger_leads = (
		request.trigger == "frappe"
		and is_regular_due(config, state)
		and any(tick.leads(time.time()) for tick in read_ticks(folder))
	)
	return schedule.wait_before_push(
		time.time(),
		state.pace,
		config.push_interval,
		config.node_id,
		spread_seconds=config.spread if request.spread else 0.0,
		other_trigger_leads=other_trigger_leads,
	)


def _seconds_until_change_due(config: Config, state: State) -> float:
	now = time.time()
	return schedule.seconds_until_due(now, state.pace, config.push_interval, config.node_id, changed=True)


def _current_count(config: Config, folder: StateFolder, state: State) -> int:
	"""Return the kept count if it is still that of the sites, else count. Raises NotSent."""
	stamp, kept = folder_in_time(lambda: (take_stamp(config), folder.read_count()), config.bench.sites)
	if stamp and kept and kept.stamp == stamp.text:
		return kept.tenants
	from prego_metrics.agent.collectors.tenant_count import count_tenants

	seconds = schedule.deadline_seconds(config.push_interval)
	late = coded("count_late", seconds=f"{seconds:.3g}")
	tenants = in_time(lambda: count_tenants(config, state.site_marks).tenant_count, seconds, late)
	keep_count(folder, stamp, tenants)
	return tenants
