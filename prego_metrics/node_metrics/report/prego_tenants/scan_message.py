"""The message above the report: when the tenants were last scanned, or how to scan them."""

from __future__ import annotations

import re
import time

from frappe import _
from frappe.utils import escape_html

from prego_metrics.agent.base.formatting import duration
from prego_metrics.agent.base.messages import message_of, translated
from prego_metrics.agent.config.config import Config
from prego_metrics.desk.adapters.site_locale import users_time
from prego_metrics.tenants.usage.scan_status import ScanStatus, is_under_way, last_scan
from prego_metrics.tenants.usage.store import StoreError


def usage_message(config: Config) -> str:
	"""Return the message as HTML. Raises StoreError."""
	status = last_scan(config.bench.sites)
	if status is None:
		never = _("The tenants' usage was never scanned.")
		return _as_html(f"{never} {_how(config)}")
	return _as_html(_age(status, under_way=is_under_way(config.bench.sites)))


def unreadable(error: StoreError) -> str:
	"""Return the message for a store that cannot be read, as HTML."""
	return _as_html(_("The tenants' usage cannot be shown: {0}").format(translated(message_of(error), _)))


def _as_html(sentences: str) -> str:
	return re.sub("`([^`]+)`", r"<code>\1</code>", escape_html(sentences))


def _how(config: Config) -> str:
	now = _("To scan it now, press Scan Now, or run `prego-metrics tenants --scan` on the node.")
	if not config.scan_tenants:
		return f"{_('The setting scan_tenants is false, so there is no nightly scan.')} {now}"
	by_night = _(
		"This site scans every night, and for the first time within the hour, if its scheduler is enabled and the "
		"queue long has a worker."
	)
	return f"{by_night} {now}"


def _age(status: ScanStatus, *, under_way: bool) -> str:
	age = translated(duration(status.age(time.time())), _)
	started = users_time(status.begun_at)
	if status.ended_at is not None:
		return _(
			"Sizes, backups and users as of {0} ({1} ago). The count is live. Totals are those of the counted sites below."
		).format(started, age)
	read = _("Started at {0}, sites read {1}; the oldest data is {2} old.").format(started, status.read, age)
	if under_way:
		return f"{_('A scan is running.')} {read}"
	return f"{_('The last scan is incomplete; it continues within the hour.')} {read}"
