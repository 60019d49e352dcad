"""Change the code of the push one token at a time, and see whether a test fails: `make mutation`.

A first run of the tests records which test executes which line; then each mutant of the sample is tried, in copies
of the repository, with the tests that execute its line: those of the module's name first, then the quick ones.

Five survivors are neither equivalent nor tested: `delivered is None and …` in `push/due.py`, two in
`collectors/second_looks.py`, the sum with `within_seconds` in `push/push.py`, the last second before `row_stale`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import queue
import sys
import tempfile
import threading
import time
from pathlib import Path

from copies import Copy
from executed_tests import ExecutedTests
from mutants import ROOT, Mutant, sample

FOLDERS = ("agent", "cli", "doctor", "exporters", "faults", "scenarios")


def record(copies: list[Copy]) -> ExecutedTests:
	"""Run every test once, in all copies at the same time, and return what each executes."""
	files = [
		str(path.relative_to(ROOT))
		for folder in FOLDERS
		for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))
	]
	with concurrent.futures.ThreadPoolExecutor() as pool:
		runs = [pool.submit(copy.record, files[place :: len(copies)]) for place, copy in enumerate(copies)]
	for run in runs:
		run.result()
	executed = ExecutedTests()
	for copy in copies:
		executed.read(copy.records, str(copy.root))
	return executed


def try_all(chosen: list[Mutant], copies: list[Copy], executed: ExecutedTests) -> list[Mutant]:
	"""Try the mutants, tell of each that survives, and return those."""
	waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
	for mutant in chosen:
		waiting.put(mutant)
	survivors: list[Mutant] = []
	tried: list[Mutant] = []

	def work(copy: Copy) -> None:
		while True:
			try:
				mutant = waiting.get_nowait()
			except queue.Empty:
				return
			stages = executed.stages(mutant.path, (ROOT / mutant.path).read_text(), mutant.line)
			survived = copy.survives(mutant, stages)
			tried.append(mutant)
			if survived:
				survivors.append(mutant)
				print(f"\rsurvived {sum(map(len, stages))} tests: {mutant}\n    {mutant.changed_line()}")
			print(f"\r{len(tried)} of {len(chosen)} tried, {len(survivors)} survived", end="", flush=True)

	threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
	for thread in threads:
		thread.start()
	for thread in threads:
		thread.join()
	return survivors


def main() -> int:
	parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
	parser.add_argument("--sample", type=int, default=200, help="how many mutants (default: 200)")
	parser.add_argument("--seed", type=int, default=1, help="which sample (default: 1)")
	parser.add_argument("--only", default="", help="a part of the modules' paths, such as state/store.py")
	parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
	parser.add_argument("--at-least", type=float, default=90.0, help="percent to be killed (default: 90)")
	arguments = parser.parse_args()
	began = time.monotonic()
	chosen = sample(arguments.sample, arguments.seed, arguments.only)
	if not chosen:
		parser.error(f"no module is called {arguments.only}")
	with (
		tempfile.TemporaryDirectory(prefix="prego-metrics-mutation-") as name,
		contextlib.ExitStack() as stack,
	):
		# Tests run as other users, too.
		os.chmod(name, 0o755)
		copies = [stack.enter_context(Copy(Path(name) / str(number))) for number in range(arguments.jobs)]
		executed = record(copies)
		print(f"{len(executed.passed)} tests recorded in {time.monotonic() - began:.0f} s")
		for test in executed.failed:
			print(f"left out, since it fails without a mutation: {test}")
		survivors = try_all(chosen, copies, executed)
	killed = 100.0 * (len(chosen) - len(survivors)) / len(chosen)
	minutes = (time.monotonic() - began) / 60
	print(f"\n{len(chosen)} mutants (seed {arguments.seed}), {killed:.1f} % killed, in {minutes:.0f} minutes")
	return 0 if killed >= arguments.at_least else 1


if __name__ == "__main__":
	sys.exit(main())
