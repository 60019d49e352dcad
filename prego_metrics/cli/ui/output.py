"""Tell a person how a push ended: results to stdout, the rest to stderr. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench


import io
from typing import TYPE_CHECKING, TextIO

from prego_metrics.agent.push.result import Result, summary
from prego_metrics.agent.push.triggers import started_by_systemd
from prego_metrics.agent.state.outcomes import DRY_RUN

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench


def report(ended: Result, *, as_json: bool = False) -> None:
	"""Print how a push ended.

	A scheduled push that had nothing to do, or that was delivered, says nothing on stdout unless somebody
	is looking or systemd's journal takes it: cron mails every line.
	"""
	report_trouble(ended, failure=not as_json)
	if as_json:
		print_line(json.dumps(ended.as_dict()), sys.stdout)
	elif ended.outcome == DRY_RUN:
		print_line(json.dumps(ended.payload), sys.stdout)
	elif ended.exit_code == 0 and (not ended.scheduled or _is_read()):
		print_line(summary(ended), sys.stdout)


def report_alerts(ended: Result, bench: Bench, channel: str) -> None:
	"""Print what `channel` has not told yet, and nothing else: that pushes fail, or are delivered again.

	What could not be recorded cannot be claimed either, and is printed each time. Raises ChannelError.
	"""
	from prego_metrics.agent.alerts.outbox import take_unsent_alerts
	from prego_metrics.agent.config.config import load_config
	from prego_metrics.agent.state.model import OUTCOMES
	from prego_metrics.agent.state.store import StateFolder

	folder = StateFolder(bench.sites)
	alerts = take_unsent_alerts(folder, channel, load_config(bench, os.environ))
	if alerts is not None:
		print_line(alerts, sys.stdout)
	elif ended.outcome in OUTCOMES:
		last = folder.read()[0].last
		if last is None or last.at < ended.at:
			report_trouble(ended)


def report_trouble(ended: Result, *, failure: bool = True) -> None:
	"""Print to stderr what to be warned of and, with `failure`, why a push was not delivered."""
	for warning in ended.warnings:
		_print_error(f"Warning: {warning}")
	if failure and ended.exit_code:
		_print_error(summary(ended))


def escape_what_cannot_be_encoded() -> None:
	"""Let stdout and stderr write an escape, and not fail, where their encoding lacks a character."""
	for stream in (sys.stdout, sys.stderr):
		if isinstance(stream, io.TextIOWrapper):
			stream.reconfigure(errors="backslashreplace")


def discard(stream: TextIO | None) -> None:
	"""Send what a stream still holds nowhere: else the interpreter fails once more when it ends."""
	try:
		if stream:
			os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
	except (OSError, ValueError):
		pass  # it has no file of its own, so nothing is left to fail


def _is_read() -> bool:
	return bool(sys.stdout and sys.stdout.isatty()) or started_by_systemd(os.environ)


def print_line(text: str, stream: TextIO | None) -> None:
	"""Print a line. Who reads it may be gone, or its disk full: that changes nothing of how the push ended."""
	if stream is None:
		return  # closed by whoever started us
	try:
		print(text, file=stream, flush=True)
	except OSError:
		discard(stream)


def _print_error(text: str) -> None:
	print_line(text, sys.stderr)
