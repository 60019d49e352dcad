"""The doctor on the page ends in time, and what it leaves out is a check like the others."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.doctor.runner import GROUPS

MODULE = "prego_metrics.desk.doctor.timed_run"


def test_what_takes_too_long_is_one_skipped_check_of_the_group_that_was_reached(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setitem(sys.modules, "frappe", SimpleNamespace(_=str))
	monkeypatch.setitem(
		sys.modules, "prego_metrics.desk.doctor.bench_frappe", SimpleNamespace(BenchFrappe=None)
	)
	timed_run = importlib.import_module(MODULE)
	monkeypatch.delitem(sys.modules, MODULE)  # it knows a Frappe that is none
	monkeypatch.setattr(timed_run, "MAX_SECONDS", 0.0)
	first, rest = timed_run.run_checks(open_bench(str(bench_folder)))["checks"]
	assert first["group"] == rest["group"] == next(iter(GROUPS))
	assert (rest["name"], rest["state"], rest["action"]) == ("rest", "skip", "prego-metrics doctor")
	assert rest["seen"] == "not made: the checks took longer than 0 s"
