"""Options that several commands have, and the bench that a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench

bench_option = click.option(
	"--bench",
	"bench_path",
	metavar="PATH",
	help="The bench, or its sites folder. Default: the one around the working directory.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def open_bench_as_owner(bench_path: str | None) -> Bench:
	"""Find the bench and, started by root, become its owner before anything is read. Raises PregoMetricsError."""
	from prego_metrics.agent.bench.locate import find_bench
	from prego_metrics.agent.bench.privileges import drop_privileges

	bench = find_bench(bench_path)
	drop_privileges(bench, _preload)
	return bench


def _preload() -> None:
	import prego_metrics.doctor.runner  # noqa: F401
	from prego_metrics.agent.push.push import preload

	preload()
