"""How a push ended: its result on stdout, warnings and errors on stderr. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import sys
import time

from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.push.result import Result, summary
from prego_metrics.agent.push.triggers import started_by_systemd
from prego_metrics.agent.state.outcomes import DELIVERED, DRY_RUN
from prego_metrics.cli.ui.output import print_line, print_warning


def print_result(result: Result, *, as_json: bool = False) -> None:
	"""Print how a push ended.

	A scheduled push that had nothing to do, or that was delivered, prints nothing on stdout unless somebody
	is looking or systemd's journal takes it: cron mails every line.
	"""
	print_problems(result, failure=not as_json)
	if as_json:
		print_line(json.dumps(result.as_dict()), sys.stdout)
	elif result.outcome == DRY_RUN:
		print_line(json.dumps(result.payload), sys.stdout)
	elif result.exit_code == 0 and (not result.scheduled or _has_reader()):
		print_line(summary(result), sys.stdout)


def print_problems(result: Result, *, failure: bool = True) -> None:
	"""Print warnings to stderr and, with `failure`, why a push was not delivered."""
	for warning in result.warnings:
		print_warning(warning)
	if failure and result.exit_code:
		print_line(summary(result), sys.stderr)


def print_alerts(result: Result, bench: Bench, channel: str) -> None:
	"""Print the alerts that `channel` has not sent yet, and nothing else. Raises ChannelError.

	A push that was not delivered, and could not be recorded, is nowhere counted: it is printed each time, but not during
	a maintenance.
	"""
	from prego_metrics.agent.alerts.fallback_folder import folder_to_read
	from prego_metrics.agent.alerts.outbox import take_unsent_alerts
	from prego_metrics.agent.alerts.receipts import are_held, was_alerted_unrecorded
	from prego_metrics.agent.push.steps import read_settings
	from prego_metrics.agent.state.store import StateFolder

	folder, why, config = StateFolder(bench.sites), result.not_written, read_settings(bench, os.environ)
	alerts = take_unsent_alerts(folder, channel, config, not_written=why)
	if alerts is not None:
		print_line(alerts, sys.stdout)
	if why and result.exit_code and not are_held(folder_to_read(folder, why), config, time.time()):
		alerted = was_alerted_unrecorded(folder_to_read(folder, why), channel)
		if result.outcome != DELIVERED or not alerted:
			print_problems(result)


def _has_reader() -> bool:
	return bool(sys.stdout and sys.stdout.isatty()) or started_by_systemd(os.environ)
