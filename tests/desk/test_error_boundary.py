"""An exception that nobody foresaw leaves its kind and its place, and none of the node's values."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest
import real_bench
from real_bench import BENCH, SITE

from prego_metrics.desk import error_boundary
from prego_metrics.desk.error_boundary import Unforeseen, guarded

SECRET = "a-number-of-the-node-4711"


def broken(depth: int = 0) -> None:
	payload = {"node_id": SECRET}
	if depth:
		broken(depth - 1)
	raise KeyError(payload["node_id"])


def everything_in(error: BaseException) -> str:
	"""What a traceback with variables can show of an exception: its frames', and its causes' too."""
	shown = "".join(traceback.format_exception(error))
	seen: list[BaseException | None] = [error, error.__cause__, error.__context__]
	for one in seen:
		frames: TracebackType | None = one.__traceback__ if one else None
		# The first frame is this test's own.
		for frame, _ in list(traceback.walk_tb(frames))[1:]:
			shown += repr(frame.f_locals)
	return shown


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
	logged: list[str] = []
	monkeypatch.setattr(error_boundary, "log_fault", logged.append)
	return logged


def test_an_unforeseen_exception_ends_in_its_kind_and_place_and_in_no_value(faults: list[str]) -> None:
	with pytest.raises(Unforeseen) as raised:
		guarded(broken)
	assert faults == [str(raised.value)]
	assert "unforeseen KeyError at " in faults[0]
	assert "desk/test_error_boundary.py:" in faults[0]
	assert " broken" in faults[0]
	assert raised.value.__cause__ is None
	assert raised.value.__context__ is None
	assert SECRET not in everything_in(raised.value)


def test_the_place_stays_short_however_deep_it_was(faults: list[str]) -> None:
	with pytest.raises(Unforeseen):
		guarded(lambda: broken(200))
	assert len(faults[0]) < 1000


def test_what_went_well_is_returned_and_nothing_is_logged(faults: list[str]) -> None:
	assert guarded(lambda: 7) == 7
	assert faults == []


def test_an_interrupt_is_not_a_fault_and_passes_through(faults: list[str]) -> None:
	def interrupted() -> None:
		raise KeyboardInterrupt

	with pytest.raises(KeyboardInterrupt):
		guarded(interrupted)
	assert faults == []


# A module of ours is broken for one process; then Frappe runs the tick as its worker does, in both its ways,
# and stores the traceback with variables where it stores it.
BREAK_AND_RUN = f"""
import os
from prego_metrics.desk import tick
from frappe.utils.background_jobs import execute_job
def broken(bench, request):
	payload = {{"node_id": {SECRET!r}, "tenant_count": 4711}}
	raise KeyError(payload["tenant_count"])
tick.push = broken
frappe.db.delete("Error Log", {{"creation": (">", "2000-01-01"), "error": ("like", "%Unforeseen%")}})
frappe.db.delete("Error Log", {{"method": "Prego Metrics: a tick broke"}})
frappe.db.commit()
row = frappe.get_doc("Scheduled Job Type", {{"method": "prego_metrics.prego_push.push_if_due"}})
row.create_log = 1
for _ in range(2):
	row.execute()
	try:
		execute_job(frappe.local.site, "prego_metrics.prego_push.push_if_due", None, "a tick", {{}}, is_async=False)
	except Exception as error:
		print("raised", type(error).__name__)
job = frappe.get_last_doc("Scheduled Job Log")
logs = frappe.get_all("Error Log", ["method", "error"], {{"error": ("like", "%unforeseen KeyError%")}}, limit=0)
print("found", frappe.as_json([job.status, job.details, logs], indent=None))
frappe.db.delete("Scheduled Job Log", {{"details": ("like", "%unforeseen KeyError%")}})
frappe.db.delete("Error Log", {{"error": ("like", "%unforeseen KeyError%")}})
"""


@pytest.fixture
def log() -> Iterator[Path]:
	path = Path(BENCH) / "logs" / "prego_metrics.log"
	before = path.stat().st_size if path.exists() else 0
	yield path
	assert path.stat().st_size >= before


@pytest.mark.bench
@pytest.mark.parametrize("operators_site", [SITE, "the-operators.example"])
def test_a_tick_that_breaks_counts_as_failed_and_shows_no_site_the_node(
	operators_site: str, log: Path
) -> None:
	with real_bench.configured(node_id="n", control_plane_url="http://127.0.0.1:9", site=operators_site):
		result = real_bench.run_in_site(SITE, BREAK_AND_RUN)
	assert result.returncode == 0, result.stderr
	assert result.stdout.count("raised Unforeseen") == 2
	(found,) = [
		line.removeprefix("found ") for line in result.stdout.splitlines() if line.startswith("found ")
	]
	status, details, logs = json.loads(found)
	assert status == "Failed"
	assert "unforeseen KeyError at " in details
	assert "4711" not in found
	of_ours = [one for one in logs if one["method"] == "Prego Metrics: a tick broke"]
	assert len(of_ours) == (1 if operators_site == SITE else 0)
	assert result.stderr.count("prego_metrics: unforeseen KeyError at ") == 4
	assert log.read_text(errors="replace").count("unforeseen KeyError at ") >= 4
	assert os.sep.join(("desk", "tick.py")) in result.stderr
