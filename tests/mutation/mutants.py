"""The mutants of the push's code, by cosmic-ray's operators, and a sample of them that the seed fixes."""

from __future__ import annotations

import ast
import contextlib
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[2]
AGENT = "prego_metrics/agent"
MODULES = {
	"collectors": (
		"census.py",
		"lost_sites.py",
		"passes.py",
		"second_looks.py",
		"sites.py",
		"tenant_count.py",
	),
	"bench": ("*.py",),
	"config": ("config.py", "settings*.py", "kinds.py", "api_key.py", "secret_files.py"),
	"state": ("*.py",),
	"push": ("*.py",),
	"http": ("*.py",),
}


@dataclass(frozen=True)
class Mutant:
	"""One change of one module."""

	path: str
	line: int
	operator: str
	occurrence: int

	def apply(self, source: str) -> str:
		"""Return the changed source. Raises SyntaxError where it is none."""
		mutated = str(mutate_code(source, get_operator(self.operator)(), self.occurrence))
		ast.parse(mutated)
		return mutated

	def changed_line(self) -> str:
		return self.apply((ROOT / self.path).read_text()).splitlines()[self.line - 1].strip()

	def __str__(self) -> str:
		return f"{self.path}:{self.line} {self.operator.removeprefix('core/')}"


def mutants_of(path: str) -> dict[tuple[int, int], list[Mutant]]:
	"""Every mutant of a module, by the place of its change; annotations are never evaluated, so not theirs."""
	source = (ROOT / path).read_text()
	annotated = list(annotation_ranges(ast.parse(source)))
	tree = get_ast(source)
	mutants: dict[tuple[int, int], list[Mutant]] = defaultdict(list)
	for name in operator_names():
		operator = get_operator(name)
		# The last one fails on a list of exceptions.
		if operator.arguments() or name == "core/ExceptionReplacer":
			continue
		occurrence = 0
		for node in preorder(tree):
			for start, _ in operator().mutation_positions(node):
				if not any(begin <= start < end for begin, end in annotated):
					mutants[start].append(Mutant(path, start[0], name, occurrence))
				occurrence += 1
	return mutants


def preorder(node: object) -> Iterator[object]:
	yield node
	for child in getattr(node, "children", ()):
		yield from preorder(child)


def annotation_ranges(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
	for node in ast.walk(tree):
		for field in ("annotation", "returns"):
			annotation = getattr(node, field, None)
			if isinstance(annotation, ast.expr) and annotation.end_lineno and annotation.end_col_offset:
				yield (
					(annotation.lineno, annotation.col_offset),
					(annotation.end_lineno, annotation.end_col_offset),
				)


def sample(count: int, seed: int, only: str = "") -> list[Mutant]:
	"""Return up to `count` mutants, at as many places, chosen evenly among all places of all modules.

	`only` is a part of the paths of the modules to choose from.
	"""
	chance = random.Random(seed)
	paths = [
		str(path.relative_to(ROOT))
		for folder, patterns in MODULES.items()
		for pattern in patterns
		for path in sorted((ROOT / AGENT / folder).glob(pattern))
	]
	places = [mutants for path in paths if only in path for mutants in mutants_of(path).values()]
	chance.shuffle(places)
	chosen: list[Mutant] = []
	for mutants in places:
		mutant = chance.choice(mutants)
		with contextlib.suppress(SyntaxError):
			mutant.apply((ROOT / mutant.path).read_text())
			chosen.append(mutant)
		if len(chosen) == count:
			break
	return chosen
