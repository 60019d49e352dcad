"""The pushes that a person asks Frappe for: with `bench execute`, and over HTTP from the page."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import frappe

from prego_metrics.agent.base.errors import ConfigurationError, PregoMetricsError
from prego_metrics.agent.base.messages import Message, coded, message, translated
from prego_metrics.agent.bench.privileges import drop_privileges
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.push.push import dry_run, preload, push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result, summary
from prego_metrics.agent.state.outcomes import NOT_SENT
from prego_metrics.cli.ui.push_result import print_problems
from prego_metrics.desk.node_method import BadParameter
from prego_metrics.desk.operator_site import this_bench

# With the heartbeat's own 5 s after it, a push over HTTP answers within 15 s.
PUSH_SECONDS = 10.0


def push_from_command_line(*, without_sending: bool, save_snapshot: bool) -> dict[str, Any]:
	"""Push and return the result; on failure print the reason and exit as `prego-metrics push` does.

	`bench execute` would bury an exception under a NameError.
	"""
	try:
		bench = this_bench()
		drop_privileges(bench, preload)
		result = dry_run(bench) if without_sending else push(bench, Request(save_snapshot=save_snapshot))
	except PregoMetricsError as error:
		result = Result(NOT_SENT, time.time(), error=error.message)
	print_problems(result)
	if result.exit_code:
		sys.exit(result.exit_code)
	return result.as_dict()


def push_over_http(config: Config, *, without_sending: object) -> dict[str, Any]:
	"""Push in one attempt, or make a dry run; return the result with its messages in the user's language.

	Without a key nothing is tried, and nothing recorded: it is no failure of the trigger that has the key.
	Raises BadParameter if `without_sending` is neither true nor false: a misspelled dry run must not push.
	"""
	without_sending = frappe.utils.sbool(without_sending)
	if without_sending not in (True, False):
		raise BadParameter(message("dry_run must be 0 or 1"))
	if without_sending:
		return _as_dict(dry_run(config.bench))
	reason = why_no_push(config)
	if reason:
		return _as_dict(Result(NOT_SENT, time.time(), error=reason))
	request = Request(within_seconds=PUSH_SECONDS, max_attempts=1, who=frappe.session.user)
	return _as_dict(push(config.bench, request))


def why_no_push(config: Config) -> Message | None:
	"""Return why Frappe's workers cannot push, or None: a push without a key would count as a failed one."""
	from prego_metrics.agent.config.api_key import load_api_key

	try:
		load_api_key(config.api_key_file, os.environ, config.problems)
	except ConfigurationError as error:
		if not config.scheduler_pushes:
			return coded("key_with_timer_only")
		return coded("key_out_of_reach", reason=error.message)
	return None


def _as_dict(result: Result) -> dict[str, Any]:
	return {
		**result.as_dict(),
		"error": None if result.error is None else translated(result.error, frappe._),
		"summary": translated(summary(result), frappe._),
		"warnings": [translated(warning, frappe._) for warning in result.warnings],
	}
