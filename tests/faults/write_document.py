"""Write RESULTS.md from runs of the matrix: `write_document.py REPORT…`, which pytest --junitxml wrote.

A later report counts where it repeats a fault of an earlier one.

Needs tests/support in PYTHONPATH, as `make faults` sets it.

Refuses where a fault failed or was skipped: the document says what was seen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

from fault_matrix import FAULTS
from fault_model import Fault

DOCUMENT = Path(__file__).with_name("RESULTS.md")
_TEST = "test_the_promises_hold"
_HEAD = """# Faults

What was done to a node, and how its push ended. `make faults` injects every fault for real and writes this
page; `tests/faults/` holds the table. After each fault three promises are judged:

- **count**: no payload carries a count that nobody read.
- **silence**: no push stops silently. What was not delivered ends with an exit code, a printed error and a record.
- **key**: no part of the key, and no other secret, is printed, recorded or sent to a stranger.

The column names the promise that the fault endangers. A fault whose last column says "not yet" is a known gap.
"""


def results(report: Path) -> dict[str, str]:
	"""Return how each fault of a report ended, by its name: holds, not yet, skipped or failed."""
	outcome = {}
	for case in ElementTree.parse(report).iter("testcase"):
		name = case.attrib["name"]
		if not name.startswith(_TEST):
			continue
		skipped = case.find("skipped")
		if case.find("failure") is not None or case.find("error") is not None:
			result = "failed"
		elif skipped is None:
			result = "holds"
		else:
			result = "not yet" if skipped.get("type") == "pytest.xfail" else "skipped"
		outcome[name.removeprefix(_TEST)[1:-1]] = result
	return outcome


def line(fault: Fault, result: str) -> str:
	return f"| {fault.name} | `prego-metrics {' '.join(fault.act)}` | {fault.expect.words} | {fault.promise} | {result} |"


def main() -> None:
	result: dict[str, str] = {}
	for report in sys.argv[1:]:
		result.update(results(Path(report)))
	unseen = [fault.name for fault in FAULTS if result.get(fault.name) not in ("holds", "not yet")]
	if unseen:
		sys.exit(
			f"{DOCUMENT.name} was not written, since these faults failed or did not run: {', '.join(unseen)}"
		)
	rows = [line(fault, result[fault.name]) for fault in FAULTS]
	table = ["| fault | command | must end as | promise | seen |", "| --- | --- | --- | --- | --- |", *rows]
	DOCUMENT.write_text("\n".join((_HEAD, *table, "")))
	gaps = sum(result[fault.name] == "not yet" for fault in FAULTS)
	print(f"{DOCUMENT.name}: {len(rows)} faults, {gaps} known gaps")


if __name__ == "__main__":
	main()
