"""Ask one site's Frappe something within a time limit, apart from whatever this process is doing there.

Frappe's connections have no suitable time limits: a daemon thread asks in a Frappe context of its own, and the
caller stops waiting when the time is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import frappe

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench

Answer = TypeVar("Answer")
SECONDS = 6.0


class NoAnswer(Exception):
	"""The site, or its Redis, gave no answer; the message is the reason, in one sanitized line."""


def ask_site(bench: Bench, site: str, ask: Callable[[], Answer], seconds: float = SECONDS) -> Answer:
	"""Return what `ask` returns in a context of `site` that is not connected to its database yet.

	Raises NoAnswer after `seconds`, and for whatever `ask` raises.
	"""
	answers: list[Answer] = []
	failures: list[str] = []
	done = threading.Event()

	def run() -> None:
		try:
			frappe.init(site=site, sites_path=bench.sites)
			try:
				answers.append(ask())
			finally:
				frappe.destroy()
		except Exception as error:  # noqa: BLE001 - databases and queues raise their own kinds
			failures.append(_in_one_line(error))
		finally:
			done.set()

	threading.Thread(target=run, name="prego-metrics-frappe", daemon=True).start()
	done.wait(seconds)
	if answers:
		return answers[0]
	raise NoAnswer(
		failures[0] if failures else message("no answer within {seconds} s", seconds=f"{seconds:g}")
	)


def _in_one_line(error: Exception) -> str:
	# MariaDB's drivers raise (number, message); Frappe's own messages may be HTML of several lines.
	reason = str(error.args[-1] if error.args else error).strip() or type(error).__name__
	return sanitize(reason.splitlines()[0], 200)
