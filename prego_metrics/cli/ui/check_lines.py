"""The doctor's checks as lines on a terminal. Every state is a word too: colours appear on a terminal only."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text

from prego_metrics.cli.ui.console import console
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check

_STYLES = {PASS: "green", WARN: "yellow", FAIL: "bold red", SKIP: "dim"}


class CheckPrinter:
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
