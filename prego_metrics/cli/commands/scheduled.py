"""What a timer, cron or a path unit runs, `push --if-due`, `push --on-change` and `alerts`, without click.

Importing click takes longer than finding out that nothing is due.
"""

from __future__ import annotations

import os
import sys

# What is answered here, and the options that may follow, each with a value.
_COMMANDS = {
	("push", "--if-due"): {"--bench", "--alerts"},
	("push", "--on-change"): {"--bench"},
	("alerts",): {"--bench", "--channel"},
}


def exit_if_scheduled(arguments: list[str]) -> None:
	"""Run a scheduled command and exit with its code; return if `arguments` are anything else."""
	for command, allowed in _COMMANDS.items():
		if tuple(arguments[: len(command)]) == command:
			rest = arguments[len(command) :]
			options = dict(zip(rest[::2], rest[1::2], strict=False))
			if len(rest) == 2 * len(options) and options.keys() <= allowed:
				_run_and_exit(command, options)


def _run_and_exit(command: tuple[str, ...], options: dict[str, str]) -> None:
	import gc

	from prego_metrics.cli.ui.output import escape_what_cannot_be_encoded

	# A process that lives for a moment has nothing to collect, and looks for it while it imports.
	gc.disable()
	bench_path = options.get("--bench")
	escape_what_cannot_be_encoded()
	if command[0] == "push":
		code = scheduled_push(bench_path, options.get("--alerts"), on_change="--on-change" in command)
	elif "--channel" in options:
		code = print_unsent_alerts(bench_path, options["--channel"])
	else:
		return  # the command line says what is missing
	# All output is flushed, and taking the interpreter apart takes a tenth of a run that is not due.
	os._exit(code)


def scheduled_push(bench_path: str | None, channel: str | None = None, *, on_change: bool = False) -> int:
	"""Push if that is due, as the trigger that started this process, and return the exit code.

	With a channel, only the alerts that it has not sent yet are printed. `on_change` is for a path unit: see
	`push_on_change`.
	"""
	import time

	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.push.push import push, push_on_change
	from prego_metrics.agent.push.request import scheduled_request
	from prego_metrics.agent.push.result import Result
	from prego_metrics.agent.state.outcomes import NOT_SENT
	from prego_metrics.cli.ui.bench import open_bench_as_owner
	from prego_metrics.cli.ui.push_result import print_alerts, print_result

	try:
		if channel is not None:
			from prego_metrics.agent.alerts.outbox import check_channel

			check_channel(channel)
		bench = open_bench_as_owner(bench_path, preload_metrics)
		result = push_on_change(bench) if on_change else push(bench, scheduled_request(os.environ))
		if result.metrics_textfile:
			from prego_metrics.exporters.textfile import write_after_push

			result = write_after_push(bench, result)
		if channel is not None:
			print_alerts(result, bench, channel)
			return result.exit_code
	except PregoMetricsError as error:
		result = Result(NOT_SENT, time.time(), error=error.message)
	except KeyboardInterrupt:
		return 130
	print_result(result)
	return result.exit_code


def preload_metrics() -> None:
	"""Import what writes the metrics, which root's interpreter may keep from the bench's owner."""
	import contextlib

	import prego_metrics.exporters.metrics
	import prego_metrics.exporters.textfile  # noqa: F401

	with contextlib.suppress(ImportError):  # a bench has it, and another Python may not
		import redis.backoff
		import redis.retry  # noqa: F401


def print_unsent_alerts(bench_path: str | None, channel: str) -> int:
	"""Print the alerts that `channel` has not sent yet; return 0, or 1 for none, 2 for a bench that cannot be read."""
	from prego_metrics.agent.alerts.outbox import record_silence, take_unsent_alerts
	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.push.steps import read_settings, write_in_time
	from prego_metrics.agent.state.store import StateFolder
	from prego_metrics.cli.ui.bench import open_bench_as_owner
	from prego_metrics.cli.ui.output import print_line

	try:
		bench = open_bench_as_owner(bench_path)
		folder, config = StateFolder(bench.sites), read_settings(bench, os.environ)
		not_written = write_in_time(folder.unwritable, folder)
		if not not_written:
			record_silence(folder, config)
		alerts = take_unsent_alerts(folder, channel, config, not_written=not_written)
	except PregoMetricsError as error:
		print_line(f"Error: {error}", sys.stderr)
		return 2
	except KeyboardInterrupt:
		return 130
	if alerts is None:
		return 1
	print_line(alerts, sys.stdout)
	return 0
