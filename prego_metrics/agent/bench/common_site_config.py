"""The bench's `sites/common_site_config.json`, read as it stands on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.redaction import shown_name
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench
from prego_metrics.agent.bench.site_config import Unreadable, read_site_config

FILE_NAME = "common_site_config.json"
# The key of our own part of it.
SECTION_KEY = "prego_metrics"

_READ_TRIES = 5
_READ_PAUSE_SECONDS = 0.04


def config_file(bench: Bench) -> str:
	"""Return the path of the file that holds the bench's common configuration."""
	return os.path.join(bench.sites, FILE_NAME)


def read_common_config(bench: Bench, sleep: Callable[[float], None] = time.sleep) -> dict[str, object]:
	"""Return the whole of `common_site_config.json`; an absent file is an empty one.

	Raises ConfigurationError if it stays unreadable.
	"""
	return find_common_config(bench, sleep) or {}


def find_common_config(bench: Bench, sleep: Callable[[float], None] = time.sleep) -> dict[str, object] | None:
	"""Return the whole of `common_site_config.json`, or None if there is none.

	Frappe rewrites the file in place, and editors rename the old one away: a half-written or absent one is read
	again for a moment. Raises ConfigurationError if it stays unreadable, or names our part, or one of our settings,
	twice.
	"""
	path = config_file(bench)
	for attempt in range(_READ_TRIES):
		if attempt:
			sleep(_READ_PAUSE_SECONDS)
		try:
			return _read(path)
		except (FileNotFoundError, NotADirectoryError):
			problem: str = coded("file_dangling") if os.path.islink(path) else ""
		except Unreadable as error:
			problem = error.args[0]
		except OSError as error:
			problem = coded("file_unreadable", reason=error.strerror)
	if not problem:
		return None
	raise ConfigurationError(
		[Problem("", coded("settings_unreadable", file=sanitize(path), problem=problem))]
	)


def _read(path: str) -> dict[str, object]:
	repeated: list[tuple[dict[str, object], set[str]]] = []

	def make_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
		made = dict(pairs)
		if len(made) < len(pairs):
			names = [name for name, _ in pairs]
			repeated.append((made, {name for name in made if names.count(name) > 1}))
		return made

	config = read_site_config(path, make_object=make_object)
	section = config.get(SECTION_KEY)
	for made, names in repeated:
		# Of a name that is written twice the last one counts, and the other is lost in silence.
		ours = names & {SECTION_KEY} if made is config else names if made is section else set()
		if ours:
			raise Unreadable(coded("name_repeated", name=shown_name(min(ours))))
	return config
