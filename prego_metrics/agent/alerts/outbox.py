"""The alerts that a channel has not sent yet: pushes fail, stop or arrive again, and the like.

systemd's `OnFailure=` and cron's mail come through here. Each runs every minute, and an outage is sent once: a
receipt marks what a channel was given. Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from prego_metrics.agent.alerts.fallback_folder import folder_to_read
from prego_metrics.agent.alerts.receipts import node_id_of_pushes, take_unsent, withdraw_receipt
from prego_metrics.agent.alerts.rendering import description, title
from prego_metrics.agent.base.alert_codes import ENDED_BY, FAILING, RECOVERED
from prego_metrics.agent.base.errors import LockUnsupported, PregoMetricsError
from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.model import EVENTS_LENGTH
from prego_metrics.agent.state.schedule import fresh_seconds
from prego_metrics.agent.state.store import StateFolder

CHANNEL_FORM = "1 to 32 of a-z, 0-9 and -"
_CHANNEL = re.compile(r"[a-z0-9-]{1,32}")
_DELIVERY = (*ENDED_BY[RECOVERED], RECOVERED)
_LOCK_WAIT_SECONDS = 2.0


class ChannelError(PregoMetricsError):
	"""That cannot be the name of a channel."""


def check_channel(channel: str) -> None:
	"""Raise ChannelError if `channel` cannot be the name of one."""
	if not _CHANNEL.fullmatch(channel):
		raise ChannelError(coded("channel_invalid", channel=sanitize(channel, 80)))


def take_unsent_alerts(
	folder: StateFolder,
	channel: str,
	config: Config,
	*,
	not_written: Message | None = None,
	clock: Callable[[], float] = time.time,
) -> str | None:
	"""Return the alerts that `channel` has to send now as text, and mark them as sent; None if there are none.

	See `unsent_alerts`. Raises ChannelError.
	"""
	check_channel(channel)
	node_id, events = unsent_alerts(folder, channel, config, not_written=not_written, clock=clock)
	alerts = [f"{title(event, node_id)}\n{description(event)}" for event in events]
	return "\n".join(alerts) or None


def unsent_alerts(
	folder: StateFolder,
	channel: str,
	config: Config,
	*,
	not_written: Message | None = None,
	clock: Callable[[], float] = time.time,
) -> tuple[str, list[AlertEvent]]:
	"""Return the node's id and the events that `channel` has to send now, and mark them as sent.

	Of the events of the delivery only the last is sent. A recovery that new failures follow waits: either they end,
	and it holds, or they are sent in its place. `not_written` says why the run before could not write the state.
	"""
	events = take_unsent(folder, channel, config, not_written=not_written, clock=clock)
	folder = folder_to_read(folder, not_written)
	state, _ = folder.read()
	of_delivery = [event for event in events if event.kind in _DELIVERY]
	outdated = of_delivery[:-1]
	if of_delivery and of_delivery[-1].kind == RECOVERED and state.failures_in_a_row:
		withdraw_receipt(folder, channel, of_delivery[-1])
		outdated = of_delivery
	node_id = node_id_of_pushes(folder, state, config)
	return node_id, [event for event in events if event not in outdated]


def record_silence(folder: StateFolder, config: Config, *, clock: Callable[[], float] = time.time) -> None:
	"""Record that pushes fail, if no trigger has recorded a push for longer than one is fresh.

	A trigger whose run fails before that (no key file, a sandbox without its folders) leaves no other trace.
	Once a push was delivered, its age shows the same (STALE).
	"""
	if not _is_silent(folder, config, clock()):
		return
	with PushLock(os.path.dirname(folder.path)) as lock:
		try:
			if not lock.acquire(_LOCK_WAIT_SECONDS) or not _is_silent(folder, config, clock()):
				return
		except (OSError, LockUnsupported):
			return
		import secrets

		state, _ = folder.read()
		now = clock()
		last_at = iso_utc(state.last.at) if state.last else coded("set_up")
		error = coded("nothing_recorded", time=last_at)
		begun = state.failing_since or now
		event = AlertEvent(secrets.token_hex(8), now, FAILING, state.failures_in_a_row, error, begun)
		events = (*state.events, event)[-EVENTS_LENGTH:]
		folder.write(state._replace(alerted=True, failing_since=begun, events=events))


def _is_silent(folder: StateFolder, config: Config, now: float) -> bool:
	state, _ = folder.read()
	if state.alerted or state.last_delivered:
		return False
	if state.last is None:
		return True
	return now - max(state.last.at, state.last_attempt_at or 0.0) > _fresh_seconds(folder, config)


def _fresh_seconds(folder: StateFolder, config: Config) -> float:
	# A unit's own interval is seen in its ticks alone.
	return fresh_seconds(max([config.push_interval, *(tick.push_interval for tick in folder.ticks())]))
