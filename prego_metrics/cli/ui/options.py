"""Options that several commands have, and how a command opens its bench and ends with an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench
from typing import TYPE_CHECKING

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench


from collections.abc import Callable
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


def exit_on_error(run: Callable[[], None]) -> None:
	"""Run a command; an error that we foresee ends it with its message and exit code 2."""
	from prego_metrics.agent.base.errors import PregoMetricsError

	try:
		run()
	except PregoMetricsError as error:
		fail(str(error))


def fail(message: str, *, json_with: Mapping[str, Any] | None = None) -> NoReturn:
	"""Print one error and end with exit code 2; with `json_with`, which goes beside it, also as JSON on stdout."""
	if json_with is not None:
		print_json({**json_with, "error": message})
	click.echo(f"Error: {message}", err=True)
	sys.exit(2)


def print_json(content: dict[str, Any]) -> None:
	"""Print a result as one line of JSON."""
	click.echo(json.dumps(content))
