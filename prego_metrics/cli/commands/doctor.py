"""`prego-metrics doctor`: make the checks, and print them as they are made."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from prego_metrics.cli.ui.options import bench_option, json_option, open_bench_as_owner, print_json

if TYPE_CHECKING:
	from prego_metrics.agent.bench.locate import Bench
	from prego_metrics.doctor.check import Group

# Clears a line of a terminal (ECMA-48, erase in line).
_CLEAR = "\r\x1b[K"


@click.command()
@bench_option
@click.option("--offline", is_flag=True, help="Ask nobody: neither the control plane nor a name server.")
@click.option("--only", multiple=True, metavar="NAME", help="Make this check alone (repeatable).")
@json_option
def doctor(bench_path: str | None, offline: bool, only: tuple[str, ...], as_json: bool) -> None:
	"""Check everything a push depends on, and say what to do. Sends no metrics.

	As `bench prego-metrics doctor` it also looks at Frappe's scheduler, workers, Redis and database.

	Exit codes: 0 nothing failed, 1 something did.
	"""
	from prego_metrics.agent.base.errors import PregoMetricsError
	from prego_metrics.agent.base.messages import message
	from prego_metrics.cli.ui import tables
	from prego_metrics.doctor.check import FAIL, SKIP, Check
	from prego_metrics.doctor.runner import NAMES, examine

	unknown = sorted(set(only) - set(NAMES))
	if unknown:
		raise click.BadParameter(
			f"{', '.join(unknown)}: there is no such check. There are {', '.join(NAMES)}",
			param_hint="'--only'",
		)
	progress = _Progress()
	checks: list[Check] = []
	held_back: list[Check] = []

	def tell(check: Check | None) -> None:
		"""Print a check; those that are skipped one after the other for one reason become one line."""
		if held_back and not (check and check.state == SKIP and check.seen == held_back[0].seen):
			names = ", ".join(skipped.name for skipped in held_back)
			tables.print_check(Check(names, SKIP, held_back[0].seen))
			held_back.clear()
		if check and check.state == SKIP:
			held_back.append(check)
		elif check:
			tables.print_check(check)

	try:
		bench = open_bench_as_owner(bench_path)
		for check in examine(
			bench,
			os.environ,
			online=not offline,
			only=only,
			frappe_groups=_frappe_groups(bench),
			announce=progress.show,
		):
			checks.append(check)
			if not as_json:
				progress.clear()
				tell(check)
	except PregoMetricsError as error:
		checks.append(Check("bench", FAIL, str(error), message("name the bench with --bench PATH")))
		if not as_json:
			progress.clear()
			tell(checks[-1])
	finally:
		progress.clear()
	tell(None)
	healthy = all(check.state != FAIL for check in checks)
	if as_json:
		print_json({"ok": healthy, "checks": [check.as_dict() for check in checks]})
	sys.exit(0 if healthy else 1)


def _frappe_groups(bench: Bench) -> tuple[Group, ...]:
	"""Return the checks that ask Frappe itself, where this Python is the bench's."""
	from prego_metrics.agent.bench.installed_frappe import is_frappe_at_hand

	if not is_frappe_at_hand(bench):
		return ()
	from prego_metrics.desk.doctor.site import groups

	return groups()


class _Progress:
	"""A line on the terminal that says what is being looked at, and goes away again."""

	def __init__(self) -> None:
		self._is_terminal = bool(sys.stderr) and sys.stderr.isatty()
		self._shown = False

	def show(self, name: str) -> None:
		if self._is_terminal:
			click.echo(f"{_CLEAR}looking at {name} …", nl=False, err=True)
			self._shown = True

	def clear(self) -> None:
		if self._shown:
			click.echo(_CLEAR, nl=False, err=True)
			self._shown = False
