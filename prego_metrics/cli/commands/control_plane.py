"""`prego-metrics control-plane`: the local control plane in the foreground, for development."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Sequence

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.api_key import KEY_VARIABLE
from prego_metrics.cli.ui.options import exit_on_error
from prego_metrics.cli.ui.output import discard
from prego_metrics.sandbox.server import LocalControlPlane


@click.command("control-plane")
@click.option(
	"--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1. Default: a free one."
)
@click.option("--database", default=":memory:", metavar="FILE", help="SQLite file. Default: in memory.")
@click.option("--node", "nodes", multiple=True, metavar="ID", help="Register a node (repeatable).")
@click.option("--register-unknown", is_flag=True, help="Accept nodes that are not registered.")
@click.option("--without-snapshots", is_flag=True, help="Leave the snapshots' migration out.")
def control_plane(
	port: int, database: str, nodes: tuple[str, ...], register_unknown: bool, without_snapshots: bool
) -> None:
	"""Run a local control plane, for development. Never for production.

	The key is taken from INTERNAL_API_KEY, or made anew and printed.
	"""
	exit_on_error(
		lambda: run(
			port=port,
			database=database,
			nodes=nodes,
			register_unknown=register_unknown,
			snapshots=not without_snapshots,
		)
	)


def run(*, port: int, database: str, nodes: Sequence[str], register_unknown: bool, snapshots: bool) -> None:
	"""Serve until interrupted. Prints URL and key first, then a line for each request.

	Raises PregoMetricsError where the port, the database, a node or the key cannot be used.
	"""
	given_key = os.environ.get(KEY_VARIABLE)  # an empty one counts as unset
	key = given_key or secrets.token_urlsafe(24)
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
	try:
		with _made(key, port, database, register_unknown, snapshots) as plane:
			_register(plane, nodes)
			click.echo("A local control plane, for development only.")
			click.echo(f"  URL    {plane.url}")
			click.echo(f"  key    {f'as in {KEY_VARIABLE}' if given_key else key}")
			click.echo(f"  nodes  {', '.join(map(sanitize, nodes)) or 'none registered'}")
			click.echo("\nPoint a bench at it, in another terminal:")
			target = f"--control-plane-url {plane.url} --node-id NODE"
			click.echo(f"  prego-metrics configure --bench PATH {target}")
			click.echo(f"  {KEY_VARIABLE}=… prego-metrics push --bench PATH\n\nCtrl-C stops it.\n")
			plane.serve_forever()
	except KeyboardInterrupt:
		click.echo("Stopped.")


def _made(key: str, port: int, database: str, register_unknown: bool, snapshots: bool) -> LocalControlPlane:
	try:
		return LocalControlPlane(
			key,
			database=database,
			register_unknown=register_unknown,
			snapshots=snapshots,
			port=port,
			on_request=_report,
		)
	except OSError as error:
		wrong = f"port {port}: {error.strerror}. Name another one with --port, or none"
	except sqlite3.Error as error:
		wrong = f"the database {sanitize(database)}: {error}"
	except ValueError as error:
		wrong = str(error)
	raise PregoMetricsError(f"the local control plane cannot start: {wrong}")


def _register(plane: LocalControlPlane, nodes: Sequence[str]) -> None:
	for node in nodes:
		try:
			plane.store.register_node(node, "eu", "127.0.0.1")
		except (ValueError, sqlite3.Error) as error:
			raise PregoMetricsError(f"the node {sanitize(node)} cannot be registered: {error}") from None


def _report(line: str) -> None:
	try:
		click.echo(line)
	except OSError:
		discard(sys.stdout)  # that nobody reads these lines any more is no reason not to answer
