"""Ask one site's Frappe something within a time limit, apart from whatever this process is doing there.

Frappe's connections have no suitable time limits: a daemon thread asks in a Frappe context of its own, and the
caller stops waiting when the time is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import frappe

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import Limited
from prego_metrics.agent.bench.locate import Bench

Answer = TypeVar("Answer")
SECONDS = 6.0


class NoAnswer(Exception):
	"""The site, or its Redis, gave no answer; the message is the reason, in one sanitized line."""


def ask_site(bench: Bench, site: str, ask: Callable[[], Answer], seconds: float = SECONDS) -> Answer:
	"""Return what `ask` returns in a context of `site` that is not connected to its database yet.

	Raises NoAnswer after `seconds`, and for whatever `ask` raises.
	"""

	def run() -> Answer:
		frappe.init(site=site, sites_path=bench.sites)
		try:
			return ask()
		finally:
			frappe.destroy()

	asked = Limited(run)
	if not asked.ends_within(seconds):
		raise NoAnswer(message("no answer within {seconds} s", seconds=f"{seconds:g}"))
	if asked.error:
		raise NoAnswer(_in_one_line(asked.error))
	return asked.result()


def _in_one_line(error: BaseException) -> str:
	# MariaDB's drivers raise (number, message); Frappe's own messages may be HTML of several lines.
	reason = str(error.args[-1] if error.args else error).strip() or type(error).__name__
	return sanitize(reason.splitlines()[0], 200)
