"""What the operator set, and where each value came from.

Settings are read at every run from the key `prego_metrics` in the bench's `sites/common_site_config.json`; an
environment variable `PREGO_METRICS_<NAME>` overrides one. A tenant's own `site_config.json` is never read: it
would let a tenant redirect the node.

All problems are collected, so that one run names every one; `Config.require` raises those of the settings that a
command needs.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from prego_metrics.agent.base.errors import BenchError, ConfigurationError, Problem
from prego_metrics.agent.base.messages import Message, coded, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.urls import redacted_value
from prego_metrics.agent.bench.common_site_config import SECTION_KEY, config_file, find_common_config
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.trust import require_trusted
from prego_metrics.agent.config.kinds import BaseUrl
from prego_metrics.agent.config.names import misplaced_key, unknown_names
from prego_metrics.agent.config.settings import SETTINGS, Setting, Settings
from prego_metrics.agent.light_typing import Any

CONFIG_KEY = SECTION_KEY
DEFAULT_SOURCE = "default"
COMMAND_LINE = "the command line"

SECRET_URL_KEYS = frozenset(("heartbeat_url", "heartbeat_url_file", "alert_url", "alert_url_file"))
CENSUS_KEYS = frozenset(("benches", "exclude_sites", "allow_empty"))
QUOTA_KEYS = frozenset(("tenant_quota_gb",))
# What the count, the payload or the delivery depends on: a push with a default in place of one of these could be
# wrong. Of any other the default applies, with a warning.
DRY_RUN_KEYS = CENSUS_KEYS | {"node_id", "control_plane_url", "instance_id", "disk_paths", "memory_source"}
PUSH_KEYS = DRY_RUN_KEYS | {"api_key_file"}

# In the hardened mode these come from the unit's environment alone: any app of the bench can write the
# bench's file, and could send the bearer elsewhere, or have a file of the unit's user replaced.
HARDENED_VARIABLE = "PREGO_METRICS_HARDENED"
HARDENED_KEYS = SECRET_URL_KEYS | {"node_id", "control_plane_url", "api_key_file", "metrics_textfile"}

_UNEXPANDED = r"\$\{[^{}]*\}"
_TOP_LEVEL_KEY_NAMES = frozenset(("internal_api_key", "INTERNAL_API_KEY"))


class Config(Settings):
	"""The effective settings of one bench. Paths are absolute; what is required and not set is empty.

	file_absent says that there is no common_site_config.json; bench_in_maintenance is Frappe's mode for the whole bench
	there, as during `bench update`, None where it cannot be read.

	The repr shows none of them: Frappe stores the variables of every frame of an error in the database of the
	site on which it happened, which may be a tenant's.
	"""

	bench: Bench
	hardened: bool
	sources: Mapping[str, str]
	problems: tuple[Problem, ...]
	warnings: tuple[str, ...]
	file_absent: bool
	bench_in_maintenance: bool | None

	def __init__(self, **values: Any) -> None:
		self.__dict__.update(values)

	def replaced(self, **values: object) -> Config:
		"""Return the same with other values of some settings."""
		return Config(**{**vars(self), **values})

	def require(self, keys: Iterable[str]) -> None:
		"""Raise ConfigurationError if any of `keys`, or the configuration as a whole, is wrong."""
		needed = frozenset(keys)
		problems = [problem for problem in self.problems if not problem.key or problem.key in needed]
		if problems:
			raise ConfigurationError(problems)

	def defaults_applied(self, keys: Collection[str]) -> tuple[Message, ...]:
		"""Return the warnings of wrong settings other than `keys`: their defaults apply."""
		return tuple(
			message("{problem}. Pushes continue without this setting", problem=problem.message)
			for problem in self.problems
			if problem.key and problem.key not in keys
		)


def load_config(
	bench: Bench, environ: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
) -> Config:
	"""Read the effective settings. Never raises for wrong ones: they are in `problems`."""
	try:
		require_trusted(bench.sites)
		common = find_common_config(bench, sleep)
	except BenchError as error:
		return judge_config(bench, {}, environ, Problem("", error.message))
	except ConfigurationError as error:
		return judge_config(bench, {}, environ, *error.problems)
	return judge_config(bench, common, environ)


def judge_config(
	bench: Bench,
	common: Mapping[str, object] | None,
	environ: Mapping[str, str],
	*known_problems: Problem,
	given: Collection[str] = (),
) -> Config:
	"""Return the effective settings that `common`, a whole common_site_config.json or None for none, and `environ` give.

	The settings named in `given` are not in the file yet: they come from the command line.
	"""
	file = sanitize(config_file(bench))
	problems = list(known_problems)
	warnings: list[str] = []
	hardened = _is_hardened(environ, problems)
	section = _section(common or {}, file, problems)
	for is_misspelt, unknown in unknown_names(common or {}, section or {}, file, environ, HARDENED_VARIABLE):
		if is_misspelt:
			problems.append(unknown)
		else:
			# Another version's, perhaps: after a rollback it must not stop the node.
			warnings.append(unknown.message)

	in_file = section or {}
	if hardened:
		warnings += _unused_settings(in_file, file, environ)
		in_file = {name: value for name, value in in_file.items() if name not in HARDENED_KEYS}

	values: dict[str, Any] = {}
	sources: dict[str, str] = {}
	for setting in SETTINGS:
		file_source = COMMAND_LINE if setting.name in given else file
		values[setting.name], sources[setting.name] = _effective(
			setting, in_file, file_source, environ, problems, warnings
		)
	if hardened or not (known_problems or section is None):
		problems += _missing_problems(sources, hardened)
	_judge_together(values, sources, problems, warnings)
	# What looks like a pattern in the bench's own path is not one.
	root = "".join(f"[{sign}]" if sign in "*?[" else sign for sign in bench.root)
	values["benches"] = tuple(os.path.join(root, path) for path in values["benches"] or (bench.sites,))
	values["disk_paths"] = values["disk_paths"] or (bench.sites, "/")
	return Config(
		bench=bench,
		hardened=hardened,
		sources=sources,
		problems=tuple(problems),
		warnings=tuple(warnings),
		file_absent=common is None,
		bench_in_maintenance=None if known_problems else bool((common or {}).get("maintenance_mode")),
		**values,
	)


def _effective(
	setting: Setting,
	in_file: Mapping[str, object],
	file_source: str,
	environ: Mapping[str, str],
	problems: list[Problem],
	warnings: list[str],
) -> tuple[object, str]:
	"""Return a setting's value and source: the environment, then the file, then the default."""
	in_environment = environ.get(setting.variable)
	if in_environment == "":
		warnings.append(message("{variable} is empty and treated as unset", variable=setting.variable))
	if in_environment:
		raw, source = setting.kind.from_text(in_environment), setting.variable
	elif setting.name in in_file:
		raw, source = in_file[setting.name], file_source
	else:
		return setting.default, DEFAULT_SOURCE
	if _is_unexpanded(raw):
		problems.append(
			Problem(setting.name, coded("setting_unexpanded", setting=setting.name, source=source))
		)
		return setting.default, source
	accepted = setting.kind.accept(raw)
	if accepted is not None:
		return accepted, source
	problems.append(invalid_setting(setting, raw, source))
	return setting.default, source


