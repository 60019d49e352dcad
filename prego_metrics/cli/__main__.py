"""The console script `prego-metrics`, and `python -m prego_metrics.cli`. Forwards."""

from __future__ import annotations

import sys

from prego_metrics.cli.commands.scheduled import exit_if_scheduled


def main() -> None:
	"""Run the command line and exit with its code."""
	exit_if_scheduled(sys.argv[1:])
	from prego_metrics.cli.app import main as command_line

	command_line()


if __name__ == "__main__":
	main()
