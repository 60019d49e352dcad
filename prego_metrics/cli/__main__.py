"""The console script `prego-metrics`, and `python -m prego_metrics.agent`.

`push --if-due` and `tell`, which a timer or cron runs every minute, are answered without the command line's
library: importing that takes longer than finding out that nothing is due. Anything else goes to `cli`.
"""

from __future__ import annotations

import os
import sys

# What is answered here, and the options that may follow, each with a value.
_QUICK = {
	("push", "--if-due"): ("--bench", "--tell"),
	("tell",): ("--bench", "--channel"),
}


def main() -> None:
	"""Run the command line and exit with its code."""
	from prego_metrics.cli.ui.output import escape_what_cannot_be_encoded

	escape_what_cannot_be_encoded()
	code = _quick(sys.argv[1:])
	if code is not None:
		# What was said is flushed, and taking the interpreter apart takes a tenth of such a tick.
		os._exit(code)
	from prego_metrics.cli.app import main as command_line

	command_line()


def _quick(arguments: list[str]) -> int | None:
	"""Do what a timer asks for each minute, and return the exit code; None if it is anything else."""
	for command, allowed in _QUICK.items():
		rest = arguments[len(command) :]
		options = dict(zip(rest[::2], rest[1::2], strict=False))
		if (
			tuple(arguments[: len(command)]) == command
			and len(rest) == 2 * len(options)
			and set(options) <= set(allowed)
		):
			bench_path = options.get("--bench")
			if command == ("tell",):
				return tell_news(bench_path, options["--channel"]) if "--channel" in options else None
			return scheduled_push(bench_path, options.get("--tell"))
	return None


def scheduled_push(bench_path: str | None, channel: str | None = None) -> int:
	"""Push if that is due, as the driver that started this process, and return the exit code.

	With a channel, only what it has not told yet is printed.
	"""
	import time

	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.bench.locate import find_bench
	from prego_metrics.agent.bench.privileges import become_owner
	from prego_metrics.agent.push.push import push, scheduled_request
	from prego_metrics.agent.push.result import NOT_SENT, Result
	from prego_metrics.cli.ui.output import report, report_news

	try:
		if channel is not None:
			from prego_metrics.agent.alerts.outbox import check_channel

			check_channel(channel)
		bench = find_bench(bench_path)
		become_owner(bench)
		ended = push(bench, scheduled_request(os.environ))
		if channel is not None:
			report_news(ended, bench, channel)
			return ended.exit_code
	except PregoMetricsError as error:
		ended = Result(NOT_SENT, time.time(), error=str(error))
	except KeyboardInterrupt:
		return 130
	report(ended)
	return ended.exit_code


def tell_news(bench_path: str | None, channel: str) -> int:
	"""Print what `channel` has not told yet; return 0, or 1 for nothing, 2 for a bench that cannot be read."""
	from prego_metrics.agent.alerts.outbox import claim_news, record_silence
	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.bench.locate import find_bench
	from prego_metrics.agent.bench.privileges import become_owner
	from prego_metrics.agent.config.config import load_config
	from prego_metrics.agent.state.store import StateFolder
	from prego_metrics.cli.ui.output import print_line

	try:
		bench = find_bench(bench_path)
		become_owner(bench)
		folder, config = StateFolder(bench.sites), load_config(bench, os.environ)
		record_silence(folder, config)
		news = claim_news(folder, channel, config)
	except PregoMetricsError as error:
		print_line(f"Error: {error}", sys.stderr)
		return 2
	except KeyboardInterrupt:
		return 130
	if news is None:
		return 1
	print_line(news, sys.stdout)
	return 0


if __name__ == "__main__":
	main()
