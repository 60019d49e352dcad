"""The steps of a push have the time that is left of it, and say how much that was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prego_metrics.agent.base.errors import TooLate
from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.steps import collect, write_in_time
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.store import StateFolder


@pytest.fixture
def hang() -> Iterator[threading.Event]:
	over = threading.Event()
	yield over
	over.set()


@pytest.mark.parametrize(("left", "seconds"), [(-5.0, 0.5), (0.0, 0.5), (1.4, 0.5), (1.7, 0.7), (None, 0.9)])
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
	assert float(str(late.params["seconds"])) == pytest.approx(seconds, abs=0.15)
	assert seconds - 0.05 < time.monotonic() - began < seconds + 3


def test_what_a_write_says_is_returned(tmp_path: Path) -> None:
	full = coded("state_not_writable", folder="/", reason="full")
	assert write_in_time(lambda: full, StateFolder(str(tmp_path))) == full
	assert write_in_time(lambda: None, StateFolder(str(tmp_path))) is None


@pytest.mark.parametrize(
	("seconds", "to_count"), [(-3.0, 0.0), (0.0, 0.0), (0.4, 0.2), (1.0, 0.5), (1.3, 0.65), (2.2, 1.2)]
)
def test_a_count_leaves_a_second_to_send_and_of_less_than_two_half(
	bench: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch, seconds: float, to_count: float
) -> None:
	monkeypatch.setattr(
		"prego_metrics.agent.collectors.instance.check_instance", lambda config: hang.wait(20)
	)
	config = load_config(open_bench(str(bench)), {})
	began = time.monotonic()
	with pytest.raises(TooLate) as raised:
		collect(config, State(), time.time(), seconds, save_snapshot=False)
	assert float(str(raised.value.message.params["seconds"])) == pytest.approx(to_count)
	assert to_count - 0.05 < time.monotonic() - began < to_count + 3
