"""The steps of a push have the time that is left of it, and say how much that was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.push.steps import write_in_time
from prego_metrics.agent.state.store import StateFolder


@pytest.fixture
def hang() -> Iterator[threading.Event]:
	over = threading.Event()
	yield over
	over.set()


@pytest.mark.parametrize(("left", "seconds"), [(-5.0, 0.5), (0.0, 0.5), (1.4, 0.5), (1.8, 0.8), (None, 0.9)])
def test_a_write_leaves_a_second_to_send_and_has_half_a_second_at_least(
	tmp_path: Path,
	hang: threading.Event,
	monkeypatch: pytest.MonkeyPatch,
	left: float | None,
	seconds: float,
) -> None:
	monkeypatch.setattr("prego_metrics.agent.push.steps.FILE_SECONDS", 0.9)
	until = {} if left is None else {"give_up_at": time.monotonic() + left}
	began = time.monotonic()
	late = write_in_time(lambda: hang.wait(20) or None, StateFolder(str(tmp_path)), **until)
	assert late is not None and late.code == "state_late"
	assert float(str(late.params["seconds"])) == pytest.approx(seconds, abs=0.02)
	assert seconds - 0.05 < time.monotonic() - began < seconds + 3


def test_what_a_write_says_is_returned(tmp_path: Path) -> None:
	full = coded("state_not_writable", folder="/", reason="full")
	assert write_in_time(lambda: full, StateFolder(str(tmp_path))) == full
	assert write_in_time(lambda: None, StateFolder(str(tmp_path))) is None
