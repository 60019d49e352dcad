"""How a push ended, in its exit code, its JSON and its sentence."""

from __future__ import annotations

import pytest

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.push.result import Result, summary

ERROR = coded("settings_vanished", file="x")
PAYLOAD = {"node_id": "sg-1", "tenant_count": 3, "cpu_pct": 0.0, "disk_pct": 61.5}


@pytest.mark.parametrize(
	("attempts", "sentence"),
	[(0, "{outcome}: x"), (1, "{outcome}: x"), (2, "{outcome}: x (after 2 attempts)")],
)
@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_the_attempts_are_said_from_the_second_on(outcome: str, attempts: int, sentence: str) -> None:
	result = Result(outcome, 1e9, attempts=attempts, error=coded("unexpected", error="y"))
	expected = sentence.format(outcome=outcome.capitalize()).replace(": x", f": {result.error}")
	assert summary(result) == expected


@pytest.mark.parametrize(
	("snapshot", "end"), [({}, "disk 61.5 %"), ({"save_snapshot": True}, "disk 61.5 %, with a snapshot")]
)
def test_a_delivered_push_is_said_with_its_figures(snapshot: dict[str, bool], end: str) -> None:
	result = Result("delivered", 1e9, {**PAYLOAD, **snapshot}, 200, 1, 12)
	assert summary(result).startswith("Delivered in 12 ms: sg-1 has 3 tenants, cpu 0")
	assert summary(result).endswith(end)


@pytest.mark.parametrize(("outcome", "code"), [("not_due", 0), ("not_sent", 2), ("busy", 1)])
def test_what_was_never_sent_has_no_figures(outcome: str, code: int) -> None:
	result = Result(outcome, 1e9)
	assert result.as_dict() == {
		"outcome": outcome,
		"payload": None,
		"status_code": None,
		"attempts": 0,
		"duration_ms": 0,
		"error": None,
		"error_code": None,
		"at": "2001-09-09T01:46:40Z",
	}
	assert result.exit_code == code and result.not_written is None


def test_a_dry_run_did_not_fail() -> None:
	assert summary(Result("dry_run", 1e9, PAYLOAD)) == "Dry run: nothing was sent"


def test_a_delivered_push_that_is_not_recorded_is_an_error_and_any_other_a_warning() -> None:
	delivered = Result("delivered", 1e9, PAYLOAD, 200, 1, 12, warnings=("w",)).unrecorded(ERROR)
	assert (delivered.exit_code, delivered.error, delivered.not_written) == (1, ERROR, ERROR)
	assert delivered.warnings == ("w",)
	refused = Result("refused", 1e9, error=coded("no_threads"), warnings=("w",)).unrecorded(ERROR)
	assert (refused.exit_code, refused.error_code, refused.not_written) == (1, "no_threads", ERROR)
	assert refused.warnings[0] == "w" and refused.warnings[1].startswith(ERROR)
