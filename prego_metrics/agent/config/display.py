"""The effective settings as `configure --show`, its JSON and the Desk show them: of a secret only its source."""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.settings import SETTINGS, Setting
from prego_metrics.agent.light_typing import Any


def settings_as_dict(config: Config, environ: Mapping[str, str]) -> dict[str, Any]:
	"""Return the effective settings, each with its source; of the key only the source."""
	return {
		"settings": {
			setting.name: {"value": shown_value(config, setting), "source": config.sources[setting.name]}
			for setting in SETTINGS
		},
		"api_key": key_source(config, environ)[0],
		"problems": [problem.message for problem in config.problems],
		"problem_codes": [problem.message.code for problem in config.problems],
		"warnings": list(config.warnings),
	}


def shown_value(config: Config, setting: Setting) -> object:
	"""Return a setting's effective value as JSON has it, None if it is not set."""
	value = getattr(config, setting.name)
	return None if value is None else setting.kind.as_json(value)


def key_source(config: Config, environ: Mapping[str, str]) -> tuple[str | None, str]:
	"""Return where the key comes from; None, and why, if there is none to use."""
	from prego_metrics.agent.config.api_key import load_api_key

	try:
		key, _ = load_api_key(config.api_key_file, environ, config.problems)
	except ConfigurationError as error:
		return None, str(error)
	return key.source, ""
