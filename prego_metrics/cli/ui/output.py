"""Tell a person how a push ended: results to stdout, the rest to stderr. Imports nothing heavy."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from prego_metrics.agent.base.messages import Wording, joined, wording
from prego_metrics.agent.base.sanitize import printable
from prego_metrics.agent.push import result
from prego_metrics.agent.push.result import Result, percent_word
from prego_metrics.agent.state.effective import started_by_systemd

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
	elif ended.outcome == result.DRY_RUN:
		print_line(json.dumps(ended.payload), sys.stdout)
	elif ended.exit_code == 0 and (not ended.scheduled or _is_read()):
		print_line(summary(ended), sys.stdout)


def report_news(ended: Result, bench: Bench, channel: str) -> None:
	"""Print what `channel` has not told yet, and nothing else: that pushes fail, or are delivered again.

	What could not be recorded cannot be claimed either, and is printed each time. Raises ChannelError.
	"""
	from prego_metrics.agent.alerts.outbox import claim_news
	from prego_metrics.agent.config.config import load_config
	from prego_metrics.agent.state.model import OUTCOMES
	from prego_metrics.agent.state.store import StateFolder

	folder = StateFolder(bench.sites)
	news = claim_news(folder, channel, load_config(bench, os.environ))
	if news is not None:
		print_line(news, sys.stdout)
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


def summary(ended: Result) -> Wording:
	"""Return one sentence, or for several problems a few lines, that say how a push ended."""
	if ended.outcome == result.DELIVERED:
		return wording(
			"Delivered in {duration_ms} ms: {figures}", duration_ms=ended.duration_ms, figures=_figures(ended)
		)
	if ended.outcome == result.NOT_DUE:
		return wording("Not due yet: nothing sent")
	if ended.outcome == result.BUSY:
		return wording("Busy: {error}", error=ended.error)
	if ended.outcome == result.NOT_SENT:
		return wording("Not sent: {error}", error=ended.error)
	if ended.outcome == result.REFUSED:
		sentence = wording("Refused: {error}", error=ended.error)
	else:
		sentence = wording("Failed: {error}", error=ended.error)
	if ended.attempts < 2:
		return sentence
	return wording("{sentence} (after {attempts} attempts)", sentence=sentence, attempts=ended.attempts)


def _figures(ended: Result) -> Wording:
	payload = ended.payload or {}
	figures = [
		wording(
			"{node} has {tenants} tenants",
			node=printable(str(payload.get("node_id"))),
			tenants=payload.get("tenant_count"),
		)
	]
	figures.append(
		wording(
			"cpu {cpu}, memory {memory}, disk {disk}",
			cpu=percent_word(payload.get("cpu_pct")),
			memory=percent_word(payload.get("memory_pct")),
			disk=percent_word(payload.get("disk_pct")),
		)
	)
	if payload.get("save_snapshot"):
		figures.append(wording("with a snapshot"))
	return joined(figures, ", ")


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
