"""Copies of the repository, in which modules are changed and tests run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest
from executed_tests import Test
from mutants import AGENT, ROOT, Mutant


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
		(site_packages,) = (folder / "environment").glob("lib/python3*/site-packages")
		(site_packages / "copy.pth").write_text(f"{self.root}\n{sysconfig.get_path('purelib')}\n")
		for module in ("chosen_tests", "forked_pytest", "line_tracer"):
			shutil.copy2(Path(__file__).with_name(f"{module}.py"), site_packages)
		program = folder / "environment/bin/prego-metrics"
		program.write_text(
			f"#!{folder}/environment/bin/python\nfrom prego_metrics.cli.__main__ import main\nmain()\n"
		)
		program.chmod(0o755)
		self._tracing = site_packages / "tracing.pth"
		self.records = folder / "records"
		self.records.mkdir()
		self._writes = 0
		self._forks = subprocess.Popen(
			[folder / "environment/bin/python", "-m", "forked_pytest"],
			cwd=self.root,
			stdin=subprocess.PIPE,
			stdout=subprocess.PIPE,
			text=True,
		)

	def __enter__(self) -> Copy:
		return self

	def __exit__(self, *_: object) -> None:
		self._forks.communicate()

	def record(self, files: Sequence[str]) -> None:
		"""Run the tests of these files, and write to `records` what each of them executes."""
		code = f"{self.root / AGENT}/"
		self._tracing.write_text(f"import line_tracer; line_tracer.start({str(self.records)!r}, {code!r})\n")
		status = self._pytest(f"--trace-code={code}", *files)
		if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
			raise RuntimeError(f"pytest ended with status {status}")
		self._tracing.unlink()

	def survives(self, mutant: Mutant, stages: list[list[Test]]) -> bool:
		"""Tell whether no test notices the mutant."""
		source = (ROOT / mutant.path).read_text()
		try:
			self._write(mutant.path, mutant.apply(source))
			return all(self._pass(stage) for stage in stages)
		finally:
			self._write(mutant.path, source)

	def _pass(self, tests: list[Test]) -> bool:
		chosen = self.records / "chosen"
		chosen.write_text("".join(f"{test.limit_seconds}\t{test.id}\n" for test in tests))
		files = dict.fromkeys(test.file for test in tests)
		return self._pytest("-x", f"--chosen={chosen}", *files) in (
			pytest.ExitCode.OK,
			pytest.ExitCode.NO_TESTS_COLLECTED,
		)

	def _pytest(self, *arguments: str) -> int:
		options = [
			*("-q", "--numprocesses=0", "-m", "not bench"),
			*("-p", "no:cacheprovider", "-p", "chosen_tests", f"--records={self.records}"),
			*("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"),
		]
		assert self._forks.stdin and self._forks.stdout
		print(
			json.dumps([*options, *arguments]),
			file=self._forks.stdin,
			flush=True,
		)
		return int(self._forks.stdout.readline())

	def _write(self, path: str, source: str) -> None:
		"""Write a module with a time of its own, by which Python knows that its cached bytecode is old."""
		(self.root / path).write_text(source)
		self._writes += 1
		os.utime(self.root / path, (self._writes, self._writes))
