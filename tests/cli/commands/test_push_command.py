"""`push` as a person runs it: its output and exit codes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_lines import RESULT_KEYS, Run, listing
from pushing import spare_the_sample, state_of

# --- push --------------------------------------------------------------------------------------------


def test_push_says_in_one_line_what_was_delivered(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	result = run_agent("push", "--bench", bench)
	assert (result.returncode, result.stderr) == (0, "")
	assert re.fullmatch(
		r"Delivered in \d+ ms: node-1 has 3 tenants, cpu [\d.]+ %, memory [\d.]+ %, disk [\d.]+ %, "
		r"with a snapshot\n",
		result.stdout,
	)
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	assert control_plane.store.server_metrics("node-1")["tenant_count"] == 3
	assert state_of(bench).last.trigger == "manual"


def test_push_json_has_the_shape_of_the_design(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	result = run_agent("push", "--json", "--bench", bench)
	assert (result.returncode, result.stderr) == (0, "")
	written = json.loads(result.stdout)
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["status_code"], written["attempts"]) == ("delivered", 200, 1)
	assert (written["error"], written["error_code"]) == (None, None)
	assert type(written["duration_ms"]) is int
	assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written["at"])
	assert list(written["payload"]) == [
		"node_id",
		"cpu_pct",
		"memory_pct",
		"disk_pct",
		"tenant_count",
		"save_snapshot",
		"source",
	]
	row = control_plane.store.server_metrics("node-1")
	assert all(row[name] == value for name, value in written["payload"].items() if name in row)


def test_a_refused_push_exits_1_and_speaks_on_stderr(run_agent: Run, bench: Path) -> None:
	result = run_agent("push", "--bench", bench, INTERNAL_API_KEY="a-wrong-key-987654321")
	assert (result.returncode, result.stdout) == (1, "")
	assert re.fullmatch(r"Refused: the control plane refuses the key \(HTTP 401[^\n]*\n", result.stderr)
	assert "987654321" not in result.stderr


def test_a_refused_push_as_json_names_the_status_code_and_says_nothing_else(
	run_agent: Run, bench: Path
) -> None:
	result = run_agent("push", "--json", "--bench", bench, INTERNAL_API_KEY="a-wrong-key-987654321")
	assert (result.returncode, result.stderr) == (1, "")
	written = json.loads(result.stdout)
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["status_code"]) == ("refused", 401)
	assert "401" in written["error"]
	assert written["error_code"] == "key_refused"
	assert "987654321" not in result.stdout


def test_a_push_that_reaches_nobody_exits_1_after_three_attempts(
	run_agent: Run, bench: Path, key: str
) -> None:
	result = run_agent("push", "--bench", bench, PREGO_METRICS_CONTROL_PLANE_URL="http://127.0.0.1:9")
	assert (result.returncode, result.stdout) == (1, "")
	assert result.stderr == (
		"Failed: no connection to http://127.0.0.1:9: Connection refused (after 3 attempts)\n"
	)


def test_a_push_without_settings_names_all_that_is_missing_and_exits_2(
	run_agent: Run, bench_folder: Path, key: str
) -> None:
	result = run_agent("push", "--bench", bench_folder)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr.startswith("Not sent: node_id is not set")
	assert "control_plane_url is not set" in result.stderr
	written = json.loads(run_agent("push", "--json", "--bench", bench_folder).stdout)
	assert (written["outcome"], written["payload"], written["status_code"]) == ("not_sent", None, None)


def test_a_push_without_a_key_exits_2_and_says_where_it_belongs(
	run_agent: Run, bench: Path, control_plane: Any
) -> None:
	result = run_agent("push", "--bench", bench)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr.startswith("Not sent: there is no key: set api_key_file")
	assert control_plane.answers == []


def test_dry_run_prints_the_payload_alone_and_sends_and_records_nothing(
	run_agent: Run, bench: Path, control_plane: Any
) -> None:
	before = listing(bench)
	result = run_agent("push", "--dry-run", "--bench", bench)
	assert (result.returncode, result.stderr) == (0, "")
	written = json.loads(result.stdout)
	assert written["node_id"] == "node-1" and written["tenant_count"] == 3
	assert written["source"] == "node_push"
	assert control_plane.answers == []
	assert listing(bench) == before


def test_dry_run_with_json_prints_the_result(run_agent: Run, bench: Path) -> None:
	result = run_agent("push", "--dry-run", "--json", "--bench", bench)
	assert (result.returncode, result.stderr) == (0, "")
	written = json.loads(result.stdout)
	assert list(written) == RESULT_KEYS
	assert (written["outcome"], written["attempts"], written["status_code"]) == ("dry_run", 0, None)
	assert written["payload"]["tenant_count"] == 3


def test_dry_run_of_what_cannot_be_counted_exits_2_and_prints_no_payload(
	run_agent: Run, bench: Path, settings: Callable[..., Path]
) -> None:
	settings(bench, node_id="node-1", control_plane_url="https://c.example", benches=["/no/such/bench"])
	result = run_agent("push", "--dry-run", "--bench", bench)
	assert (result.returncode, result.stdout) == (2, "")
	assert result.stderr.startswith("Not sent: ") and "/no/such/bench" in result.stderr


def test_save_snapshot_asks_for_one_that_is_not_due(
	run_agent: Run, bench: Path, key: str, control_plane: Any
) -> None:
	spare_the_sample(bench, last_snapshot_at=time.time() - 60)
	assert "with a snapshot" not in run_agent("push", "--bench", bench).stdout
	assert "with a snapshot" in run_agent("push", "--save-snapshot", "--bench", bench).stdout
	assert len(control_plane.store.snapshots("node-1")) == 1
