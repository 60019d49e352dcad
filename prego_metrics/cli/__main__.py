"""The console script `prego-metrics`, and `python -m prego_metrics.agent`.

`push --if-due` and `alerts`, which a timer or cron runs every minute, are answered without the command line's
library: importing that takes longer than finding out that nothing is due. Anything else goes to `cli`.
"""

from __future__ import annotations

import os
import sys

from prego_metrics.cli.commands.scheduled import print_unsent_alerts, scheduled_push

# What is answered here, and the options that may follow, each with a value.
_QUICK = {
	("push", "--if-due"): ("--bench", "--alerts"),
	("alerts",): ("--bench", "--channel"),
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
			if command == ("alerts",):
				return (
					print_unsent_alerts(bench_path, options["--channel"]) if "--channel" in options else None
				)
			return scheduled_push(bench_path, options.get("--alerts"))
	return None


if __name__ == "__main__":
	main()
