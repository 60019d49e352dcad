"""What the report says above its table: of when the figures are, or how to get them."""

from __future__ import annotations

import re
import time

from frappe import _
from frappe.utils import escape_html, format_datetime

from prego_metrics.agent.base.messages import message_of, translated
from prego_metrics.agent.config.config import Config
from prego_metrics.desk.adapters.site_locale import local_time
from prego_metrics.tenants.usage.scan_status import CollectionStatus, collection_status, is_under_way
from prego_metrics.tenants.usage.store import HistoryError


def usage_message(config: Config) -> str:
	"""Return it as HTML. Raises HistoryError."""
	status = collection_status(config.bench.sites)
	if status is None:
		return _as_html(f"{_('What each tenant takes was never collected.')} {_how(config)}")
	return _as_html(_age(status, under_way=is_under_way(config.bench.sites)))


def unreadable(error: HistoryError) -> str:
	"""Return what is said where the figures cannot be read, as HTML."""
	return _as_html(_("What each tenant takes cannot be shown: {0}").format(translated(message_of(error), _)))


def _as_html(text: str) -> str:
	return re.sub("`([^`]+)`", r"<code>\1</code>", escape_html(text))


def _how(config: Config) -> str:
	now = _("To collect it now, press Collect Now, or run `prego-metrics tenants --collect` on the node.")
	if not config.collect_tenants:
		return f"{_('The setting collect_tenants is false, so it is not done by night.')} {now}"
	by_night = _(
		"This site does it by night, the first time within the hour, if its scheduler is enabled and a worker takes "
		"jobs of the queue long."
	)
	return f"{by_night} {now}"


def _age(status: CollectionStatus, *, under_way: bool) -> str:
	hours = f"{status.age(time.time()) / 3600:.0f}"
	begun = _shown(status.begun_at)
	if status.ended_at is not None:
		return _("Sizes, backups and users are of {0}, {1} h old. Who counts, and why, is of now.").format(
			begun, hours
		)
	read = _("Begun at {0}, sites read {1}; the oldest figures are {2} h old.").format(
		begun, status.read, hours
	)
	if under_way:
		return f"{_('Sizes, backups and users are being collected.')} {read}"
	return f"{_('Sizes, backups and users are not collected of all sites yet; it goes on within the hour.')} {read}"


def _shown(at: float) -> str:
	shown: str = format_datetime(local_time(at))
	return shown
