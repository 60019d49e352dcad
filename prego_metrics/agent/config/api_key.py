"""The bearer key: where it comes from, and how it is kept from being shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from prego_metrics.agent.base.errors import ConfigurationError, Problem
from prego_metrics.agent.base.messages import message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.agent.config.secret_files import read_secret_file

KEY_VARIABLE = "INTERNAL_API_KEY"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIAL_NAME = "internal_api_key"


class KeySettings(Protocol):
	"""What is to be known of the key's file: a bench's Config, or what stands for it off the nodes."""

	@property
	def api_key_file(self) -> str | None: ...

	@property
	def problems(self) -> tuple[Problem, ...]: ...


def load_api_key(config: KeySettings, environ: Mapping[str, str]) -> tuple[Secret, list[str]]:
	"""Return the bearer key and warnings about it.

	The order: INTERNAL_API_KEY in the environment, systemd's credential, `api_key_file`. Raises
	ConfigurationError; neither its message nor its traceback holds a part of the key.
	"""
	try:
		return _load(config, environ)
	except ConfigurationError as error:
		refused = error.with_traceback(None)
		refused.__context__ = None
	# Loggers that print a traceback's local variables would print the environment.
	del environ
	raise refused


def _load(config: KeySettings, environ: Mapping[str, str]) -> tuple[Secret, list[str]]:
	warnings: list[str] = []
	text = environ.get(KEY_VARIABLE)
	if text:
		return checked_key(text, KEY_VARIABLE), warnings
	if text == "":
		warnings.append(message("{variable} is empty and counts as unset", variable=KEY_VARIABLE))
	directory = environ.get(CREDENTIALS_VARIABLE)
	if directory:
		path = os.path.join(directory, CREDENTIAL_NAME)
		if os.path.lexists(path):
			return _from_file(path, f"${CREDENTIALS_VARIABLE}/{CREDENTIAL_NAME}", checked=False), warnings
	if config.api_key_file:
		return _from_file(config.api_key_file, "api_key_file", checked=True), warnings
	raise ConfigurationError(
		[
			*(problem for problem in config.problems if problem.key == "api_key_file"),
			Problem(
				"api_key_file",
				message(
					"there is no key: set {variable} in the environment of the push, or api_key_file to a 0600 "
					"file outside sites/",
					variable=KEY_VARIABLE,
				),
			),
		]
	)


def _from_file(path: str, source: str, *, checked: bool) -> Secret:
	try:
		text = read_secret_file(path, checked=checked)
	except ValueError as error:
		text = message("{source}: {problem}", source=source, problem=message_of(error))
		raise ConfigurationError([Problem("api_key_file", text)]) from None
	return checked_key(text, source if not checked else f"{source} {sanitize(path)}")


def checked_key(text: str, source: str) -> Secret:
	"""Return a key that is one. Raises ConfigurationError, with no part of it."""
	if not text:
		wrong = message("the key from {source} is empty: write it anew", source=source)
	elif not all(0x21 <= ord(character) <= 0x7E for character in text):
		wrong = message(
			"the key from {source} holds a character that is not printable ASCII (a space, a line end, a letter "
			"with an accent): write it anew",
			source=source,
		)
	else:
		return Secret(text, source)
	raise ConfigurationError([Problem("api_key_file", wrong)])
