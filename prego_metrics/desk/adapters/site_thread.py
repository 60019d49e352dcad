"""Look into one site's Frappe within a time limit, apart from whatever this process is doing there.

Frappe's connections have no time limits of their own that would do: a daemon thread with a context of its
own looks, and the caller waits for it no longer than it wants to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import frappe

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench

Found = TypeVar("Found")


class NotSeen(Exception):
	"""What was looked for could not be seen; the message says why, in one line that is fit to show."""


def in_frappe(bench: Bench, site: str, look: Callable[[], Found], seconds: float) -> Found:
	"""Return what `look` returns in a context of `site` that is not connected to its database yet.

	Raises NotSeen after `seconds`, and for whatever `look` raises.
	"""
	found: list[Found] = []
	raised: list[str] = []
	done = threading.Event()

	def run() -> None:
		try:
			frappe.init(site=site, sites_path=bench.sites)
			try:
				found.append(look())
			finally:
				frappe.destroy()
		except Exception as error:  # noqa: BLE001 - databases and queues raise their own kinds; all are told
			raised.append(_in_one_line(error))
		finally:
			done.set()

	threading.Thread(target=run, name="prego-metrics-frappe", daemon=True).start()
	done.wait(seconds)
	if found:
		return found[0]
	raise NotSeen(raised[0] if raised else message("no answer within {seconds} s", seconds=f"{seconds:g}"))


def _in_one_line(error: Exception) -> str:
	# MariaDB's drivers raise (number, words); Frappe's own texts may be HTML of several lines.
	words = str(error.args[-1] if error.args else error) or type(error).__name__
	return sanitize(words.strip().splitlines()[0] if words.strip() else type(error).__name__, 200)
