"""`prego-metrics alerts`: print each alert once per channel, for whatever carries it to people."""

from __future__ import annotations

import sys

import click

from prego_metrics.agent.alerts.outbox import CHANNEL_FORM
from prego_metrics.cli.ui.options import bench_option, help_end


@click.command(
	short_help="Print each alert once per channel.",
	epilog=help_end("alerts.md", "prego-metrics alerts --channel mail"),
)
@bench_option
@click.option(
	"--channel",
	required=True,
	metavar="NAME",
	help=f"The channel that sends them, such as systemd or mail: {CHANNEL_FORM}.",
)
def alerts(bench_path: str | None, channel: str) -> None:
	"""Print the alerts that this channel has not sent yet: pushes fail, pushes are delivered again, and others.

	Made for systemd's OnFailure= and for pipes: a printed alert counts as sent.

	Exit codes: 0 an alert was printed, 1 there is no new alert, 2 the bench cannot be read.
	"""
	from prego_metrics.cli.commands.scheduled import print_unsent_alerts

	sys.exit(print_unsent_alerts(bench_path, channel))
