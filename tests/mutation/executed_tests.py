"""Which tests execute a place of the code: only they can notice that it was changed."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chosen_tests import TESTS
from line_tracer import LINES, NO_TEST

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Test:
	"""A test by pytest's ID, and how long it took."""

	id: str
	seconds: float

	@property
	def file(self) -> str:
		return self.id.partition("::")[0]

	@property
	def limit_seconds(self) -> float:
		"""So much more than it took that no load explains it."""
		return 30.0 + 20.0 * self.seconds


@dataclass
class ExecutedTests:
	"""The tests that pass without a mutation, and what each executed."""

	passed: list[Test] = field(default_factory=list)
	failed: list[str] = field(default_factory=list)
	# By module and line.
	by_line: dict[tuple[str, int], set[Test]] = field(default_factory=lambda: defaultdict(set))

	def read(self, records: Path, root: str) -> None:
		"""Add what a run in the repository `root` recorded."""
		tests: dict[str, Test] = {}
		for record in (records / TESTS).read_text().splitlines():
			number, seconds, passed, name = record.split("\t", 3)
			if int(passed):
				tests[number] = Test(name, float(seconds))
			else:
				self.failed.append(name)
		self.passed += tests.values()
		for record in (records / LINES).read_text().splitlines():
			number, path, line = record.split("\t")
			if number != NO_TEST and number in tests:
				self.by_line[path.removeprefix(f"{root}/"), int(line)].add(tests[number])

	def stages(self, path: str, source: str, line: int) -> list[list[Test]]:
		"""Return the tests to run for a change of this line: those of the module's name, then all others.

		A line of a function is noticed by the tests that execute it. A line that is executed at the import, by
		those that execute any function of the module, and by those in the folder of its package or above it.
		"""
		tree = ast.parse(source)
		lines, in_function = statement_at(tree, line)
		beside = f"tests/{Path(path).parent.relative_to('prego_metrics')}/"
		found = set() if in_function else {test for test in self.passed if is_about(test.file, beside)}
		for number in lines if in_function else lines_of_functions(tree):
			found |= self.by_line.get((path, number), set())
		named = f"/test_{Path(path).stem}"
		ordered = sorted(found, key=lambda test: (not test.file.startswith(beside), test.seconds, test.id))
		own = [test for test in ordered if test.file.startswith(beside) and named in test.file]
		return [stage for stage in (own, [test for test in ordered if test not in own]) if stage]


def is_about(file: str, folder: str) -> bool:
	"""Tell whether a file of tests lies in the folder, or in one that holds it."""
	return file.startswith(folder) or folder.startswith(file[: file.rindex("/") + 1])


def statement_at(tree: ast.Module, line: int) -> tuple[range, bool]:
	"""Return the lines of the innermost statement (of a compound one, its head) and whether a function holds it."""
	found = (range(line, line + 1), False)
	for start, end, in_function in statements(tree):
		if start <= line <= end:
			found = (range(start, end + 1), in_function)
	return found


def statements(node: ast.AST, in_function: bool = False) -> Iterator[tuple[int, int, bool]]:
	"""Yield first line, last line and whether it is in a function, of each statement after those that hold it."""
	for child in ast.iter_child_nodes(node):
		if isinstance(child, (ast.stmt, ast.ExceptHandler)):
			body = getattr(child, "body", None)
			decorators = [decorator.lineno for decorator in getattr(child, "decorator_list", ())]
			end = max(child.lineno, body[0].lineno - 1) if body else child.end_lineno or child.lineno
			yield min([child.lineno, *decorators]), end, in_function
		yield from statements(child, in_function or isinstance(child, _FUNCTIONS))


def lines_of_functions(tree: ast.Module) -> Iterator[int]:
	for start, end, in_function in statements(tree):
		if in_function:
			yield from range(start, end + 1)
