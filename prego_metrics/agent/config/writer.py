"""Write settings into `common_site_config.json`, and keep everything else in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.files import replace_atomically
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.common_site_config import config_file, read_common_config
from prego_metrics.agent.bench.installed_frappe import TICK_KEY
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.config.config import COMMAND_LINE, CONFIG_KEY, Config, judge_config
from prego_metrics.agent.config.names import unknown_setting
from prego_metrics.agent.config.settings import SETTING_BY_NAME, SETTINGS, Setting
from prego_metrics.agent.light_typing import Any

_TRIES = 5


def write_settings(
	bench: Bench,
	changes: Mapping[str, Any],
	unset: Iterable[str],
	environ: Mapping[str, str],
	tick_seconds: int | None = None,
) -> Config:
	"""Set `changes` and remove `unset`, and return the configuration that then holds.

	With `tick_seconds`, Frappe's own scheduler_tick_interval is set too.

	The file is replaced atomically and keeps its mode; another program's change in the meantime is not
	overwritten. Raises ConfigurationError, and writes nothing, if a value is wrong.
	"""
	names_to_remove = tuple(unset)
	path = os.path.realpath(config_file(bench))
	for _ in range(_TRIES):
		before = _stamp(path)
		common = read_common_config(bench)
		section = common.get(CONFIG_KEY, {})
		if not isinstance(section, dict):
			raise ConfigurationError(judge_config(bench, common, {}).problems)
		removed = frozenset(_name_in_file(name, section) for name in names_to_remove)
		merged = {name: value for name, value in {**section, **changes}.items() if name not in removed}
		changed = {**common, CONFIG_KEY: merged}
		if tick_seconds is not None:
			changed[TICK_KEY] = tick_seconds
		old_problems = judge_config(bench, common, {}).problems
		problems = [
			problem
			for problem in judge_config(bench, changed, {}, given=changes).problems
			if not problem.key
			or problem.key in changes
			or not (problem in old_problems or problem.key in removed)
		]
		if problems:
			raise ConfigurationError(problems)
		if _replace(path, changed, before):
			return judge_config(bench, changed, environ)
	raise _not_written(path, "another program is changing it: try again")


def _name_in_file(name: str, section: Mapping[str, object]) -> str:
	"""Return the name to remove, of a setting or of anything in the file; an option's dashes are allowed.

	Raises ConfigurationError for any other name.
	"""
	for candidate in (name, name.replace("-", "_")):
		if candidate in section or candidate in SETTING_BY_NAME:
			return candidate
	raise ConfigurationError([unknown_setting(name, COMMAND_LINE)])


def _stamp(path: str) -> tuple[int, int, int] | None:
	try:
		status = os.stat(path)
	except FileNotFoundError:
		return None
	return status.st_ino, status.st_mtime_ns, status.st_size


def _replace(path: str, content: Mapping[str, Any], before: tuple[int, int, int] | None) -> bool:
	"""Replace the file, unless it changed since `before`; tell whether it was replaced."""
	try:
		# Frappe's own layout: an indent of one.
		encoded = json.dumps(content, indent=1).encode("ascii") + b"\n"
		return replace_atomically(
			path,
			encoded,
			mode=0o644,
			like=os.stat(path) if before else None,
			unchanged=lambda: _stamp(path) == before,
		)
	except OSError as error:
		raise _not_written(path, error.strerror or str(error)) from None
	except RecursionError:
		raise _not_written(path, "it is nested too deeply") from None


def _not_written(path: str, reason: str) -> ConfigurationError:
	return ConfigurationError(
		[Problem("", coded("settings_not_written", file=sanitize(path), reason=reason))]
	)


def missing_settings(config: Config) -> list[Setting]:
	"""Return the required settings that are not set."""
	return [setting for setting in SETTINGS if setting.required and not getattr(config, setting.name)]


def json_values(options: Mapping[str, str | tuple[str, ...]]) -> dict[str, Any]:
	"""Return the options of the command line as the JSON values that the file holds, unchecked."""
	return {
		name: list(value) if isinstance(value, tuple) else SETTING_BY_NAME[name].kind.from_text(value)
		for name, value in options.items()
	}
