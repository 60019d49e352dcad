"""A site's `site_config.json`, read quickly and as hostile input: a node may hold ten thousand of them."""

from __future__ import annotations

import errno
import json

from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.base.messages import message, message_of

_MAX_CONFIG_BYTES = 1 << 20
_JSON_SPACE = " \t\n\r"
_parse_json = json.JSONDecoder().raw_decode


class Unreadable(Exception):
	"""A site_config.json that exists and cannot be read or parsed; the message says why."""


class Denied(Unreadable):
	"""It, or the folder that would hold it, may not be looked into."""


def read_site_config(path: str, folder: int | None = None) -> dict[str, object]:
	"""Return what a site_config.json holds; a relative path is one from `folder`, a descriptor.

	Raises FileNotFoundError or NotADirectoryError where Frappe would see none, Unreadable otherwise.
	"""
	try:
		content = read_limited(path, _MAX_CONFIG_BYTES, dir_fd=folder)
		# What json.loads does, less its searches for an encoding and for spaces.
		text = content.decode().strip(_JSON_SPACE)
		parsed, end = _parse_json(text)
		if end != len(text):
			raise ValueError
	except (FileNotFoundError, NotADirectoryError):
		raise
	except UnfitFile as error:
		raise Unreadable(message_of(error)) from None
	except OSError as error:
		if error.errno == errno.ELOOP:
			raise FileNotFoundError from None
		kind = Denied if isinstance(error, PermissionError) else Unreadable
		raise kind(message("cannot be read ({reason})", reason=error.strerror)) from None
	except (ValueError, RecursionError):
		raise Unreadable(message("cannot be parsed")) from None
	if not isinstance(parsed, dict):
		raise Unreadable(message("holds no JSON object"))
	return parsed
