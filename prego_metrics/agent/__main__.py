"""The console script `prego-metrics`, and `python -m prego_metrics.agent`.

`push --if-due`, which a timer or cron runs every minute, is answered without the command line's library:
importing that takes longer than finding out that nothing is due. Anything else goes to `cli`.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
	"""Run the command line and exit with its code."""
	from prego_metrics.agent.report import escape_what_cannot_be_encoded

	escape_what_cannot_be_encoded()
	arguments = sys.argv[1:]
	if arguments[:2] == ["push", "--if-due"]:
		rest = arguments[2:]
		if not rest or (len(rest) == 2 and rest[0] == "--bench"):
			code = scheduled_push(rest[1] if rest else None)
			# What was said is flushed, and taking the interpreter apart takes a tenth of such a tick.
			os._exit(code)
	from prego_metrics.agent.cli import main as command_line

	command_line()


def scheduled_push(bench_path: str | None) -> int:
	"""Push if that is due, as the driver that started this process, and return the exit code."""
	import time

	from prego_metrics.agent.bench import find_bench
	from prego_metrics.agent.errors import PregoMetricsError
	from prego_metrics.agent.owner import become_owner
	from prego_metrics.agent.push import push, scheduled_request
	from prego_metrics.agent.report import report
	from prego_metrics.agent.result import NOT_SENT, Result

	try:
		bench = find_bench(bench_path)
		become_owner(bench)
		ended = push(bench, scheduled_request(os.environ))
	except PregoMetricsError as error:
		ended = Result(NOT_SENT, time.time(), error=str(error))
	except KeyboardInterrupt:
		return 130
	report(ended)
	return ended.exit_code


if __name__ == "__main__":
	main()
