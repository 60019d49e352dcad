"""`prego-metrics control-plane`: the local control plane in the foreground, for development."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Iterable

import click

from prego_metrics.agent.api_key import KEY_VARIABLE
from prego_metrics.agent.errors import PregoMetricsError
from prego_metrics.agent.printable import printable
from prego_metrics.local_control_plane.server import LocalControlPlane


def run(*, port: int, database: str, nodes: Iterable[str], register_unknown: bool, snapshots: bool) -> None:
	"""Serve until interrupted. Prints URL and key first, then a line for each request.

	Raises PregoMetricsError where the port or the database cannot be used.
	"""
	key = os.environ.get(KEY_VARIABLE) or secrets.token_urlsafe(24)
	try:
		plane = LocalControlPlane(
			key,
			database=database,
			register_unknown=register_unknown,
			snapshots=snapshots,
			port=port,
			on_request=click.echo,
		)
	except (OSError, ValueError, sqlite3.Error) as error:
		raise PregoMetricsError(f"the local control plane cannot start: {error}") from None
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
	with plane:
		for node in nodes:
			plane.store.register_node(node, "eu", "127.0.0.1")
		click.echo("A local control plane, for development only.")
		click.echo(f"  URL    {plane.url}")
		click.echo(f"  key    {f'as in {KEY_VARIABLE}' if KEY_VARIABLE in os.environ else key}")
		click.echo(f"  nodes  {', '.join(map(printable, nodes)) or 'none registered'}")
		click.echo("\nPoint a bench at it, in another terminal:")
		click.echo(f"  prego-metrics configure --bench PATH --control-plane-url {plane.url} --node-id NODE")
		click.echo(f"  {KEY_VARIABLE}=… prego-metrics push --bench PATH\n\nCtrl-C stops it.\n")
		try:
			plane.serve_forever()
		except KeyboardInterrupt:
			click.echo("Stopped.")
