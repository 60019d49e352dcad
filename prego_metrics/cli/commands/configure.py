"""`prego-metrics configure`: take the settings by options, or ask for what is missing, and write them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.installed_frappe import is_frappe_at_hand
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.api_key import write_api_key
from prego_metrics.agent.config.config import Config, load_config
from prego_metrics.agent.config.display import settings_as_dict
from prego_metrics.agent.config.kinds import SecretFile
from prego_metrics.agent.config.secret_files import MAX_SECRET_BYTES
from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.agent.config.writer import json_values, write_settings
from prego_metrics.agent.setup.onboarding import TICK_SECONDS_ALLOWED, Onboarding
from prego_metrics.agent.setup.registration import REGIONS
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
	help="How often Frappe's scheduler ticks, once it is restarted. Frappe's own key, for the whole bench.",
)
@click.option("--enable-scheduler", is_flag=True, help="Enable Frappe's scheduler on the operator site.")
@click.option("--region", type=click.Choice(REGIONS), help="Region, for the row of nodes that is printed.")
@click.option("--host", metavar="HOST", help="What SSH uses, for the row of nodes that is printed.")
@click.option("--offline", is_flag=True, help="Do not ask Hetzner which server this is.")
@click.option("--show", is_flag=True, help="Show the settings in force, each with its source.")
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

	On a terminal and without options, what is missing is asked for. The key is never written there; it can
	be put into a file of its own. On a server of Hetzner's, the metadata service is asked which server it is,
	and with HCLOUD_TOKEN in the environment Hetzner's API too.

	Exit codes: 0 written, 2 refused; where nothing was to be written, 2 also if the settings are not valid.
	"""
	changes = json_values({name: value for name, value in given.items() if value not in (None, ())})
	others = api_key_stdin or scheduler_tick_interval is not None or enable_scheduler
	if show and (changes or unset or others):
		raise click.UsageError("--show changes nothing: it goes with no setting and not with --unset")
	try:
		bench = open_bench_as_owner(bench_path)
		config = load_config(bench, os.environ)
		is_interactive = not (changes or unset or others or show) and bool(sys.stdin) and sys.stdin.isatty()
		onboarding = Onboarding(bench, config, os.environ, online=not offline, region=region, host=host)
		key = None
		if is_interactive:
			answers = ask_settings(onboarding)
			changes, key = answers.changes, answers.key
			scheduler_tick_interval, enable_scheduler = answers.tick_seconds, answers.enable_scheduler
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
	notes = onboarding.notes(config, changes, scheduler_tick_interval)
	if enable_scheduler:
		notes.append(_enable_scheduler(bench, config))
	row = onboarding.row(config) if "node_id" in changes or region or host else None
	if as_json:
		optional = {"notes": notes, "nodes_row": row and row.sql}
		print_json(
			settings_as_dict(config, os.environ) | {name: value for name, value in optional.items() if value}
		)
	else:
		print_settings(config, os.environ)
		print_operator_site_note(config)
		for note in notes:
			click.echo(f"Note: {note}")
		if row:
			click.echo("\nThe control plane needs this row of `nodes`, if it has none for this node yet:\n")
			click.echo(f"  {row.sql}")
		if row and not row.complete:
			click.echo("\nReplace REGION by 'sg', 'us' or 'eu', and HOST by what SSH uses, in quotes.")
	sys.exit(2 if config.problems and not written else 0)


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
		return (
			"the scheduler is enabled by the bench's own command: bench --site "
			f"{sanitize(config.site)} enable-scheduler"
		)
	from prego_metrics.desk.lifecycle.scheduler import enable

	return enable(bench, config.site)
