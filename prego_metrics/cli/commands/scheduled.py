"""What a timer or cron runs every minute: `push --if-due` and `alerts`. Does without click: importing it takes longer."""

from __future__ import annotations

import os
import sys


def scheduled_push(bench_path: str | None, channel: str | None = None) -> int:
	"""Push if that is due, as the trigger that started this process, and return the exit code.

	With a channel, only what it has not told yet is printed.
	"""
	import time

	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.bench.locate import find_bench
	from prego_metrics.agent.bench.privileges import drop_privileges
	from prego_metrics.agent.push.push import preload, push
	from prego_metrics.agent.push.request import scheduled_request
	from prego_metrics.agent.push.result import Result
	from prego_metrics.agent.state.outcomes import NOT_SENT
	from prego_metrics.cli.ui.output import report, report_alerts

	try:
		if channel is not None:
			from prego_metrics.agent.alerts.outbox import check_channel

			check_channel(channel)
		bench = find_bench(bench_path)
		drop_privileges(bench, preload)
		ended = push(bench, scheduled_request(os.environ))
		if channel is not None:
			report_alerts(ended, bench, channel)
			return ended.exit_code
	except PregoMetricsError as error:
		ended = Result(NOT_SENT, time.time(), error=str(error))
	except KeyboardInterrupt:
		return 130
	report(ended)
	return ended.exit_code


def print_unsent_alerts(bench_path: str | None, channel: str) -> int:
	"""Print what `channel` has not told yet; return 0, or 1 for nothing, 2 for a bench that cannot be read."""
	from prego_metrics.agent.alerts.outbox import record_silence, take_unsent_alerts
	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.bench.locate import find_bench
	from prego_metrics.agent.bench.privileges import drop_privileges
	from prego_metrics.agent.config.config import load_config
	from prego_metrics.agent.push.push import preload
	from prego_metrics.agent.state.store import StateFolder
	from prego_metrics.cli.ui.output import print_line

	try:
		bench = find_bench(bench_path)
		drop_privileges(bench, preload)
		folder, config = StateFolder(bench.sites), load_config(bench, os.environ)
		record_silence(folder, config)
		alerts = take_unsent_alerts(folder, channel, config)
	except PregoMetricsError as error:
		print_line(f"Error: {error}", sys.stderr)
		return 2
	except KeyboardInterrupt:
		return 130
	if alerts is None:
		return 1
	print_line(alerts, sys.stdout)
	return 0
