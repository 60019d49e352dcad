"""The command line: `prego-metrics …`, and the same commands as `bench prego-metrics …`.

Commands hold no logic: each finds the bench, calls the module of its name and prints. What is heavy is
imported inside, since every `bench` call imports this module.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator
from typing import Any

import click

from prego_metrics import __version__

# Where a context keeps the arguments that it was given.
_GIVEN = "prego_metrics.arguments"


@contextlib.contextmanager
def _usage_errors_as_json(context: click.Context) -> Iterator[None]:
	"""Print a usage error as JSON on stdout as well, where --json is among the arguments; click prints it and ends."""
	try:
		yield
	except click.UsageError as error:
		if "--json" in context.meta[_GIVEN]:
			from prego_metrics.cli.ui.output import print_json

			print_json({"error": error.format_message(), "error_code": "option_invalid"})
		raise


class _Commands(click.Group):
	"""The commands, each in a module of its own that is imported when it is asked for."""

	def list_commands(self, context: click.Context) -> list[str]:
		return list(_NAMES)

	def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
		context.meta[_GIVEN] = tuple(args)
		with _usage_errors_as_json(context):
			return super().parse_args(context, args)

	def invoke(self, context: click.Context) -> Any:
		with _usage_errors_as_json(context):
			return super().invoke(context)

	def resolve_command(
		self, context: click.Context, args: list[str]
	) -> tuple[str | None, click.Command | None, list[str]]:
		"""Find a command; for an unknown one, suggest the nearest, whatever click's version."""
		if args[0] not in _NAMES and not args[0].startswith("-"):
			import difflib

			from prego_metrics.agent.base.sanitize import sanitize

			near = difflib.get_close_matches(args[0], _NAMES, n=1)
			hint = f" Did you mean '{near[0]}'?" if near else ""
			context.fail(f"No such command '{sanitize(args[0], 80)}'.{hint}")
		return super().resolve_command(context, args)

	def get_command(self, context: click.Context, name: str) -> click.Command | None:
		match name:
			case "alerts":
				from prego_metrics.cli.commands.alerts import alerts as command
			case "configure":
				from prego_metrics.cli.commands.configure import configure as command
			case "control-plane":
				from prego_metrics.cli.commands.control_plane import control_plane as command
			case "demo":
				from prego_metrics.cli.commands.demo import demo as command
			case "doctor":
				from prego_metrics.cli.commands.doctor import doctor as command
			case "fleet":
				from prego_metrics.cli.commands.fleet import fleet as command
			case "hetzner":
				from prego_metrics.cli.commands.hetzner import hetzner as command
			case "maintenance":
				from prego_metrics.cli.commands.alerts import maintenance as command
			case "metrics":
				from prego_metrics.cli.commands.metrics import metrics as command
			case "push":
				from prego_metrics.cli.commands.push import push as command
			case "status":
				from prego_metrics.cli.commands.status import status as command
			case "systemd":
				from prego_metrics.cli.commands.systemd import systemd as command
			case "tenants":
				from prego_metrics.cli.commands.tenants import tenants as command
			case _:
				return None
		return command


_NAMES = (
	"alerts",
	"configure",
	"control-plane",
	"demo",
	"doctor",
	"fleet",
	"hetzner",
	"maintenance",
	"metrics",
	"push",
	"status",
	"systemd",
	"tenants",
)


@click.group(
	name="prego-metrics",
	cls=_Commands,
	context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="prego-metrics")
def cli() -> None:
	"""Count this node's tenants, sample the host, and push both to the control plane.

	Exit codes: 0 done or nothing to do, 1 not delivered, 2 nothing could be counted or configured.
	"""
	from prego_metrics.cli.ui.output import escape_what_cannot_be_encoded

	escape_what_cannot_be_encoded()  # here as well as in __main__: bench comes by another way


def main() -> None:
	"""Run the command line by itself, and exit with its code."""
	try:
		cli(prog_name="prego-metrics")
	except OSError as error:
		if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
			raise
		from prego_metrics.cli.ui.output import discard

		discard(sys.stdout)
		click.echo(f"Error: {error.strerror}", err=True)
		sys.exit(1)
