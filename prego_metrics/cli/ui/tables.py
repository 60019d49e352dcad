"""The sites and the settings as tables. Colours appear on a terminal only, and every state is a word too."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.formatting import sites_word, tenants_word
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import FILE_NAME, config_file
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants, operator_site_note
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.display import key_source, shown_value
from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.cli.ui.console import console, table
from prego_metrics.cli.ui.long_table import print_long_table


def print_census(census: Census) -> None:
	"""Print every site with its verdict, what lies beside them, and the count."""
	several = len({site.bench for site in census.sites}) > 1
	screen = console()
	print_long_table(
		screen,
		("Site", *(["Bench"] if several else []), "Counted", "Why"),
		[
			(site.name, *([site.bench] if several else []), "yes" if site.counted else "no", site.reason)
			for site in census.sites
		],
		row_styles=["yellow" if site.warning else "" if site.counted else "dim" for site in census.sites],
	)
	if census.not_sites:
		entries = "; ".join(f"{entry.name} ({entry.reason})" for entry in census.not_sites)
		screen.print(Text(f"Not sites: {entries}", style="dim"))
	screen.print(
		Text(f"{tenants_word(census.tenant_count)} of {sites_word(len(census.sites))}", style="bold")
	)


def print_settings(config: Config, environ: Mapping[str, str]) -> None:
	"""Print every setting with its source, and what is wrong with them."""
	import json

	settings = table("Setting", "Value", "From")
	for setting in SETTINGS:
		value = shown_value(config, setting)
		written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
		style = "dim" if config.sources[setting.name] == "default" else ""
		cells = (
			setting.name,
			"" if value is None else sanitize(written),
			_short_source(config, setting.name),
		)
		settings.add_row(*(Text(cell, style=style) for cell in cells))
	source, no_key_reason = key_source(config, environ)
	settings.add_row(Text("the key"), Text("set" if source else "not set"), Text(source or ""))
	screen = console()
	screen.print(settings)
	for problem in config.problems:
		screen.print(Text(f"Error: {problem.message}", style="bold red"))
	for warning in (*config.warnings, *([no_key_reason] if no_key_reason and not config.problems else [])):
		screen.print(Text(f"Warning: {warning}", style="yellow"))


def print_operator_site_note(config: Config) -> None:
	"""Say so when the operator site counts as a tenant; nothing where there is no count yet."""
	try:
		note = operator_site_note(config, count_tenants(config))
	except NotSent:
		return
	if note:
		console().print(Text(f"Note: {note[0]}; {note[1]}"))


def _short_source(config: Config, name: str) -> str:
	source = config.sources[name]
	return FILE_NAME if source == sanitize(config_file(config.bench)) else source
