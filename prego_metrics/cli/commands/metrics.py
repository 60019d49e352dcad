"""`prego-metrics metrics`: the node's metrics, for Prometheus."""

from __future__ import annotations

import os
import sys

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.config.kinds import MetricsFile
from prego_metrics.agent.push.steps import read_settings
from prego_metrics.cli.commands.scheduled import preload_metrics
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.options import bench_option, help_end
from prego_metrics.cli.ui.output import fail, print_line
from prego_metrics.exporters.textfile import MetricsNotWritten, node_metrics, write_metrics_file


@click.command(
	short_help="Print this node's metrics for Prometheus.",
	epilog=help_end("metrics.md", "prego-metrics metrics"),
)
@bench_option
@click.option(
	"--textfile",
	metavar="PATH",
	help="Write them there instead, for node_exporter's textfile collector. Must end in .prom.",
)
def metrics(bench_path: str | None, textfile: str | None) -> None:
	"""Print this node's metrics in Prometheus' text format, also while MariaDB, Redis or the web server is down.

	Exit codes: 0 printed or written, 1 not written, 2 the bench cannot be read.
	"""
	path = None if textfile is None else os.path.abspath(textfile)
	if path is not None and MetricsFile().accept(path) is None:
		raise click.BadParameter(MetricsFile.allowed, param_hint="--textfile")
	try:
		content, _ = node_metrics(read_settings(open_bench_as_owner(bench_path, preload_metrics), os.environ))
		if path is not None:
			write_metrics_file(path, content)
	except MetricsNotWritten as error:
		print_line(f"Error: {error}", sys.stderr)
		sys.exit(1)
	except PregoMetricsError as error:
		fail(error)
	if path is None:
		click.echo(content, nl=False)
