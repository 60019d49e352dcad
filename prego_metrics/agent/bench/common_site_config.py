"""The bench's `sites/common_site_config.json`, read as it stands on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config

FILE_NAME = "common_site_config.json"

_READ_TRIES = 5
_READ_PAUSE_SECONDS = 0.04


def config_file(bench: Bench) -> str:
	"""Return the path of the file that holds the bench's common configuration."""
	return os.path.join(bench.sites, FILE_NAME)


def read_common_config(bench: Bench, sleep: Callable[[float], None] = time.sleep) -> dict[str, object]:
	"""Return the whole of `common_site_config.json`; an absent file is an empty one.

	Frappe rewrites the file in place, so a half-written one is read again for a moment. Raises
	ConfigurationError if it stays unreadable.
	"""
	path = config_file(bench)
	for attempt in range(_READ_TRIES):
		if attempt:
			sleep(_READ_PAUSE_SECONDS)
		try:
			return read_site_config(path)
		except (FileNotFoundError, NotADirectoryError):
			if not os.path.islink(path):
				return {}
			problem: str = coded("file_dangling")
		except Unreadable as error:
			problem = error.args[0]
		except OSError as error:
			problem = coded("file_unreadable", reason=error.strerror)
	raise ConfigurationError(
		[Problem("", coded("settings_unreadable", file=sanitize(path), problem=problem))]
	)
