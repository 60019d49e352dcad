"""`prego-metrics alerts`, which prints each alert once per channel, and `maintenance`, which holds alerts for a while."""

from __future__ import annotations

import os
import re
import sys
import time

import click

from prego_metrics.agent.alerts.outbox import CHANNEL_FORM
from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.maintenance import (
	MAX_REASON,
	MAX_SECONDS,
	OPERATOR,
	Maintenance,
	held_message,
	holding,
	maintenances,
	stop_maintenances,
	write_maintenance,
)
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.options import bench_option, help_end
from prego_metrics.cli.ui.output import fail, print_line

DEFAULT_SECONDS = 7200.0
_DURATION = r"(?:(\d{1,2})h)?(?:(\d{1,4})m)?"


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


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
	"""Read hours and minutes as people write them, up to a day."""
	if value is None:
		return None
	parts = re.fullmatch(_DURATION, value, re.ASCII)
	seconds = 3600.0 * int(parts[1] or 0) + 60.0 * int(parts[2] or 0) if parts else 0.0
	if not 0 < seconds <= MAX_SECONDS:
		raise click.BadParameter("must be a time from 1m to 24h, such as 30m, 2h or 1h30m", context, option)
	return seconds


@click.command(
	short_help="Hold alerts for a while; pushes go on.",
	epilog=help_end("alerts.md", "prego-metrics maintenance start --for 2h --reason 'disk swap'"),
)
@click.argument("action", type=click.Choice(["status", "start", "stop"]), default="status")
@bench_option
@click.option(
	"--for",
	"seconds",
	callback=_seconds,
	metavar="TIME",
	help="With start: how long, such as 30m or 2h (default), at most 24h.",
)
@click.option("--reason", metavar="TEXT", help="With start: why, shown in status and in the Desk.")
def maintenance(bench_path: str | None, action: str, seconds: float | None, reason: str | None) -> None:
	"""Hold this node's alerts: start, stop, or show what holds them (status, the default).

	A maintenance ends by itself. At its end, alerts of what still lasts are sent.

	Exit codes: 0 done, 2 the bench cannot be read or the maintenance not recorded.
	"""
	if action != "start" and (seconds is not None or reason is not None):
		raise click.UsageError("--for and --reason go with start")
	try:
		bench = open_bench_as_owner(bench_path)
		folder, now = StateFolder(bench.sites), time.time()

		def changed() -> Maintenance | None:
			mode = load_config(bench, os.environ).bench_in_maintenance
			not_written = None
			if action == "start":
				until = now + (seconds or DEFAULT_SECONDS)
				begun = Maintenance(OPERATOR, now, until, (reason or "")[:MAX_REASON])
				not_written = write_maintenance(folder, begun)
			elif action == "stop":
				not_written = stop_maintenances(folder, maintenances(folder, mode, now), now)
			if not_written:
				fail(not_written)
			return holding(maintenances(folder, mode, now, note=False), now)

		held = folder_in_time(changed, folder.path)
	except PregoMetricsError as error:
		fail(error)
	sentence = held_message(held) if held else message("alerts are sent: no maintenance holds them")
	print_line(sentence[0].upper() + sentence[1:], sys.stdout)
