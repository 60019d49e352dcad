"""What people look at: tables and marks on a terminal, with `rich`, and the same as JSON.

Every state is a word too, so that nothing depends on colour; colours appear on a terminal only.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import FILE_NAME, config_file
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.tenant_count import count_tenants, operator_site_note
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.display import key_source, shown_value
from prego_metrics.agent.config.settings import SETTINGS
from prego_metrics.cli.ui.console import console
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check

_STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", SKIP: "dim"}


def print_census(census: Census) -> None:
	"""Print every site with its verdict, what lies beside them, and the count."""
	several = len({site.bench for site in census.sites}) > 1
	table = _table("Site", *(["Bench"] if several else []), "Counted", "Why")
	for site in census.sites:
		style = "yellow" if site.warning else "" if site.counted else "dim"
		cells = [site.name, *([site.bench] if several else []), "yes" if site.counted else "no", site.reason]
		table.add_row(*(Text(cell, style=style) for cell in cells))
	screen = console()
	screen.print(table)
	if census.not_sites:
		entries = "; ".join(f"{entry.name} ({entry.reason})" for entry in census.not_sites)
		screen.print(Text(f"Not sites: {entries}", style="dim"))
	screen.print(Text(f"{census.tenant_count} tenants of {len(census.sites)} sites", style="bold"))


def print_check(check: Check) -> None:
	"""Print one of the doctor's checks, and what to do about it."""
	screen = console()
	seen = Text.assemble((f"{check.name}: ", "bold"), check.seen)
	_print_hanging(screen, Text(f"{check.state:<4} ", style=_STYLES[check.state]), seen)
	if check.action and check.state in (WARN, FAIL):
		_print_hanging(screen, Text(" " * 5), Text(f"→ {check.action}"))


def _print_hanging(screen: Console, begin: Text, text: Text) -> None:
	"""Print `begin` and the text beside it, every further line of which stands below the first's."""
	for line in text.wrap(screen, max(20, screen.width - len(begin))):
		screen.print(begin + line)
		begin = Text(" " * len(begin))


def print_settings(config: Config, environ: Mapping[str, str]) -> None:
	"""Print the settings in force, each with its source, and what is wrong with them."""
	import json

	table = _table("Setting", "Value", "From")
	for setting in SETTINGS:
		value = shown_value(config, setting)
		text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
		style = "dim" if config.sources[setting.name] == "default" else ""
		cells = (setting.name, "" if value is None else sanitize(text), _short_source(config, setting.name))
		table.add_row(*(Text(cell, style=style) for cell in cells))
	source, no_key_reason = key_source(config, environ)
	table.add_row(Text("the key"), Text("set" if source else "not set"), Text(source or ""))
	screen = console()
	screen.print(table)
	for problem in config.problems:
		screen.print(Text(f"Error: {problem.message}", style=_STYLES[FAIL]))
	for text in (*config.warnings, *([no_key_reason] if no_key_reason and not config.problems else [])):
		screen.print(Text(f"Warning: {text}", style=_STYLES[WARN]))


def print_operator_site_note(config: Config) -> None:
	"""Say so when the operator's own site counts as a tenant; nothing where there is no count yet."""
	try:
		note = operator_site_note(config, count_tenants(config))
	except NotSent:
		return
	if note:
		console().print(Text(f"Note: {note[0]}; {note[1]}"))


def _short_source(config: Config, name: str) -> str:
	source = config.sources[name]
	return FILE_NAME if source == sanitize(config_file(config.bench)) else source


def _table(*headings: str) -> Table:
	from rich.box import SIMPLE_HEAD

	table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
	for heading in headings:
		table.add_column(heading, overflow="fold")
	return table
