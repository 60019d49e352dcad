"""The bench's own log, logs/prego_metrics.log: a site's log would show a tenant the node."""

from __future__ import annotations

import sys

import frappe


def log_of_the_bench(text: str) -> None:
	"""Write a line to the bench's log."""
	frappe.logger("prego_metrics", allow_site=False).error(text)


def say_fault(fault: str) -> None:
	"""Say a fault on the standard error output, which the worker's log takes, and in the bench's log."""
	print(f"prego_metrics: {fault}", file=sys.stderr, flush=True)
	try:
		log_of_the_bench(fault)
	except OSError as error:
		print(f"prego_metrics: the bench's log was not written: {type(error).__name__}", file=sys.stderr)
