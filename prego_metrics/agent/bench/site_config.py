"""A site's `site_config.json`, read quickly and as hostile input: a node may hold ten thousand of them."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable

from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.base.messages import coded, message_of

_MAX_BYTES = 1 << 20
_decoder = json.JSONDecoder()
MakeObject = Callable[[list[tuple[str, object]]], dict[str, object]]
# What these say is true of the file, for whoever reads it. All others (no descriptors, no memory, a disk or a
# server that fails) are of the process or of the file system.
_OF_THE_FILE = frozenset(
	(
		errno.ENOENT,
		errno.ENOTDIR,
		errno.EACCES,
		errno.EPERM,
		errno.ELOOP,
		errno.ENAMETOOLONG,
		errno.EISDIR,
		errno.ENXIO,
		errno.ENODEV,
	)
)


class Unreadable(Exception):
	"""A site_config.json that exists and cannot be read or parsed; the message says why."""


class Linked(Exception):
	"""A site_config.json that is a link, which was not to be followed."""


class Denied(Unreadable):
	"""It, or the folder that would hold it, may not be looked into."""


def is_process_error(error: OSError) -> bool:
	"""Tell whether an error is one of the process or the file system, and so says nothing about the file."""
	return bool(error.errno) and error.errno not in _OF_THE_FILE


def read_site_config(
	path: str, folder: int | None = None, *, follow: bool = True, make_object: MakeObject | None = None
) -> dict[str, object]:
	"""Return what a site_config.json holds; a relative path is one from `folder`, a descriptor.

	`make_object` makes each JSON object of its names and values. Without `follow`, a link may raise Linked.

	Raises FileNotFoundError or NotADirectoryError where Frappe would see none, another OSError if it is one of
	the process or the file system, and Unreadable otherwise.
	"""
	try:
		parsed = _parsed(read_limited(path, _MAX_BYTES, follow=follow, dir_fd=folder).decode(), make_object)
	except (FileNotFoundError, NotADirectoryError):
		raise
	except UnfitFile as error:
		raise Unreadable(message_of(error)) from None
	except OSError as error:
		if error.errno == errno.ELOOP:
			raise (FileNotFoundError if follow else Linked) from None
		if is_process_error(error):
			raise
		kind = Denied if isinstance(error, PermissionError) else Unreadable
		raise kind(coded("file_unreadable", reason=error.strerror)) from None
	except json.JSONDecodeError as error:
		raise Unreadable(coded("file_not_json", line=error.lineno, column=error.colno)) from None
	except (ValueError, RecursionError):  # no UTF-8, a number of thousands of digits, or nested too deeply
		raise Unreadable(coded("file_not_parsable")) from None
	if not isinstance(parsed, dict):
		raise Unreadable(coded("file_no_object"))
	return parsed


def _parsed(text: str, make_object: MakeObject | None) -> object:
	if make_object is None:
		# A fifth of what json.loads takes for such a file is spent around this call.
		try:
			parsed, end = _decoder.raw_decode(text)
		except ValueError:
			end = -1
		if end == len(text):
			return parsed
	# There are spaces around it, or something is wrong with it.
	return json.loads(text, object_pairs_hook=make_object)
