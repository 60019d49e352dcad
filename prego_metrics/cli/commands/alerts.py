"""`prego-metrics tell`: what is new, once, for whatever carries it to people."""

from __future__ import annotations

import sys

import click

from prego_metrics.agent.alerts.outbox import CHANNEL_FORM
from prego_metrics.cli.ui.options import bench_option


@click.command(short_help="Print an outage, and its end, once for each channel.")
@bench_option
@click.option(
	"--channel",
	required=True,
	metavar="NAME",
	help=f"Who tells it, such as systemd or mail: {CHANNEL_FORM}. Each channel is given a thing once.",
)
def tell(bench_path: str | None, channel: str) -> None:
	"""Print that pushes fail, or are delivered again, if this channel has not told it yet.

	Made for systemd's OnFailure= and for pipes: whatever is printed counts as told.

	Exit codes: 0 something was printed, 1 there is nothing to tell, 2 the bench cannot be read.
	"""
	from prego_metrics.cli.commands.scheduled import print_unsent_alerts

	sys.exit(print_unsent_alerts(bench_path, channel))
