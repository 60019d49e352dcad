"""The settings as they are shown: each with its value and its source, and of the key only the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.config.settings import SETTINGS


def settings_as_dict(config: Config, environ: Mapping[str, str]) -> dict[str, Any]:
	"""Return the settings in force, each with its source; of the key only the source."""
	key_source, _ = _key_source(config, environ)
	return {
		"settings": {
			setting.name: {"value": _shown(config, setting.name), "source": config.sources[setting.name]}
			for setting in SETTINGS
		},
		"api_key": key_source,
		"problems": [problem.message for problem in config.problems],
		"warnings": list(config.warnings),
	}


def _shown(config: Config, name: str) -> Any:
	value = getattr(config, name)
	if isinstance(value, float) and value.is_integer():
		return int(value)
	if name == "heartbeat_url" and value:
		from urllib.parse import urlsplit

		parts = urlsplit(value)
		return f"{parts.scheme}://{parts.netloc}/…"
	return list(value) if isinstance(value, tuple) else value


def _key_source(config: Config, environ: Mapping[str, str]) -> tuple[str | None, str]:
	from prego_metrics.agent.config.api_key import load_api_key

	try:
		key, _ = load_api_key(config, environ)
	except ConfigurationError as error:
		return None, str(error)
	return key.source, ""
