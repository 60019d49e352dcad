"""Change the code of the push one token at a time, and see whether a test fails: `make mutation`.

The mutations are cosmic-ray's operators. A sample of them (fixed by the seed) is tried in copies of the
repository, each with the tests that mirror the module first and then those of the whole push.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import queue
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
AGENT = "prego_metrics/agent"
# What is mutated, and the tests that may notice.
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
	"push": ("push.py", "payload.py", "delivery.py", "request.py", "result.py"),
	"http": ("*.py",),
}
THE_WHOLE_PUSH = (
	"tests/agent/push",
	"tests/scenarios",
	"tests/cli/commands/test_push_command.py",
	"tests/cli/commands/test_scheduled.py",
)


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


def sample(count: int, seed: int) -> list[Mutant]:
	"""Return `count` mutants, at as many places, chosen evenly among all places of all modules."""
	chance = random.Random(seed)
	places = [
		mutants
		for folder, patterns in MODULES.items()
		for pattern in patterns
		for path in sorted((ROOT / AGENT / folder).glob(pattern))
		for mutants in mutants_of(str(path.relative_to(ROOT))).values()
	]
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


def stages_for(path: str) -> list[list[str]]:
	"""The tests that may notice a mutant of a module: those named as it, those beside them, those of a push."""
	folder, module = Path(path).parent.name, Path(path).stem
	beside = f"tests/agent/{folder}"
	own = sorted(str(test.relative_to(ROOT)) for test in (ROOT / beside).rglob(f"test_{module}*.py"))
	stages = (own, [beside] if (ROOT / beside).is_dir() else [], list(THE_WHOLE_PUSH))
	return [stage for stage in stages if stage]


class Copy:
	"""A copy of the repository with an environment whose prego_metrics is the copy's."""

	def __init__(self, folder: Path) -> None:
		self.root = folder / "repository"
		tracked = subprocess.run(
			["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
		)
		for name in filter(None, tracked.stdout.split("\0")):
			(self.root / name).parent.mkdir(parents=True, exist_ok=True)
			shutil.copy2(ROOT / name, self.root / name)
		subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "environment"], check=True)
		self._writes = 0
		self._python = str(folder / "environment/bin/python")
		(site_packages,) = (folder / "environment").glob("lib/python3*/site-packages")
		(site_packages / "copy.pth").write_text(f"{self.root}\n{sysconfig.get_path('purelib')}\n")

	def passes(self, tests: list[str], timeout: float) -> bool:
		"""Tell whether the tests pass in time."""
		process = subprocess.Popen(
			[
				*(self._python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
				*("--numprocesses=0", "-m", "not bench", *tests),
			],
			cwd=self.root,
			stdin=subprocess.DEVNULL,
			stdout=subprocess.DEVNULL,
			stderr=subprocess.DEVNULL,
			start_new_session=True,
		)
		try:
			return process.wait(timeout) == 0
		except subprocess.TimeoutExpired:
			return False
		finally:
			if process.poll() is None:
				os.killpg(process.pid, 9)
				process.wait()

	def survives(self, mutant: Mutant, timeout: float) -> bool:
		"""Tell whether no test notices the mutant."""
		source = (ROOT / mutant.path).read_text()
		try:
			self._write(mutant.path, mutant.apply(source))
			return all(self.passes(stage, timeout) for stage in stages_for(mutant.path))
		finally:
			self._write(mutant.path, source)

	def _write(self, path: str, source: str) -> None:
		"""Write a module with a time of its own, by which Python knows that its cached bytecode is old."""
		(self.root / path).write_text(source)
		self._writes += 1
		os.utime(self.root / path, (self._writes, self._writes))


def main() -> int:
	parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
	parser.add_argument("--sample", type=int, default=200, help="how many mutants (default: 200)")
	parser.add_argument("--seed", type=int, default=1, help="which sample (default: 1)")
	parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
	parser.add_argument("--at-least", type=float, default=90.0, help="percent to be killed (default: 90)")
	arguments = parser.parse_args()
	waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
	chosen = sample(arguments.sample, arguments.seed)
	for mutant in chosen:
		waiting.put(mutant)
	survivors: list[Mutant] = []
	tried: list[Mutant] = []

	def work(copy: Copy, timeout: float) -> None:
		while True:
			try:
				mutant = waiting.get_nowait()
			except queue.Empty:
				return
			survived = copy.survives(mutant, timeout)
			tried.append(mutant)
			if survived:
				survivors.append(mutant)
				print(f"\rsurvived: {mutant}\n    {mutant.changed_line()}")
			print(f"\r{len(tried)} of {len(chosen)} tried, {len(survivors)} survived", end="", flush=True)

	with tempfile.TemporaryDirectory(prefix="prego-metrics-mutation-") as folder:
		copies = [Copy(Path(folder) / str(number)) for number in range(arguments.jobs)]
		began = time.monotonic()
		if not copies[0].passes([*{f"tests/agent/{folder}" for folder in MODULES}, *THE_WHOLE_PUSH], 1800.0):
			print("the tests fail without any mutation")
			return 2
		timeout = 120.0 + 4 * (time.monotonic() - began) * arguments.jobs
		threads = [threading.Thread(target=work, args=(copy, timeout)) for copy in copies]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join()
	killed = 100.0 * (len(chosen) - len(survivors)) / len(chosen)
	print(f"\n{len(chosen)} mutants (seed {arguments.seed}), {killed:.1f} % killed")
	return 0 if killed >= arguments.at_least else 1


if __name__ == "__main__":
	sys.exit(main())