def _is_unexpanded(raw: object) -> bool:
	"""Tell whether a value holds a ${variable} that a template or an environment file should have replaced."""
	texts = raw if isinstance(raw, list | tuple) else [raw]
	return any(isinstance(text, str) and "${" in text and re.search(_UNEXPANDED, text) for text in texts)


def invalid_setting(setting: Setting, raw: object, source: str) -> Problem:
	"""Return the problem that a setting's value from `source` is not allowed; a secret value is not shown."""
	return Problem(
		setting.name,
		coded(
			"setting_invalid",
			setting=setting.name,
			value="…"
			if setting.kind.secret
			else _refused_value(raw, is_url=isinstance(setting.kind, BaseUrl)),
			source=source,
			allowed=setting.kind.allowed,
		),
	)


def _is_hardened(environ: Mapping[str, str], problems: list[Problem]) -> bool:
	value = environ.get(HARDENED_VARIABLE, "")
	if value not in ("", "0", "1"):
		problems.append(
			Problem(
				"",
				coded(
					"setting_invalid",
					setting=HARDENED_VARIABLE,
					value=_refused_value(value),
					source=coded("environment"),
					allowed=coded("allowed_hardened"),
				),
			)
		)
	return value == "1"


def _unused_settings(in_file: Mapping[str, object], file: str, environ: Mapping[str, str]) -> list[Message]:
	return [
		message(
			"{setting} in {file} is not used: in hardened mode only {variable} sets it",
			setting=setting.name,
			file=file,
			variable=setting.variable,
		)
		for setting in SETTINGS
		if setting.name in HARDENED_KEYS
		and in_file.get(setting.name) not in (None, environ.get(setting.variable))
	]


def _section(common: Mapping[str, object], file: str, problems: list[Problem]) -> Mapping[str, object] | None:
	"""Return our own part of the common configuration, None if it cannot be understood."""
	for name in sorted(_TOP_LEVEL_KEY_NAMES & common.keys()):
		problems.append(misplaced_key(name, file))
	section = common.get(CONFIG_KEY, {})
	if isinstance(section, dict):
		return section
	problems.append(
		Problem(
			"", coded("settings_unreadable", file=file, problem=coded("section_no_object", key=CONFIG_KEY))
		)
	)
	return None


def _refused_value(raw: object, *, is_url: bool = False) -> str:
	"""Return a refused value fit to show: of what may be a URL, only what is no secret."""
	try:
		value = json.dumps(redacted_value(raw, is_url), ensure_ascii=False, default=repr)
	except (ValueError, RecursionError):
		value = "…"  # nested too deeply, or a number of thousands of digits
	return sanitize(value, 120)


def _missing_problems(sources: Mapping[str, str], hardened: bool) -> Iterator[Problem]:
	code = "setting_missing_hardened" if hardened else "setting_missing"
	for setting in SETTINGS:
		if setting.required and sources[setting.name] == DEFAULT_SOURCE:
			yield Problem(setting.name, coded(code, setting=setting.name, variable=setting.variable))


def _judge_together(
	values: Mapping[str, Any], sources: Mapping[str, str], problems: list[Problem], warnings: list[str]
) -> None:
	"""Judge what only shows when settings are seen side by side, or is allowed and yet unusual."""
	interval: float = values["push_interval"]
	if not 60 <= interval <= 300:
		warnings.append(
			message(
				"push_interval = {seconds} ({source}) is outside the recommended 60 to 300 seconds",
				seconds=f"{interval:g}",
				source=sources["push_interval"],
			)
		)
	for name in ("heartbeat_url", "alert_url"):
		if values[name] and values[f"{name}_file"]:
			problems.append(Problem(name, coded("settings_conflict", first=name, second=f"{name}_file")))
	node_id: str = values["node_id"]
	if node_id != node_id.strip():
		warnings.append(
			message(
				"node_id = {node} begins or ends with a space, and is sent that way",
				node=_refused_value(node_id),
			)
		)
