"""Lines, JSON and errors on stdout and stderr. Imports nothing heavy: a scheduled push uses it every minute."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping

from prego_metrics.agent.base.messages import code_of
from prego_metrics.agent.light_typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
	from prego_metrics.agent.base.errors import PregoMetricsError


def print_json(content: Mapping[str, Any]) -> None:
	"""Print a result as one line of JSON. Raises OSError if it cannot be written."""
	print(json.dumps(content), flush=True)


def fail(error: PregoMetricsError | str, *, json_with: Mapping[str, Any] | None = None) -> NoReturn:
	"""Print one error and end with exit code 2; with `json_with`, which goes beside it, also as JSON on stdout."""
	problem = error if isinstance(error, str) else error.message
	if json_with is not None:
		print_json({**json_with, "error": problem, "error_code": code_of(problem) or "command_failed"})
	print_line(f"Error: {problem}", sys.stderr)
	sys.exit(2)


def print_warning(warning: str) -> None:
	"""Print to stderr what does not keep a command from its work."""
	print_line(f"Warning: {warning}", sys.stderr)


def print_line(line: str, stream: TextIO | None) -> None:
	"""Print a line. A reader that is gone, or a full disk, changes nothing of how a push ended."""
	if stream is None:
		return  # closed by whoever started us
	try:
		print(line, file=stream, flush=True)
	except OSError:
		discard(stream)


def discard(stream: TextIO | None) -> None:
	"""Send what a stream still holds nowhere: else the interpreter fails once more when it ends."""
	try:
		if stream:
			os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
	except (OSError, ValueError):
		pass  # it has no file of its own, so nothing is left to fail


def escape_what_cannot_be_encoded() -> None:
	"""Let stdout and stderr write an escape, and not fail, where their encoding lacks a character."""
	for stream in (sys.stdout, sys.stderr):
		if isinstance(stream, io.TextIOWrapper):
			stream.reconfigure(errors="backslashreplace")
