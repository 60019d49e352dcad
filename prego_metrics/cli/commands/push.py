"""`prego-metrics push`."""

from __future__ import annotations

import os
import sys

import click

from prego_metrics.agent.push.request import Request, scheduled_request
from prego_metrics.agent.state.outcomes import NOT_SENT
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.options import bench_option, help_end, json_option


@click.command(
	short_help="Push once: count, sample the host, send, and record.",
	epilog=help_end(
		"payload.md",
		"prego-metrics push",
		"prego-metrics push --dry-run",
		"prego-metrics push --if-due --alerts cron",
	),
)
@bench_option
@click.option("--dry-run", is_flag=True, help="Print what would be sent. Sends and records nothing.")
@click.option("--if-due", is_flag=True, help="Push only if the interval is over, for timers and cron.")
@click.option(
	"--on-change",
	is_flag=True,
	help="Push only if the tenant count has changed, at least 15 s after the last push. For a path unit.",
)
@click.option("--save-snapshot", is_flag=True, help="Ask the control plane to keep a snapshot as well.")
@click.option(
	"--alerts",
	"channel",
	metavar="CHANNEL",
	help="With --if-due: print only the alerts that this channel has not sent yet. For cron's mail.",
)
@json_option
def push(
	bench_path: str | None,
	dry_run: bool,
	if_due: bool,
	on_change: bool,
	save_snapshot: bool,
	channel: str | None,
	as_json: bool,
) -> None:
	"""Push once: count the tenants, sample the host, send, and record the result.

	Exit codes: 0 delivered or nothing to do, 1 not delivered or not recorded, 2 nothing could be counted or configured.
	"""
	if on_change:
		if dry_run or if_due or save_snapshot or channel or as_json:
			raise click.UsageError("--on-change goes with --bench alone")
		from prego_metrics.cli.commands.scheduled import scheduled_push

		sys.exit(scheduled_push(bench_path, on_change=True))
	if channel is not None:
		if not if_due or save_snapshot or as_json:
			raise click.UsageError("--alerts goes with --if-due, and not with --save-snapshot or --json")
		from prego_metrics.cli.commands.scheduled import scheduled_push

		sys.exit(scheduled_push(bench_path, channel))
	if dry_run and (if_due or save_snapshot):
		raise click.UsageError("--dry-run goes with neither --if-due nor --save-snapshot")
	import time

	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.push import push as pushes
	from prego_metrics.agent.push.result import Result
	from prego_metrics.cli.commands.scheduled import preload_metrics
	from prego_metrics.cli.ui.push_result import print_result

	try:
		bench = open_bench_as_owner(bench_path, preload_metrics)
		if dry_run:
			result = pushes.dry_run(bench)
		elif if_due:
			result = pushes.push(bench, scheduled_request(os.environ, save_snapshot=save_snapshot))
		else:
			result = pushes.push(bench, Request(save_snapshot=save_snapshot))
		if result.metrics_textfile:
			from prego_metrics.exporters.textfile import write_after_push

			result = write_after_push(bench, result)
	except PregoMetricsError as error:
		result = Result(NOT_SENT, time.time(), error=error.message)
	print_result(result, as_json=as_json)
	sys.exit(result.exit_code)
