"""The bench's own log, logs/prego_metrics.log: a site's log would show a tenant the node."""

from __future__ import annotations

import sys


def log_to_bench(line: str) -> None:
	"""Write a line to the bench's log."""
	import frappe

	frappe.logger("prego_metrics", allow_site=False).error(line)


def log_fault(fault: str) -> None:
	"""Write a fault to stderr, which the worker's log takes, and to the bench's log."""
	print(f"prego_metrics: {fault}", file=sys.stderr, flush=True)
	try:
		log_to_bench(fault)
	except OSError as error:
		print(f"prego_metrics: the bench's log was not written: {type(error).__name__}", file=sys.stderr)
