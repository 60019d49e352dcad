"""Options that several commands have."""

from __future__ import annotations

import click

bench_option = click.option(
	"--bench",
	"bench_path",
	metavar="PATH",
	help="The bench, or its sites folder. Default: the one around the working directory.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
