"""What this app's job costs a Frappe worker, on top of what Frappe takes to start any job.

A worker forks for each job. So this process imports what `bench worker` has imported, and each scheduled job runs in a
fork of its own: by turns `frappe.monitor.flush`, which does next to nothing, and `prego_push.push_if_due` when no push
is due and when one is. Nothing is measured of the fork itself. Needs the bench and the site that PREGO_TEST_BENCH and
PREGO_TEST_SITE name (CONTRIBUTING.md), and a control plane that answers: it pushes.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FORKS = 15
NOT_DUE_AIM_MS, PUSH_AIM_MS = 12.0, 30.0
# The shortest interval, after three quarters of which a push is due.
INTERVAL, PAUSE_SECONDS = "5", 4.0
FLUSH, OURS = "frappe.monitor.flush", "prego_metrics.prego_push.push_if_due"
NOT_DUE, DUE = {"PREGO_METRICS_PUSH_INTERVAL": "300"}, {"PREGO_METRICS_PUSH_INTERVAL": INTERVAL}


def main() -> None:
	bench, site = os.environ.get("PREGO_TEST_BENCH"), os.environ.get("PREGO_TEST_SITE")
	if not (bench and site):
		print(
			"job in a Frappe worker: not measured, PREGO_TEST_BENCH and PREGO_TEST_SITE name no bench and site"
		)
		return
	if "frappe" not in sys.modules and os.environ.pop("PREGO_IN_BENCH", None) is None:
		python = os.path.join(bench, "env", "bin", "python")
		os.chdir(os.path.join(bench, "sites"))
		os.environ |= {"PREGO_IN_BENCH": "1", "PYTHONPATH": str(CHECKOUT)}
		os.execv(python, [python, os.path.abspath(__file__)])
	import_what_a_worker_has()
	measure(site)


def import_what_a_worker_has() -> None:
	import rq.worker  # noqa: F401
	from frappe.utils import background_jobs  # noqa: F401
	from frappe.utils.bench_helper import get_app_groups

	get_app_groups()
	gc.collect()
	gc.freeze()


def measure(site: str) -> None:
	job(site, OURS, DUE)
	times: dict[str, list[float]] = {"flush": [], "not due": [], "push": []}
	for _ in range(FORKS):
		time.sleep(PAUSE_SECONDS)
		times["push"].append(job(site, OURS, DUE))
		times["flush"].append(job(site, FLUSH, {}))
		times["not due"].append(job(site, OURS, NOT_DUE))
	import frappe

	print(
		f"Frappe {frappe.__version__}, Python {platform.python_version()}, {FORKS} forks each; frappe.monitor.flush: "
		f"{min(times['flush']):.1f} ms of CPU at least, {statistics.median(times['flush']):.1f} ms in the middle"
	)
	for name, aim in (("not due", NOT_DUE_AIM_MS), ("push", PUSH_AIM_MS)):
		least = min(times[name]) - min(times["flush"])
		middle = statistics.median(
			mine - other for mine, other in zip(times[name], times["flush"], strict=True)
		)
		print(
			f"job in a worker, {name}: aim {aim:g} ms of CPU on top of that; {least:.1f} ms at least, {middle:.1f} ms "
			f"in the middle   {'met' if middle <= aim else 'missed'}; load {os.getloadavg()[0]:.1f}"
		)


def job(site: str, method: str, settings: dict[str, str]) -> float:
	"""Run a job in a fork of this process, and return the CPU milliseconds that it took, user and system."""

	def run() -> None:
		from frappe.utils.background_jobs import execute_job

		os.environ |= settings
		execute_job(site=site, method=run_scheduled, event=None, job_name=method, kwargs={"method": method})

	return cpu_ms_in_fork(run)


def run_scheduled(method: str) -> None:
	"""Run the job of a method as the scheduler's queue has it, without a line in Frappe's log: ours writes none."""
	import frappe

	scheduled = frappe.get_doc("Scheduled Job Type", {"method": method})
	scheduled.create_log = 0
	scheduled.execute()


def cpu_ms_in_fork(call: Callable[[], object]) -> float:
	reader, writer = os.pipe()
	child = os.fork()
	if not child:
		code = 1
		try:
			before = time.process_time()
			call()
			os.write(writer, json.dumps(1000 * (time.process_time() - before)).encode())
			code = 0
		finally:
			os._exit(code)
	os.close(writer)
	with open(reader) as answer:
		text = answer.read()
	if os.waitpid(child, 0)[1]:
		raise SystemExit("the job failed: see above")
	return float(text)


if __name__ == "__main__":
	main()
