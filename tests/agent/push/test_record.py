"""What is written of a push: all of it, in the state and as a line of the history, within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from pushing import folder_of, state_of

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.record import record_push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.begun_push import BegunPush
from prego_metrics.agent.state.model import Push

BEGUN = BegunPush(1e9, "cron", "0123456789abcdef")


@pytest.mark.parametrize("length", [999, 1000, 1001])
def test_an_error_is_kept_to_a_thousand_characters_and_a_user_to_140(bench: Path, length: int) -> None:
	config = load_config(open_bench(str(bench)), {})
	error = coded("unexpected", error="")
	error = coded("unexpected", error="x" * (length - len(error)))
	result = Result("failed", 1e9, None, 503, 3, 1234, error)
	request = Request("cron", who="w" * 200)
	assert record_push(config, folder_of(bench), state_of(bench), request, result, BEGUN) == result
	(line,) = folder_of(bench).history()
	who = "w" * 139 + "…"
	kept = "failed", None, 503, 3, 1234, str(error)[:1000], who
	assert line == Push(BEGUN.id, 1e9, "cron", *kept)
	assert line.error and line.error.code == "unexpected"
	assert state_of(bench).last == line
