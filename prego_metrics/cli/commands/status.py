"""`prego-metrics status`: is this node delivering? Once, or again and again."""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn

import click

from prego_metrics.agent.base.errors import PregoMetricsError, TooLate
from prego_metrics.agent.base.formatting import duration, iso_utc
from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.time_limits import folder_in_time
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.status import Status, judge_status
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.options import Seconds, bench_option, help_end, json_option
from prego_metrics.cli.ui.output import fail, print_json, print_warning

WATCH_SECONDS = 5.0
# Home, and clear from there (ECMA-48): what stood there before is not scrolled away line by line.
_REDRAW = "\x1b[H\x1b[J"
_NO_STATUS = {
	"status": "unknown",
	"sentence": None,
	"age_seconds": None,
	"max_age_seconds": None,
	"failures_in_a_row": None,
	"not_before": None,
	"tick_seconds": None,
	"maintenance": None,
	"last": None,
	"last_delivered": None,
}


@click.command(
	short_help="Say whether this node is delivering, for monitoring.",
	epilog=help_end("troubleshooting.md", "prego-metrics status", "prego-metrics status --watch"),
)
@bench_option
@click.option("--max-age", type=Seconds(min=1), metavar="S", help="Seconds for which a push is fresh.")
@click.option(
	"--watch",
	type=Seconds(min=0.2, max=3600),
	is_flag=False,
	flag_value=WATCH_SECONDS,
	default=None,
	metavar="[S]",
	help=f"Look again every S seconds (default {WATCH_SECONDS:g}), until Ctrl-C.",
)
@json_option
def status(bench_path: str | None, max_age: float | None, watch: float | None, as_json: bool) -> None:
	"""Say whether this node is delivering, in the form of monitoring plugins.

	With --watch it redraws a terminal; elsewhere it prints a line each time.

	Exit codes: 0 fresh, 1 fresh but the last attempt failed, 2 stale, 3 never pushed.
	"""
	try:
		bench = open_bench_as_owner(bench_path)
	except PregoMetricsError as error:
		_fail(error, as_json)
	code = _print_status(bench, max_age, as_json=as_json, watched=watch is not None)
	try:
		while watch is not None:
			time.sleep(watch)
			code = _print_status(bench, max_age, as_json=as_json, watched=True)
	except KeyboardInterrupt:
		if sys.stdout.isatty():
			click.echo()
	sys.exit(code)


def _fail(error: PregoMetricsError, as_json: bool) -> NoReturn:
	fail(error, json_with={**_NO_STATUS, "sentence": error.message} if as_json else None)


def _print_status(bench: Bench, max_age: float | None, *, as_json: bool, watched: bool) -> int:
	folder = StateFolder(bench.sites)

	def judged() -> tuple[Status, list[Message], float]:
		state, warnings = folder.read()
		now = time.time()
		config = as_pushed(load_config(bench, os.environ), folder, state)
		return judge_status(state, config, now, max_age, folder=folder), warnings, now

	try:
		# Who monitors asks each minute, and what hangs would pile up.
		verdict, warnings, now = folder_in_time(judged, folder.path)
	except TooLate as error:
		_fail(error, as_json)
	redrawn = watched and not as_json and sys.stdout.isatty()
	if redrawn:
		click.echo(_REDRAW, nl=False)
	for warning in warnings:
		print_warning(warning)
	if as_json:
		print_json({"at": iso_utc(now), **verdict.as_dict()} if watched else verdict.as_dict())
	elif redrawn:
		_draw(verdict.plugin_line, folder, now)
	else:
		click.echo(f"{iso_utc(now)} {verdict.plugin_line}" if watched else verdict.plugin_line)
	return verdict.exit_code


def _draw(line: str, folder: StateFolder, now: float) -> None:
	"""Draw what a person watches: the verdict, the triggers, the last pushes."""
	sentence, _, figures = line.partition(" | ")
	click.echo(f"{iso_utc(now)}   (Ctrl-C ends)\n\n{sentence}\n{figures}\n\nTriggers")
	for tick in folder.ticks():
		once = "" if tick.is_repeated else "   (not seen to run again by itself yet)"
		click.echo(f"  {tick.trigger:<8} {duration(now - tick.at)} ago   {sanitize(tick.outcome, 40)}{once}")
	click.echo("\nLast pushes")
	for push in reversed(folder.history()[-8:]):
		tenants = push.payload["tenant_count"] if push.payload else "?"
		note = sanitize((push.error or "").splitlines()[0], 60) if push.error else f"{tenants} tenants"
		click.echo(
			f"  {iso_utc(push.at)}  {push.trigger:<8} {push.outcome:<10} {push.duration_ms:>6} ms  {note}"
		)
