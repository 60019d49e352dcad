"""A run of the doctor while somebody waits for a page: what takes too long is left out."""

from __future__ import annotations

import os
import time
from typing import Any

import frappe

from prego_metrics.agent.base.messages import message, translated
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.desk.doctor.bench_frappe import BenchFrappe
from prego_metrics.doctor.check import FAIL, SKIP, Check
from prego_metrics.doctor.runner import examine

MAX_SECONDS = 20.0


def run_checks(bench: Bench) -> dict[str, Any]:
	"""Return what `prego-metrics doctor --json` prints, in the user's language."""
	checks = _checks_within(bench, MAX_SECONDS)
	return {
		"ok": all(check.state != FAIL for check in checks),
		"checks": [
			{
				**check.as_dict(),
				"seen": translated(check.seen, frappe._),
				"action": translated(check.action, frappe._),
			}
			for check in checks
		],
	}


def _checks_within(bench: Bench, seconds: float) -> list[Check]:
	give_up_at = time.monotonic() + seconds
	checks = []
	for check in examine(bench, os.environ, connect=BenchFrappe):
		checks.append(check)
		if time.monotonic() > give_up_at:
			reason = message("not made: the checks took longer than {seconds} s", seconds=f"{seconds:g}")
			checks.append(Check(check.group, "rest", SKIP, reason, "prego-metrics doctor"))
			break
	return checks
