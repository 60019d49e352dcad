"""The bearer key: where it comes from, how it is kept from being shown, and how `configure` writes its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.messages import Message, coded, message, message_of
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.key_place import CREDENTIAL, KEY_VARIABLE, credential_path
from prego_metrics.agent.config.secret_files import read_secret_file, write_secret_file


def load_api_key(
	api_key_file: str | None, environ: Mapping[str, str], problems: Iterable[Problem] = ()
) -> tuple[Secret, list[str]]:
	"""Return the bearer key and warnings about it; `problems` are known of the configuration.

	The order: INTERNAL_API_KEY in the environment, systemd's credential, `api_key_file`. Raises
	ConfigurationError; neither its message nor its traceback holds a part of the key.
	"""
	try:
		return _load(api_key_file, environ, problems)
	except ConfigurationError as error:
		refused = error.with_traceback(None)
		refused.__context__ = None
	# Loggers that print a traceback's local variables would print the environment.
	del environ
	raise refused


def _load(
	api_key_file: str | None, environ: Mapping[str, str], problems: Iterable[Problem]
) -> tuple[Secret, list[str]]:
	warnings: list[str] = []
	key = environ.get(KEY_VARIABLE)
	if key:
		return checked_key(key, KEY_VARIABLE), warnings
	if key == "":
		warnings.append(message("{variable} is empty and treated as unset", variable=KEY_VARIABLE))
	credential = credential_path(environ)
	if credential:
		return _from_file(credential, CREDENTIAL, checked=False), warnings
	if api_key_file:
		return _from_file(api_key_file, "api_key_file", checked=True), warnings
	missing = Problem("api_key_file", coded("key_missing", variable=KEY_VARIABLE))
	raise ConfigurationError([*(problem for problem in problems if problem.key == "api_key_file"), missing])


def _from_file(path: str, source: str, *, checked: bool) -> Secret:
	try:
		key = read_secret_file(path, checked=checked)
	except ValueError as error:
		raise _key_error(coded("key_unreadable", source=source, problem=message_of(error))) from None
	return checked_key(key, source if not checked else f"{source} {sanitize(path)}")


def checked_key(key: str, source: str) -> Secret:
	"""Return `key` as a secret. Raises ConfigurationError, with no part of it, for what no key can be."""
	if not key:
		raise _key_error(coded("key_invalid", source=source, problem=coded("key_empty")))
	if key.startswith("${") and key.endswith("}"):
		raise _key_error(coded("key_invalid", source=source, problem=coded("key_unexpanded")))
	if not all(0x21 <= ord(character) <= 0x7E for character in key):
		raise _key_error(coded("key_invalid", source=source, problem=coded("key_unprintable")))
	return Secret(key, source)


def write_api_key(path: str, line: str) -> None:
	"""Write the key in `line`, less a line end, to the file at `path`, as `write_secret_file` does.

	Raises ConfigurationError, with no part of the key.
	"""
	key = checked_key(line.removesuffix("\n").removesuffix("\r"), "standard input")
	try:
		write_secret_file(path, key.reveal())
	except ValueError as error:
		raise _key_error(coded("key_not_written", problem=message_of(error))) from None


def _key_error(sentence: Message) -> ConfigurationError:
	return ConfigurationError([Problem("api_key_file", sentence)])
