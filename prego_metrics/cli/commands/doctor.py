"""`prego-metrics doctor`: make the checks, and print them as they are made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.status import Status
from rich.text import Text

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.bench.installed_frappe import is_frappe_at_hand
from prego_metrics.cli.ui.bench import open_bench_as_owner
from prego_metrics.cli.ui.console import console
from prego_metrics.cli.ui.options import bench_option, help_end, json_option
from prego_metrics.cli.ui.output import print_json
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check
from prego_metrics.doctor.file_errors import advice
from prego_metrics.doctor.runner import NAMES, examine

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench
	from prego_metrics.doctor.check import Examination
	from prego_metrics.doctor.frappe_facts import Frappe

# Every state is a word too: colours appear on a terminal only.
_STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", SKIP: "dim"}
# Of these the name is the matter; of others the owner, the mode or the mount.
_NOT_NAMED = ("bench_not_found", "not_a_bench", "bench_name_empty", "working_directory_gone")


@click.command(
	epilog=help_end("troubleshooting.md", "prego-metrics doctor", "prego-metrics doctor --only control_plane")
)
@bench_option
@click.option("--offline", is_flag=True, help="Skip all network checks.")
@click.option("--only", multiple=True, metavar="NAME", help="Make this check alone (repeatable).")
@json_option
def doctor(bench_path: str | None, offline: bool, only: tuple[str, ...], as_json: bool) -> None:
	"""Check everything a push depends on, and say what to do. Sends no metrics.

	As `bench prego-metrics doctor` it also looks at Frappe's scheduler, workers, Redis and database.

	Exit codes: 0 nothing failed, 1 something did.
	"""
	unknown = sorted(set(only) - set(NAMES))
	if unknown:
		raise click.BadParameter(
			f"{', '.join(unknown)}: there is no such check. There are {', '.join(NAMES)}",
			param_hint="'--only'",
		)
	progress = Status("", console=Console(stderr=True, highlight=False), spinner="line")
	printer = _CheckPrinter()
	checks: list[Check] = []

	def announce(name: str) -> None:
		progress.update(f"looking at {name} …")
		progress.start()

	def add(check: Check) -> None:
		checks.append(check)
		progress.stop()
		if not as_json:
			printer.print(check)

	try:
		bench = open_bench_as_owner(bench_path)
		connect = _frappe_of(bench)
		for check in examine(
			bench, os.environ, online=not offline, only=only, connect=connect, announce=announce
		):
			add(check)
	except PregoMetricsError as error:
		action = message("name the bench with --bench PATH")
		if error.message.code not in _NOT_NAMED:
			action = advice(error.message, message("fix it as said"))
		add(Check("bench", FAIL, error.message, action))
	finally:
		progress.stop()
	printer.finish()
	healthy = all(check.state != FAIL for check in checks)
	if as_json:
		print_json({"ok": healthy, "checks": [check.as_dict() for check in checks]})
	sys.exit(0 if healthy else 1)


def _frappe_of(bench: Bench) -> Callable[[Examination], Frappe] | None:
	"""Return how to ask the bench's Frappe, where this Python is the bench's."""
	if not is_frappe_at_hand(bench):
		return None
	from prego_metrics.desk.doctor.bench_frappe import BenchFrappe

	return BenchFrappe


class _CheckPrinter:
	"""Prints each check as it comes; those skipped one after the other for one reason share a line."""

	def __init__(self) -> None:
		self._skipped: list[Check] = []

	def print(self, check: Check) -> None:
		if self._skipped and (check.state, check.seen) != (SKIP, self._skipped[0].seen):
			self.finish()
		if check.state == SKIP:
			self._skipped.append(check)
		else:
			_print_check(check)

	def finish(self) -> None:
		"""Print what is held back."""
		if self._skipped:
			_print_check(replace(self._skipped[0], name=", ".join(check.name for check in self._skipped)))
			self._skipped.clear()


def _print_check(check: Check) -> None:
	sentence = Text.assemble((f"{check.name}: ", "bold"), check.seen)
	_print_hanging(Text(f"{check.state:<4} ", style=_STYLES[check.state]), sentence)
	if check.action and check.state in (WARN, FAIL):
		_print_hanging(Text(" " * 5), Text(f"→ {check.action}"))


def _print_hanging(begin: Text, sentence: Text) -> None:
	"""Print `begin` and the sentence beside it, every further line of which stands below the first's."""
	screen = console()
	for line in sentence.wrap(screen, max(20, screen.width - len(begin))):
		screen.print(begin + line)
		begin = Text(" " * len(begin))
