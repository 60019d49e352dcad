"""`prego-metrics doctor`: make the checks, and print them group by group."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.status import Status
from rich.text import Text

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import Message, message
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
_COUNTED = {FAIL: "failed", WARN: "warned", PASS: "passed", SKIP: "skipped"}
_STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", SKIP: "dim"}
# Of these the name is the matter; of others the owner, the mode or the mount.
_NOT_NAMED = ("bench_not_found", "not_a_bench", "bench_name_empty", "working_directory_gone")
# These often fail because another check does, which is to be fixed before them.
_FIXED_LAST = {"triggers": 1, "last_push": 2}


@click.command(
	epilog=help_end(
		"troubleshooting.md", "prego-metrics doctor", "prego-metrics doctor --verbose --only control_plane"
	),
)
@bench_option
@click.option("--offline", is_flag=True, help="Skip all network checks.")
@click.option("--only", multiple=True, metavar="NAME", help="Run only this check (repeatable).")
@click.option("--verbose", "-v", is_flag=True, help="Show every check, not only the problems.")
@json_option
def doctor(
	bench_path: str | None, offline: bool, only: tuple[str, ...], verbose: bool, as_json: bool
) -> None:
	"""Check everything a push depends on, and say what to do. Sends no metrics.

	Shows one line per group of checks and each problem below it, on a terminal as elsewhere; colours on a terminal only.
	As `bench prego-metrics doctor` it also looks at Frappe's scheduler, workers, Redis and database.

	Exit codes: 0 nothing failed, 1 something did.
	"""
	unknown = sorted(set(only) - set(NAMES))
	if unknown:
		raise click.BadParameter(
			f"{', '.join(unknown)}: no such check. Checks: {', '.join(NAMES)}",
			param_hint="'--only'",
		)
	progress = Status("", console=Console(stderr=True, highlight=False), spinner="line")
	checks: list[Check] = []

	def announce(name: str) -> None:
		progress.update(f"looking at {name} …")
		progress.start()

	try:
		made = _made(bench_path, online=not offline, only=only, announce=announce)
		for group, of_group in itertools.groupby(made, lambda check: check.group):
			new = list(of_group)
			checks += new
			progress.stop()
			if not as_json:
				_print_group(group, new, verbose=verbose)
	finally:
		progress.stop()
	healthy = all(check.state != FAIL for check in checks)
	if as_json:
		print_json({"ok": healthy, "checks": [check.as_dict() for check in checks]})
	else:
		_print_summary(checks)
	sys.exit(0 if healthy else 1)


def _made(
	bench_path: str | None, *, online: bool, only: Collection[str], announce: Callable[[str], None]
) -> Iterator[Check]:
	"""Yield the checks as they are made, and last what keeps them from being made."""
	try:
		bench = open_bench_as_owner(bench_path)
		yield from examine(
			bench, os.environ, online=online, only=only, connect=_frappe_of(bench), announce=announce
		)
	except PregoMetricsError as error:
		action = message("name the bench with --bench PATH")
		problem = error.message.params.get("problem")
		if error.message.code not in _NOT_NAMED and not (
			isinstance(problem, Message) and problem.code == "trust_found"
		):
			action = advice(error.message, message("fix it"))
		yield Check("bench", "bench", FAIL, error.message, action)


def _frappe_of(bench: Bench) -> Callable[[Examination], Frappe] | None:
	"""Return how to ask the bench's Frappe, where this Python is the bench's."""
	if not is_frappe_at_hand(bench):
		return None
	from prego_metrics.desk.doctor.bench_frappe import BenchFrappe

	return BenchFrappe


def _print_group(group: str, checks: Sequence[Check], *, verbose: bool) -> None:
	"""Print how a group is, in one line, and below it its problems; with `verbose` all its checks."""
	counts = Counter(check.state for check in checks)
	worst = next(state for state in (FAIL, WARN, PASS, SKIP) if counts[state])
	figures = ", ".join(f"{counts[state]} {word}" for state, word in _COUNTED.items() if counts[state])
	if worst == SKIP and len({check.seen for check in checks}) == 1:
		figures = f"skipped: {checks[0].seen}"
	title = group.replace("_", " ").capitalize()
	_print_hanging(Text.assemble((f"{title:<14} ", "bold")), Text(figures, style=_STYLES[worst]))
	for check in checks:
		if verbose or check.state in (WARN, FAIL):
			finding = Text.assemble((f"{check.name}: ", "bold"), check.seen)
			_print_hanging(Text.assemble((f"  {check.state:<4} ", _STYLES[check.state])), finding)
			if check.action:
				_print_hanging(Text(" " * 7), Text(f"→ {check.action}"))


def _print_summary(checks: Sequence[Check]) -> None:
	"""Say how many problems there are, and which to fix first: a failure before a warning, a cause before its effect."""
	problems = [check for check in checks if check.state in (FAIL, WARN)]
	problems.sort(key=lambda check: (check.state != FAIL, _FIXED_LAST.get(check.name, 0)))
	screen = console()
	screen.print()
	if not problems:
		passed = sum(check.state == PASS for check in checks)
		screen.print(
			Text(
				f"No problems: {passed} of {len(checks)} checks passed, the rest were skipped.", style="bold"
			)
		)
		return
	count = "1 problem, fix it" if len(problems) == 1 else f"{len(problems)} problems, fix the first"
	_print_hanging(Text(""), Text(f"{count}: {problems[0].name} ({problems[0].action})", style="bold"))


def _print_hanging(begin: Text, sentence: Text) -> None:
	"""Print `begin` and the sentence beside it, every further line of which stands below the first's."""
	screen = console()
	for line in sentence.wrap(screen, max(20, screen.width - len(begin))):
		line.rstrip()
		screen.print(begin + line)
		begin = Text(" " * len(begin))
