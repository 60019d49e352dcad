"""`prego-metrics control-plane`: the local control plane in the foreground, for development."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import sys
import threading

import click

from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.key_place import KEY_VARIABLE
from prego_metrics.cli.ui.options import help_end
from prego_metrics.cli.ui.output import fail, print_line
from prego_metrics.sandbox.server import LocalControlPlane

USAGE = """A local control plane, for development only.
  URL    {url}
  key    {key}
  nodes  {nodes}

Point a bench at it, in another terminal:
  prego-metrics configure --bench PATH --control-plane-url {url} --node-id NODE
  INTERNAL_API_KEY=… prego-metrics push --bench PATH

Ctrl-C stops it.
"""


@click.command(
	"control-plane", epilog=help_end("architecture.md", "prego-metrics control-plane --node sg-1 --port 8787")
)
@click.option(
	"--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1. Default: a free one."
)
@click.option("--database", default=":memory:", metavar="FILE", help="SQLite file. Default: in memory.")
@click.option("--node", "nodes", multiple=True, metavar="ID", help="Register a node (repeatable).")
@click.option("--register-unknown", is_flag=True, help="Accept nodes that are not registered.")
@click.option("--without-snapshots", is_flag=True, help="Omit the table of snapshots.")
def control_plane(
	port: int, database: str, nodes: tuple[str, ...], register_unknown: bool, without_snapshots: bool
) -> None:
	"""Run a local control plane, for development. Never for production.

	The key comes from INTERNAL_API_KEY; if that is not set, a new key is made and printed.
	"""
	given_key = os.environ.get(KEY_VARIABLE)  # an empty one counts as unset
	key = given_key or secrets.token_urlsafe(24)
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
	try:
		plane = LocalControlPlane(
			key,
			database=database,
			register_unknown=register_unknown,
			snapshots=not without_snapshots,
			port=port,
			on_request=lambda line: print_line(line, sys.stdout),
		)
		for node_id in nodes:
			plane.store.register_node(node_id, "eu", "127.0.0.1")
	except (OSError, ValueError, sqlite3.Error) as error:
		where = f"port {port}, database {sanitize(database)}"
		fail(f"the local control plane cannot start ({where}): {sanitize(str(error))}")
	with plane:
		try:
			shown_key = f"as in {KEY_VARIABLE}" if given_key else key
			shown_nodes = ", ".join(sanitize(node) for node in nodes) or "none registered"
			print_line(USAGE.format(url=plane.url, key=shown_key, nodes=shown_nodes), sys.stdout)
			threading.Event().wait()
		except KeyboardInterrupt:
			print_line("Stopped.", sys.stdout)
