"""`prego-metrics demo`: a sample bench and a local control plane, in four acts of which each proves something."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prego_metrics.agent.alerts.outbox import take_unsent_alerts
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
from prego_metrics.agent.state.outcomes import DELIVERED, NOT_SENT, REFUSED
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
LOST_SITE = "acme.prego.example"
INTRODUCTION = (
	"A control plane is the service that keeps one row per node, its load and its number of tenants, and places the next "
	"tenant by it. This demo runs a small one on this machine, and a bench to count."
)


@click.command(
	short_help="Push from a sample bench to a local control plane.",
	epilog=help_end("architecture.md", "prego-metrics demo", "prego-metrics demo --keep"),
)
@click.option("--keep", is_flag=True, help="Keep the sample bench, and say where it is.")
def demo(keep: bool) -> None:
	"""Push from a sample bench to a local control plane, in four acts.

	A count with its reasons, a push, a wrong key that alerts and recovers, and a lost mount that sends nothing. Needs no
	Frappe and no network, and touches nothing outside a temporary folder.

	Exit codes: 0 all went as it should, 1 something did not, 2 it could not start.
	"""
	try:
		code = run(keep=keep)
	except PregoMetricsError as error:
		fail(error)
	sys.exit(code)


def run(*, keep: bool = False) -> int:
	"""Run the demo and return the exit code: 0 if every act proved what it says."""
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the sample bench is removed then, too
	screen = console()
	key = secrets.token_urlsafe(24)
	with _folder(keep, screen) as folder, LocalControlPlane(key) as plane:
		_print(screen, INTRODUCTION)
		plane.store.register_node(NODE_ID, "sg", "127.0.0.1")
		bench = open_bench(str(lay_out_sample_bench(folder)))
		volume = _move_to_a_volume(bench, folder)
		settings = {
			"node_id": NODE_ID,
			"control_plane_url": plane.url,
			"exclude_sites": list(EXCLUDE_SITES),
			"alert_after": 1,
		}
		write_settings(bench, settings, (), {})
		proofs = []

		_print_heading(screen, "1. The count: each site counts or not, and says why")
		census = count_tenants(load_config(bench, {}))
		print_census(census)
		proofs.append(census.tenant_count == sum(entry.counted for entry in SAMPLE_ENTRIES))
		_print_proof(screen, proofs, "pool sites, aliases and folders don't count; a half-written site does")

		_print_heading(screen, "2. A push: the count and the host's load arrive")
		delivered = _push(screen, bench, key)
		_print(screen, f"sent: {json.dumps(delivered.payload)}", "dim")
		row = plane.store.server_metrics(NODE_ID)
		snapshot = next(reversed(plane.store.snapshots(NODE_ID)), None)
		_print_rows(screen, {"server_metrics": row, "server_metrics_snapshots": snapshot})
		proofs.append(row is not None and row["tenant_count"] == census.tenant_count)
		_print_proof(screen, proofs, "the row in the control plane holds what the bench has")

		_print_heading(screen, "3. A wrong key: one alert, and one when pushes arrive again")
		refused = _push(screen, bench, secrets.token_urlsafe(24))
		alerts = [_print_alert(screen, bench)]
		recovered = _push(screen, bench, key)
		alerts.append(_print_alert(screen, bench))
		proofs.append((refused.outcome, recovered.outcome) == (REFUSED, DELIVERED) and all(alerts))
		_print_proof(screen, proofs, "a failure reaches people once, and so does its end")

		_print_heading(screen, "4. A lost mount: nothing is sent rather than a wrong count")
		row = plane.store.server_metrics(NODE_ID)
		volume.rename(folder / "unmounted")
		lost = _push(screen, bench, key)
		proofs.append(lost.outcome == NOT_SENT and plane.store.server_metrics(NODE_ID) == row)
		_print_proof(
			screen, proofs, "the control plane keeps the last true count, and its age shows that it is old"
		)
	return 0 if all(proofs) else 1


def _move_to_a_volume(bench: Bench, folder: Path) -> Path:
	"""Let a site lie elsewhere, as on a volume, with a link to it in sites/; return where it lies."""
	site, volume = Path(bench.sites, LOST_SITE), folder / "volume"
	site.rename(volume)
	site.symlink_to(volume)
	return volume


def _push(screen: Console, bench: Bench, key: str) -> Result:
	"""Push as a person does, and print how it ended."""
	result = push(bench, Request(), {KEY_VARIABLE: key})
	_print(screen, f"{iso_utc(result.at)}  {summary(result)}")
	return result


def _print_alert(screen: Console, bench: Bench) -> bool:
	"""Print the alert that a channel has to send now; return whether there is one."""
	alert = take_unsent_alerts(StateFolder(bench.sites), "demo", load_config(bench, {}))
	_print(screen, alert or "no alert", "yellow")
	return alert is not None


def _print_proof(screen: Console, proofs: list[bool], what: str) -> None:
	"""Print what the act proves, as far as the last of the proofs holds."""
	if proofs[-1]:
		_print(screen, f"→ Proves: {what}.", "green")
	else:
		_print(screen, f"→ Not proved: {what}.", "bold red")


def _print(screen: Console, text: str, style: str = "") -> None:
	screen.print(Text(text, style=style))


def _print_rows(screen: Console, rows: Mapping[str, Mapping[str, object] | None]) -> None:
	"""Print rows side by side, a line for each column: eight columns do not fit a terminal's width."""
	table = Table("", *rows, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
	columns = dict.fromkeys(column for row in rows.values() for column in row or () if column != "id")
	for column in columns:
		values = ((row or {}).get(column) for row in rows.values())
		table.add_row(column, *("" if value is None else str(value) for value in values))
	screen.print(table)


def _print_heading(screen: Console, heading: str) -> None:
	_print(screen, f"\n{heading}\n", "bold")


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
