"""`prego-metrics demo`: a sample bench, a local control plane, pushes, and the row that results."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.bench.locate import Bench, open_bench
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.config.key_place import KEY_VARIABLE
from prego_metrics.agent.config.writer import write_settings
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result, summary
from prego_metrics.agent.state.outcomes import NOT_DUE
from prego_metrics.agent.state.status import judge_status
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.cli.ui.console import console
from prego_metrics.cli.ui.options import help_end
from prego_metrics.cli.ui.output import fail
from prego_metrics.cli.ui.tables import print_census
from prego_metrics.sandbox.sample_bench import (
	EXCLUDE_SITES,
	SAMPLE_ENTRIES,
	lay_out_sample_bench,
)
from prego_metrics.sandbox.server import LocalControlPlane

NODE_ID = "demo-1"
INTERVAL_SECONDS = 5


@click.command(
	short_help="Push from a sample bench to a local control plane.",
	epilog=help_end("architecture.md", "prego-metrics demo"),
)
@click.option("--keep", is_flag=True, help="Keep the sample bench, and say where it is.")
def demo(keep: bool) -> None:
	"""Push from a sample bench to a local control plane, and show what arrived."""
	try:
		code = run(keep=keep)
	except PregoMetricsError as error:
		fail(error)
	sys.exit(code)


def run(*, keep: bool = False) -> int:
	"""Run the demo and return the exit code: 0 if the control plane holds what the bench really has."""
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the sample bench is removed then, too
	screen = console()
	key = secrets.token_urlsafe(24)
	with _folder(keep, screen) as folder, LocalControlPlane(key) as plane:
		plane.store.register_node(NODE_ID, "sg", "127.0.0.1")
		bench = open_bench(str(lay_out_sample_bench(folder)))
		settings = {
			"node_id": NODE_ID,
			"control_plane_url": plane.url,
			"push_interval": INTERVAL_SECONDS,
			"exclude_sites": list(EXCLUDE_SITES),
		}
		write_settings(bench, settings, (), {})

		_print_heading(screen, "The bench: every site, counted or not, and why")
		print_census(count_tenants(load_config(bench, {})))

		_print_heading(
			screen,
			f"Three pushes as a timer makes them, every {INTERVAL_SECONDS} s, the second with a wrong key",
		)
		for number, used_key in enumerate((key, secrets.token_urlsafe(24), key), start=1):
			result = _push_when_due(bench, {KEY_VARIABLE: used_key}, screen)
			screen.print(Text(f"{number}. {iso_utc(result.at)}  {summary(result)}"))
			if number == 1:
				screen.print(Text(f"   as sent: {json.dumps(result.payload)}", style="dim"))

		_print_heading(screen, "What the control plane holds now")
		row = plane.store.server_metrics(NODE_ID)
		snapshot = next(reversed(plane.store.snapshots(NODE_ID)), None)
		_print_rows(screen, {"server_metrics": row, "server_metrics_snapshots": snapshot})

		_print_heading(screen, "What `prego-metrics status` says")
		state, _ = StateFolder(bench.sites).read()
		screen.print(Text(judge_status(state, load_config(bench, {}), time.time()).plugin_line))

	expected = sum(entry.counted for entry in SAMPLE_ENTRIES)
	stored = row["tenant_count"] if row else None
	if stored != expected:
		screen.print(Text(f"The control plane holds {stored} tenants, and the bench has {expected}."))
		return 1
	return 0


def _push_when_due(bench: Bench, environ: Mapping[str, str], screen: Console) -> Result:
	"""Try every half second, as a hurried timer would, until a push is due."""
	with screen.status("Waiting until a push is due ...", spinner="line"):
		while True:
			result = push(bench, Request(trigger="timer", if_due=True), environ)
			if result.outcome != NOT_DUE:
				return result
			time.sleep(0.5)


def _print_rows(screen: Console, rows: Mapping[str, Mapping[str, object] | None]) -> None:
	"""Print rows side by side, a line for each column: eight columns do not fit a terminal's width."""
	table = Table("", *rows, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
	columns = dict.fromkeys(column for row in rows.values() for column in row or () if column != "id")
	for column in columns:
		values = ((row or {}).get(column) for row in rows.values())
		table.add_row(column, *("" if value is None else str(value) for value in values))
	screen.print(table)


def _print_heading(screen: Console, heading: str) -> None:
	screen.print(Text(f"\n{heading}\n", style="bold"))


@contextlib.contextmanager
def _folder(keep: bool, screen: Console) -> Iterator[Path]:
	try:
		folder = Path(tempfile.mkdtemp(prefix="prego-metrics-demo-"))
	except OSError as error:
		raise PregoMetricsError(f"no temporary folder can be made: {error.strerror}") from None
	try:
		yield folder
	finally:
		if keep:
			screen.print(Text(f"\nThe sample bench is in {folder}"))
		else:
			shutil.rmtree(folder)
