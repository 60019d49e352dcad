"""The bench's `sites/common_site_config.json`, read as it stands on disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.base.messages import message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import Bench

FILE_NAME = "common_site_config.json"

_MAX_BYTES = 1 << 20
_READ_TRIES = 5
_READ_PAUSE_SECONDS = 0.04


def config_file(bench: Bench) -> str:
	"""Return the path of the file that holds the bench's common configuration."""
	return os.path.join(bench.sites, FILE_NAME)


def read_common_config(bench: Bench, sleep: Callable[[float], None] = time.sleep) -> dict[str, object]:
	"""Return the whole of `common_site_config.json`; an absent file is an empty one.

	Frappe rewrites the file in place, so a half-written one is read again for a moment. Raises ValueError
	with what is wrong if it stays unreadable.
	"""
	path = config_file(bench)
	for attempt in range(_READ_TRIES):
		if attempt:
			sleep(_READ_PAUSE_SECONDS)
		try:
			parsed = json.loads(_content(path))
		except OSError as error:
			reason = error.strerror or str(error)
			raise ValueError(
				message("{folder} cannot be read: {reason}", folder=sanitize(path), reason=reason)
			) from None
		except UnfitFile as error:
			raise ValueError(
				message("{file} {problem}", file=sanitize(path), problem=message_of(error))
			) from None
		except (ValueError, RecursionError) as error:
			reason = (
				sanitize(str(error), 200) if isinstance(error, ValueError) else message("nested too deeply")
			)
			continue
		if not isinstance(parsed, dict):
			raise ValueError(message("{file} must hold a JSON object", file=sanitize(path)))
		return parsed
	raise ValueError(message("{file} is not valid JSON: {reason}", file=sanitize(path), reason=reason))


def _content(path: str) -> str:
	try:
		return read_limited(path, _MAX_BYTES).decode("utf-8")
	except FileNotFoundError:
		if os.path.islink(path):
			raise OSError(0, message("it is a link that leads nowhere")) from None
		return "{}"
