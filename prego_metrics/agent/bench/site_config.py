"""A site's `site_config.json`, read quickly and as hostile input: a node may hold ten thousand of them."""

from __future__ import annotations

import errno
import json
import os
import stat

from prego_metrics.agent.base.messages import message

_USUAL_CONFIG_BYTES = 1 << 12
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
		# O_NONBLOCK: a FIFO of that name must not hold up the count.
		descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
		try:
			content = _content(descriptor)
		finally:
			os.close(descriptor)
		# What json.loads does, less its searches for an encoding and for spaces.
		text = content.decode().strip(_JSON_SPACE)
		parsed, end = _parse_json(text)
		if end != len(text):
			raise ValueError
	except (FileNotFoundError, NotADirectoryError):
		raise
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


def _content(descriptor: int) -> bytes:
	"""Return what a file holds. Raises Unreadable for what is no file or too large a one.

	One call does for nearly every site: pipes, terminals and folders refuse it, devices return nothing or
	fill the buffer, and only then is it worth asking what it is.
	"""
	try:
		content = os.pread(descriptor, _USUAL_CONFIG_BYTES, 0)
		if 0 < len(content) < _USUAL_CONFIG_BYTES:
			return content
	except OSError:
		pass
	found = os.fstat(descriptor)
	if not stat.S_ISREG(found.st_mode):
		raise Unreadable(message("is not a regular file"))
	if found.st_size > _MAX_CONFIG_BYTES:
		raise Unreadable(message("is larger than 1 MiB"))
	return os.pread(descriptor, _MAX_CONFIG_BYTES, 0)
