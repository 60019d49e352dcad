"""Where the bearer key is taken from. Nothing here reads it: each run leaves the place in its sign of life."""

from __future__ import annotations

import os
from collections.abc import Mapping

KEY_VARIABLE = "INTERNAL_API_KEY"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIAL_NAME = "internal_api_key"
CREDENTIAL = f"${CREDENTIALS_VARIABLE}/{CREDENTIAL_NAME}"


def key_place(api_key_file: str | None, environ: Mapping[str, str]) -> str:
	"""Return where the key is taken from, a variable or a file; empty if from nowhere."""
	if environ.get(KEY_VARIABLE):
		return KEY_VARIABLE
	return CREDENTIAL if credential_path(environ) else api_key_file or ""


def credential_path(environ: Mapping[str, str]) -> str | None:
	"""Return the path of systemd's credential, if there is one."""
	path = os.path.join(environ.get(CREDENTIALS_VARIABLE) or "", CREDENTIAL_NAME)
	return path if os.path.isabs(path) and os.path.lexists(path) else None
