"""Options that several commands have."""

from __future__ import annotations

import math
from typing import Any

import click


def help_end(page: str, *examples: str) -> str:
	"""Return the end of a command's help: examples, as they are typed, and the command's page in docs/."""
	return "\n\n".join(
		("\b\n" + "\n".join(("Examples:", *(f"  {line}" for line in examples))), f"More: docs/{page}")
	)


bench_option = click.option(
	"--bench",
	"bench_path",
	metavar="PATH",
	help="The bench, or its sites folder. Default: the one around the working directory.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")

statuses_option = click.option(
	"--statuses",
	multiple=True,
	metavar="STATUS",
	help="Tenants to count, by status (repeatable, or with commas). Default: all but data_purged, failed, deleted.",
)


class Seconds(click.FloatRange):
	"""A range of seconds; FloatRange lets infinity and NaN pass."""

	def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
		seconds: float = super().convert(value, param, ctx)
		return seconds if math.isfinite(seconds) else self.fail("must be a number of seconds", param, ctx)
