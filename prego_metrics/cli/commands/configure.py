"""`prego-metrics configure`: take the settings by options, or ask for what is missing, and write them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file
from prego_metrics.agent.bench.installed_frappe import TICK_KEY, is_frappe_at_hand, our_command
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.processes import how_to_restart
from prego_metrics.agent.config.api_key import write_api_key
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.config.display import key_source, settings_as_dict
from prego_metrics.agent.config.kinds import SecretFile
from prego_metrics.agent.config.secret_files import MAX_SECRET_BYTES
from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.agent.config.writer import json_values, write_settings
from prego_metrics.agent.setup.onboarding import TICK_SECONDS_ALLOWED, Onboarding
from prego_metrics.agent.setup.registration import REGIONS, NodesRow
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.options import bench_option, help_end, json_option
from prego_metrics.cli.ui.output import fail, print_json
from prego_metrics.cli.ui.prompts import ask_settings
from prego_metrics.cli.ui.tables import print_operator_site_note, print_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def _setting_options(command: Command) -> Command:
	"""Give `configure` an option for each setting, from the table of settings."""
	for setting in reversed(SETTINGS):
		repeatable = setting.kind.repeatable
		command = click.option(
			"--" + setting.name.replace("_", "-"),
			setting.name,
			metavar=setting.kind.metavar,
			multiple=repeatable,
			default=None,
			help=setting.help[0].upper() + setting.help[1:] + (" (repeatable)." if repeatable else "."),
		)(command)
	return command


@click.command(
	short_help="Write the node's settings, or ask for what is missing.",
	epilog=help_end(
		"install.md",
		"prego-metrics configure",
		"prego-metrics configure --node-id sg-1 --exclude-sites 'pool-*'",
		"prego-metrics configure --show",
	),
)
@bench_option
@_setting_options
@click.option("--unset", multiple=True, metavar="KEY", help="Remove a setting (repeatable).")
@click.option(
	"--api-key-stdin",
	is_flag=True,
	help="Read the key from standard input, and write it to api_key_file, 0600.",
)
@click.option(
	"--scheduler-tick-interval",
	type=click.IntRange(*TICK_SECONDS_ALLOWED),
	metavar="SECONDS",
	help="How often Frappe's scheduler runs, after a restart. Frappe's own key, for the whole bench.",
)
@click.option("--enable-scheduler", is_flag=True, help="Enable Frappe's scheduler on the operator site.")
@click.option("--region", type=click.Choice(REGIONS), help="Region, for the row of nodes that is printed.")
@click.option("--host", metavar="HOST", help="What SSH uses, for the row of nodes that is printed.")
@click.option("--offline", is_flag=True, help="Do not ask Hetzner which server this is.")
@click.option("--show", is_flag=True, help="Show every setting with its value and source.")
@json_option
def configure(
	bench_path: str | None,
	unset: tuple[str, ...],
	api_key_stdin: bool,
	scheduler_tick_interval: int | None,
	enable_scheduler: bool,
	region: str | None,
	host: str | None,
	offline: bool,
	show: bool,
	as_json: bool,
	**given: Any,
) -> None:
	"""Write settings into the bench's common_site_config.json, and keep everything else in it.

	On a terminal and without options, it asks for what is missing and proposes sites to exclude, file systems,
	the interval and a second trigger. It never writes the key there; the key gets a file of its own. On a Hetzner
	server it asks the metadata service which server this is, and with HCLOUD_TOKEN set Hetzner's API too.

	Exit codes: 0 written, 2 refused; where nothing was to be written, 2 also if the settings are not valid.
	"""
	changes = json_values({name: value for name, value in given.items() if value not in (None, ())})
	others = api_key_stdin or scheduler_tick_interval is not None or enable_scheduler
	if show and (changes or unset or others):
		raise click.UsageError("--show changes nothing: it goes with no setting and not with --unset")
	is_sudo = os.getuid() == 0 and "SUDO_UID" in os.environ
	try:
		bench = open_bench_as_owner(bench_path)
		config = load_config(bench, os.environ)
		is_interactive = not (changes or unset or others or show) and bool(sys.stdin) and sys.stdin.isatty()
		onboarding = Onboarding(bench, config, os.environ, online=not offline, region=region, host=host)
		key, trigger = None, ""
		if is_interactive:
			answers = ask_settings(onboarding)
			changes, key = answers.changes, answers.key
			scheduler_tick_interval, enable_scheduler = answers.tick_seconds, answers.enable_scheduler
			trigger = answers.trigger
		elif api_key_stdin:
			key = _key_from_stdin()
		if key is not None:
			write_api_key(_key_path(config, changes), key)
		changes = onboarding.with_instance(changes)
		if changes or unset or scheduler_tick_interval is not None:
			write_settings(bench, changes, unset, os.environ, scheduler_tick_interval)
		written = bool(changes or unset or key is not None or others or is_interactive)
		config = load_config(bench, os.environ)
	except PregoMetricsError as error:
		fail(error, json_with={"settings": {}} if as_json else None)
	notes = onboarding.notes(config, changes)
	if enable_scheduler:
		notes.append(_enable_scheduler(bench, config))
	row = onboarding.row(config) if "node_id" in changes or region or host else None
	next_steps = "; then ".join(_next_steps(config, row, scheduler_tick_interval, trigger, is_sudo=is_sudo))
	if as_json:
		optional = {"notes": notes, "nodes_row": row and row.sql, "next": written and next_steps}
		print_json(
			settings_as_dict(config, os.environ) | {name: value for name, value in optional.items() if value}
		)
	elif not written:
		print_settings(config, os.environ)
	else:
		_print_written(bench, [*changes, *_others_written(key, scheduler_tick_interval)], unset)
		if row:
			hint = "" if row.complete else " (replace REGION and HOST, each in quotes)"
			click.echo(f"Register the node, unless the control plane has it{hint}: {row.sql}")
		elif changes or unset:
			click.echo("Every trigger uses this from its next run on.")
		click.echo(f"Next: {next_steps}")
		print_operator_site_note(config)
		for note in (*config.warnings, *notes):
			click.echo(f"Note: {note}")
	sys.exit(2 if config.problems and not written else 0)


def _others_written(key: str | None, tick_seconds: int | None) -> list[str]:
	return [*(["the key"] if key is not None else []), *([TICK_KEY] if tick_seconds is not None else [])]


def _print_written(bench: Bench, written: Sequence[str], removed: Sequence[str]) -> None:
	lines = []
	if written:
		lines.append(f"Wrote {', '.join(sanitize(name) for name in written)}")
	if removed:
		lines.append(f"{'removed' if written else 'Removed'} {', '.join(sanitize(name) for name in removed)}")
	what = "; ".join(lines) or "Nothing to change"
	click.echo(f"{what}. Settings: {sanitize(config_file(bench))}")


def _next_steps(
	config: Config, row: NodesRow | None, tick_seconds: int | None, trigger: str, *, is_sudo: bool
) -> Iterator[str]:
	"""Yield what is left to do: the first problem alone, or what makes pushes run.

	With sudo each command names the bench: root takes none from the working directory.
	"""
	program, bench = our_command(), ""
	if is_sudo:
		program, bench = f"sudo {_program_for_sudo()}", f" --bench {sanitize(config.bench.root)}"
	if config.problems:
		yield f"{config.problems[0].message}"
		return
	if (config.scheduler_pushes or config.api_key_file) and not key_source(config, os.environ)[0]:
		yield f"{program} configure{bench} --api-key-file FILE --api-key-stdin"
	if tick_seconds is not None:
		yield f"restart the bench's processes ({how_to_restart(config.bench)})"
	if row:
		yield f"{program} push{bench}"
	if trigger == "systemd":
		yield f"{program} systemd{bench} --output /tmp/units"
	elif trigger == "cron":
		path = os.path.join(os.path.dirname(sys.executable), "prego-metrics")
		yield f"add to crontab: * * * * * {path} push --if-due --alerts cron --bench {sanitize(config.bench.root)}"
	yield f"{program} doctor{bench}"


def _program_for_sudo() -> str:
	"""Return our command as sudo finds it again: its secure_path may lack the folder that we were called from."""
	called = sys.argv[0]
	if (
		os.path.isabs(called)
		and os.path.basename(called) == "prego-metrics"
		and not shutil.which("prego-metrics")
	):
		return sanitize(called)
	return our_command()


def _key_from_stdin() -> str:
	if sys.stdin is None or sys.stdin.closed:
		raise click.UsageError("--api-key-stdin: there is no standard input")
	if sys.stdin.isatty():
		return str(click.prompt("The control plane's INTERNAL_API_KEY", hide_input=True, err=True))
	line = sys.stdin.buffer.read(MAX_SECRET_BYTES + 1)
	if len(line) > MAX_SECRET_BYTES:
		raise click.UsageError(f"--api-key-stdin: more than {MAX_SECRET_BYTES} bytes, which no key is")
	return line.decode("latin-1")


def _key_path(config: Config, changes: dict[str, Any]) -> str:
	path = changes.get("api_key_file", config.api_key_file)
	try:
		return SecretFile().parse(path)
	except ValueError as error:
		raise click.UsageError(f"--api-key-stdin needs api_key_file, which {error}") from None


def _enable_scheduler(bench: Bench, config: Config) -> str:
	"""Enable the scheduler where Frappe is at hand, and say so, or say the command that does."""
	if not config.site:
		return "the scheduler was not enabled: name the site first, with --site"
	if not is_frappe_at_hand(bench):
		return f"enable the scheduler with the bench's own command: bench --site {sanitize(config.site)} enable-scheduler"
	from prego_metrics.desk.lifecycle.scheduler import enable

	return enable(bench, config.site)
