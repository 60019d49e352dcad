"""The questions of `configure` on a terminal: what is required and missing, and what it proposes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from prego_metrics.agent.base.errors import ConfigurationError, NotSent
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import read_common_config
from prego_metrics.agent.bench.installed_frappe import TICK_KEY, frappe_version, tick_seconds
from prego_metrics.agent.collectors.tenant_count import count_tenants, names_shown, pool_sites_counted
from prego_metrics.agent.collectors.volumes import unwatched_volumes
from prego_metrics.agent.config.api_key import load_api_key
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.settings import SETTING_BY_NAME, Setting
from prego_metrics.agent.config.writer import missing_settings
from prego_metrics.agent.setup.onboarding import Onboarding
from prego_metrics.agent.setup.systemd_units import DEFAULT_KEY_FILE
from prego_metrics.agent.state.store import StateFolder

TICK_SECONDS = 60
TRIGGERS = ("systemd", "cron")


@dataclass
class Answers:
	"""What was answered. key is None unless one was typed."""

	changes: dict[str, Any] = field(default_factory=dict)
	key: str | None = field(default=None, repr=False)
	tick_seconds: int | None = None
	enable_scheduler: bool = False
	trigger: str = ""  # that is to be set up: one of TRIGGERS, or none


def ask_settings(onboarding: Onboarding) -> Answers:
	"""Ask for what is required and missing, each again until it is right, and for what needs consent."""
	answers = Answers()
	config = onboarding.config
	first_time = missing_settings(config)
	for setting in first_time:
		suggestion = onboarding.metadata.get("hostname") if setting.name == "node_id" else None
		answers.changes[setting.name] = _ask_setting(setting, suggestion)
	if first_time and not config.site:
		_ask_site(onboarding, answers)
	if first_time:
		_ask_about_sites(config, answers)
	_ask_key(config, onboarding, answers)
	if first_time:
		_ask_scheduler(onboarding, answers)
		_ask_trigger(onboarding, answers)
	return answers


def _ask_setting(setting: Setting, default: str | None = None) -> Any:
	"""Ask for a setting until the answer is allowed, and return its JSON value."""
	return _prompt(f"{setting.name} ({setting.help})", lambda answer: _json_value(setting, answer), default)


def _json_value(setting: Setting, answer: str) -> object:
	value = setting.kind.from_text(answer)
	if setting.kind.accept(value) is None:
		raise click.UsageError(f"{setting.name} {setting.kind.allowed}")
	return value


def _prompt(question: str, read: Callable[[str], object], default: str | None) -> Any:
	return click.prompt(question, default=default, value_proc=read, err=True, show_default=bool(default))


def _confirm(question: str, *, default: bool = True) -> bool:
	return click.confirm(question, default=default, err=True)


def _ask_site(onboarding: Onboarding, answers: Answers) -> None:
	sites = onboarding.bench.sites

	def read(name: str) -> object:
		if not name:
			return None
		_json_value(SETTING_BY_NAME["site"], name)
		if not os.path.isfile(os.path.join(sites, name, "site_config.json")):
			raise click.UsageError(f"there is no site {sanitize(name, 80)} on this bench")
		return name

	site = _prompt("site (the operator site, where the node is shown; Enter: none yet)", read, "")
	if not site:
		return
	answers.changes["site"] = site
	excluded = list(onboarding.config.exclude_sites)
	if site not in excluded and not _confirm(f"Is {sanitize(site)} a tenant?", default=False):
		answers.changes["exclude_sites"] = [*excluded, site]


def _ask_about_sites(config: Config, answers: Answers) -> None:
	"""Ask what the sites that are there give cause for."""
	try:
		census = count_tenants(config)
	except NotSent:
		return  # the first push says so
	for pattern, names in pool_sites_counted(census).items():
		sites = f"{len(names)} site{'s match' if len(names) > 1 else ' matches'} {pattern} ({names_shown(names, 3)})"
		if _confirm(f"{sites}. Exclude such sites, as empty ones kept ready for tenants?"):
			excluded = answers.changes.get("exclude_sites", config.exclude_sites)
			answers.changes["exclude_sites"] = [*excluded, pattern]
	unwatched = unwatched_volumes(config, census)
	volumes = ", ".join(sanitize(path) for path in unwatched)
	if unwatched and _confirm(
		f"Sites or MariaDB's data are on {volumes}, which disk_pct does not include. Add them?"
	):
		answers.changes["disk_paths"] = [*config.disk_paths, *unwatched]


def _ask_key(config: Config, onboarding: Onboarding, answers: Answers) -> None:
	try:
		load_api_key(config.api_key_file, onboarding.environ, config.problems)
		return
	except ConfigurationError:
		pass  # there is no usable key: ask for one
	setting = SETTING_BY_NAME["api_key_file"]
	path = _ask_setting(setting, config.api_key_file or suggested_key_file())
	answers.changes["api_key_file"] = path
	if not os.path.lexists(path):
		answers.key = click.prompt(
			"The control plane's INTERNAL_API_KEY, which goes into that file", hide_input=True, err=True
		)


def suggested_key_file() -> str:
	"""Return the file that every trigger reads, if it is there for this user; else one that this user can write."""
	if os.access(DEFAULT_KEY_FILE, os.R_OK):
		return DEFAULT_KEY_FILE
	return os.path.join(os.path.realpath(os.path.expanduser("~")), ".prego_metrics", "internal_api_key")


def _ask_scheduler(onboarding: Onboarding, answers: Answers) -> None:
	version = frappe_version(onboarding.bench)
	if version is None:
		return
	try:
		common = read_common_config(onboarding.bench)
	except ConfigurationError:
		return  # what is written next says so
	seconds = tick_seconds(onboarding.bench, common)
	interval = onboarding.config.push_interval
	if seconds > interval and TICK_KEY not in common:
		question = (
			f"Frappe {sanitize(version.full, 40)} runs its scheduler every {seconds:g} s, too slow for a push every "
			f"{interval:g} s. Run it every {TICK_SECONDS} s? This affects every job of this bench"
		)
		if _confirm(question):
			answers.tick_seconds = TICK_SECONDS
		elif _confirm(f"Push every {seconds:g} s instead?"):
			answers.changes["push_interval"] = int(seconds)
	site = answers.changes.get("site") or onboarding.config.site
	if site and _confirm(f"Enable Frappe's scheduler on {sanitize(site)}?"):
		answers.enable_scheduler = True


def _ask_trigger(onboarding: Onboarding, answers: Answers) -> None:
	"""Propose a trigger beside Frappe's scheduler, unless one has run already."""
	if any(tick.trigger in ("timer", "cron") for tick in StateFolder(onboarding.bench.sites).ticks()):
		return
	default = TRIGGERS[0] if os.path.isdir("/run/systemd/system") else TRIGGERS[1]
	why = "A second trigger keeps pushes going when Frappe's scheduler stops"
	if frappe_version(onboarding.bench) is None:
		why = "Pushes need a trigger"
	kind = click.Choice([*TRIGGERS, "none"])
	answer = click.prompt(f"{why}. Set up", type=kind, default=default, err=True)
	answers.trigger = "" if answer == "none" else answer
