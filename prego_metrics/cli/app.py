"""The command line: `prego-metrics …`, and the same commands as `bench prego-metrics …`.

Commands hold no logic: each finds the bench, calls the module of its name and prints. What is heavy is
imported inside, since every `bench` call imports this module.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from prego_metrics import __version__

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench

Command = TypeVar("Command", bound=Callable[..., Any])

bench_option = click.option(
	"--bench",
	"bench_path",
	metavar="PATH",
	help="The bench, or its sites folder. Default: the one around the working directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


class LazyGroup(click.Group):
	"""A group of which some commands live in modules of their own, imported when they are asked for.

	lazy maps a command's name to the module that holds it under the same name.
	"""

	def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
		super().__init__(*args, **kwargs)
		self._lazy = lazy

	def list_commands(self, context: click.Context) -> list[str]:
		return sorted([*super().list_commands(context), *self._lazy])

	def resolve_command(
		self, context: click.Context, args: list[str]
	) -> tuple[str | None, click.Command | None, list[str]]:
		"""Find a command; for one that there is not, say the near ones, lazy ones too, whatever click's version."""
		if args[0] not in self.list_commands(context) and not args[0].startswith("-"):
			import difflib

			from prego_metrics.agent.base.sanitize import printable

			near = difflib.get_close_matches(args[0], self.list_commands(context), n=1)
			hint = f" Did you mean '{near[0]}'?" if near else ""
			context.fail(f"No such command '{printable(args[0], 80)}'.{hint}")
		return super().resolve_command(context, args)

	def get_command(self, context: click.Context, name: str) -> click.Command | None:
		if name not in self._lazy:
			return super().get_command(context, name)
		command = getattr(importlib.import_module(self._lazy[name]), name.replace("-", "_"))
		assert isinstance(command, click.Command)
		return command


_ELSEWHERE: dict[str, str] = {
	"capacity": "prego_metrics.cli.commands.capacity",
	"configure": "prego_metrics.cli.commands.configure",
	"doctor": "prego_metrics.cli.commands.doctor",
	"fleet": "prego_metrics.cli.commands.fleet",
	"hetzner": "prego_metrics.cli.commands.hetzner",
	"status": "prego_metrics.cli.commands.status",
	"systemd": "prego_metrics.cli.commands.systemd",
	"tell": "prego_metrics.cli.commands.alerts",
	"tenants": "prego_metrics.cli.commands.tenants",
}


@click.group(
	name="prego-metrics",
	cls=LazyGroup,
	lazy=_ELSEWHERE,
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


@cli.command()
@bench_option
@click.option("--dry-run", is_flag=True, help="Print what would be sent. Sends and records nothing.")
@click.option("--if-due", is_flag=True, help="Push only if the interval is over: for timers and cron.")
@click.option("--save-snapshot", is_flag=True, help="Ask the control plane to keep a snapshot as well.")
@click.option(
	"--tell",
	"channel",
	metavar="CHANNEL",
	help="With --if-due: print only, and once, that pushes fail or are delivered again. For cron's mail.",
)
@json_option
def push(
	bench_path: str | None,
	dry_run: bool,
	if_due: bool,
	save_snapshot: bool,
	channel: str | None,
	as_json: bool,
) -> None:
	"""Push once: count, sample, send, record.

	Exit codes: 0 delivered or nothing to do, 1 not delivered, 2 nothing could be counted or configured.
	"""
	if channel is not None:
		if not if_due or save_snapshot or as_json:
			raise click.UsageError("--tell goes with --if-due, and not with --save-snapshot or --json")
		from prego_metrics.cli.__main__ import scheduled_push

		sys.exit(scheduled_push(bench_path, channel))
	if dry_run and (if_due or save_snapshot):
		raise click.UsageError("--dry-run goes with neither --if-due nor --save-snapshot")
	import time

	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.push import push as pushing
	from prego_metrics.agent.push import result
	from prego_metrics.cli.ui.output import report

	try:
		bench = open_bench_as_owner(bench_path)
		if dry_run:
			ended = pushing.dry_run(bench)
		else:
			request = (
				pushing.scheduled_request(os.environ, save_snapshot=save_snapshot)
				if if_due
				else pushing.Request(save_snapshot=save_snapshot)
			)
			ended = pushing.push(bench, request)
	except PregoMetricsError as error:
		ended = result.Result(result.NOT_SENT, time.time(), error=str(error))
	report(ended, as_json=as_json)
	sys.exit(ended.exit_code)


@cli.command("control-plane")
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
	from prego_metrics.cli.commands.control_plane import run

	_exit_on_error(
		lambda: run(
			port=port,
			database=database,
			nodes=nodes,
			register_unknown=register_unknown,
			snapshots=not without_snapshots,
		)
	)


@cli.command(short_help="Push from a sample bench to a local control plane.")
@click.option("--keep", is_flag=True, help="Keep the sample bench, and say where it is.")
def demo(keep: bool) -> None:
	"""Push from a sample bench to a local control plane, and show what arrived."""
	from prego_metrics.cli.commands.demo import run

	_exit_on_error(lambda: sys.exit(run(keep=keep)))


def open_bench_as_owner(bench_path: str | None) -> Bench:
	"""Find the bench and, started by root, become its owner before anything is read. Raises PregoMetricsError."""
	from prego_metrics.agent.bench.locate import find_bench
	from prego_metrics.agent.bench.privileges import become_owner

	bench = find_bench(bench_path)
	become_owner(bench)
	return bench


def _exit_on_error(run: Callable[[], None]) -> None:
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
